// SPDX-License-Identifier: Apache-2.0
// A list of a node's documents as a table: the columns that are named, and only those.
import type { ComponentChildren } from 'preact';

import { usePolled } from '../data/poll';
import { Card, Loaded, Table, type Column, type Tone } from './parts';

export type Item = Record<string, unknown>;

export function textOf(value: unknown): string {
  return value === null || value === undefined
    ? ''
    : typeof value === 'object'
      ? JSON.stringify(value)
      : String(value);
}

export function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

interface ListingProps {
  title: string;
  what: string;
  path: string;
  everyMs: number;
  columns: Column<Item>[];
  rowKey: (row: Item, index: number) => string;
  empty: string;
  toneOf?: (row: Item) => Tone;
  order?: (rows: Item[]) => Item[];
  foot?: (document: Item) => ComponentChildren;
}

export function Listing(props: ListingProps) {
  const polled = usePolled<Item & { items?: Item[] }>(props.path, props.everyMs);
  return (
    <Card title={props.title} what={props.what} wide>
      <Loaded from={polled} path={props.path}>
        {(data) => (
          <>
            <Table
              label={props.title}
              columns={props.columns}
              rowKey={props.rowKey}
              sortable
              rows={props.order ? props.order(data.items ?? []) : (data.items ?? [])}
              empty={props.empty}
              toneOf={props.toneOf}
            />
            {props.foot?.(data)}
          </>
        )}
      </Loaded>
    </Card>
  );
}
