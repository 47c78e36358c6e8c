// SPDX-License-Identifier: Apache-2.0
// The small pieces that every page is made of.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';

import type { Polled } from '../data/poll';
import { session } from '../data/session';
import { useStore } from '../data/store';
import { useText } from '../i18n';
import { formatClock } from '../logic/format';
import type { Status } from '../logic/status';

export type Tone = 'good' | 'warn' | 'bad' | 'none';

export const TONE_OF: Record<Status, Tone> = {
  met: 'good',
  at_risk: 'warn',
  missed: 'bad',
  unknown: 'none',
};

type Shape = Tone | 'unknown';

const SHAPES: Record<Shape, string> = {
  good: 'M3.5 8.5l3 3 6-7',
  warn: 'M8 2.8l6 10.4H2zM8 6.8v3M8 11.6v.1',
  bad: 'M4 4l8 8M12 4l-8 8',
  none: 'M5 8h6',
  unknown: 'M6 6a2.1 2.1 0 1 1 2.9 2.1c-.6.3-.9.7-.9 1.4M8 12.3v.1',
};

// Shape says the same as colour.
export function ToneIcon({ tone }: { tone: Shape }) {
  return (
    <svg class="tone-icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={SHAPES[tone]} />
    </svg>
  );
}

export function Chip({
  tone,
  icon,
  children,
}: {
  tone: Tone;
  icon?: Shape;
  children: ComponentChildren;
}) {
  return (
    <span class={`chip ${tone}`}>
      <ToneIcon tone={icon ?? tone} />
      {children}
    </span>
  );
}

// A question mark that tells on hover, on focus and on touch.
export function Explain({ text }: { text: string }) {
  const { t } = useText();
  return (
    <span class="explain">
      <button type="button" aria-label={`${t('explain')} ${text}`}>
        ?
      </button>
      <span class="bubble" aria-hidden="true">
        {text}
      </span>
    </span>
  );
}

interface CardProps {
  title: string;
  what?: string;
  tools?: ComponentChildren;
  wide?: boolean;
  children: ComponentChildren;
}

export function Card({ title, what, tools, wide, children }: CardProps) {
  return (
    <section class={wide ? 'card wide' : 'card'}>
      <header class="card-head">
        <h2>{title}</h2>
        {what && <Explain text={what} />}
        {tools && <div class="tools">{tools}</div>}
      </header>
      {children}
    </section>
  );
}

export interface TileProps {
  label: string;
  value: string;
  note?: string;
  tone?: Tone;
}

export function Tile({ label, value, note, tone = 'none' }: TileProps) {
  return (
    <div class={`tile ${tone}`}>
      <dt>
        {tone !== 'none' && tone !== 'good' && <ToneIcon tone={tone} />}
        {label}
      </dt>
      <dd>
        {value}
        {note && <small>{note}</small>}
      </dd>
    </div>
  );
}

export function Tiles({ items }: { items: TileProps[] }) {
  return (
    <dl class="tiles">
      {items.map((item) => (
        <Tile key={item.label} {...item} />
      ))}
    </dl>
  );
}

export function Note({ children, tone = 'none' }: { children: ComponentChildren; tone?: Tone }) {
  return (
    <p class={`note ${tone}`}>
      <ToneIcon tone={tone} />
      <span>{children}</span>
    </p>
  );
}

export function PageHead({
  title,
  what,
  children,
}: {
  title: string;
  what?: string;
  children?: ComponentChildren;
}) {
  return (
    <div class="page-head">
      <div>
        <h1>{title}</h1>
        {what && <p>{what}</p>}
      </div>
      {children && <div class="tools">{children}</div>}
    </div>
  );
}

// One of a few words.
export function Choice<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: readonly { value: T; text: string }[];
  onChange: (v: T) => void;
}) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={option.value === value}
          onClick={() => onChange(option.value)}
        >
          {option.text}
        </button>
      ))}
    </div>
  );
}

// What a document is asked for, or the sentence that says why it is not shown.
export function Loaded<T>({
  from,
  path,
  children,
}: {
  from: Polled<T>;
  path: string;
  children: (data: T) => ComponentChildren;
}) {
  const { t } = useText();
  const who = useStore(session);
  const { data, problem } = from;
  const why =
    problem === null
      ? ''
      : problem.status === 0
        ? t('none.unreachable')
        : problem.status === 404
          ? t('none.notThere', { path })
          : problem.status === 403 && who?.event
            ? t('none.forbiddenEvent', { event: who.event })
            : problem.status === 403
              ? t('none.forbidden', { scope: who?.scope ?? '' })
              : t('none.failed', { detail: problem.detail || problem.code });
  if (data === null) {
    return problem === null ? (
      <p class="quiet">{t('none.loading')}</p>
    ) : (
      <Note tone={problem.status === 404 || problem.status === 403 ? 'none' : 'warn'}>{why}</Note>
    );
  }
  return (
    <>
      {problem !== null && (
        <Note tone="warn">{t('none.old', { detail: why, clock: formatClock(from.lastMs) })}</Note>
      )}
      {children(data)}
    </>
  );
}

export interface Column<T> {
  key: string;
  label: string;
  num?: boolean;
  code?: boolean;
  read: (row: T) => string | number | null | undefined; // to sort by
  show?: (row: T) => ComponentChildren;
}

interface TableProps<T> {
  label: string;
  columns: Column<T>[];
  rows: readonly T[];
  rowKey: (row: T, index: number) => string;
  sortable?: boolean;
  empty: string;
  toneOf?: (row: T) => Tone;
  stacked?: boolean; // on a phone each row is a block of its own
}

function compare(
  a: string | number | null | undefined,
  b: string | number | null | undefined,
): number {
  if (a === null || a === undefined || b === null || b === undefined) {
    return (a === null || a === undefined ? 1 : 0) - (b === null || b === undefined ? 1 : 0);
  }
  return typeof a === 'number' && typeof b === 'number'
    ? a - b
    : String(a).localeCompare(String(b));
}

export function Table<T>(props: TableProps<T>) {
  const { label, columns, rows, rowKey, sortable, empty, toneOf, stacked } = props;
  const [by, setBy] = useState<{ key: string; down: boolean } | null>(null);
  if (rows.length === 0) {
    return <p class="quiet">{empty}</p>;
  }
  const column = by && columns.find((one) => one.key === by.key);
  const shown =
    column && by
      ? [...rows].sort((a, b) => compare(column.read(a), column.read(b)) * (by.down ? -1 : 1))
      : rows;
  const turn = (one: Column<T>) =>
    setBy((before) => ({
      key: one.key,
      down: before?.key === one.key ? !before.down : Boolean(one.num),
    }));
  const sortOf = (one: Column<T>) =>
    !sortable ? undefined : by?.key !== one.key ? 'none' : by.down ? 'descending' : 'ascending';
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      <table class={stacked ? 'stacked' : ''}>
        <thead>
          <tr>
            {columns.map((one) => (
              <th key={one.key} scope="col" class={one.num ? 'num' : ''} aria-sort={sortOf(one)}>
                {sortable ? (
                  <button type="button" onClick={() => turn(one)}>
                    {one.label}
                    <i aria-hidden="true" />
                  </button>
                ) : (
                  one.label
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row, i) => (
            <tr key={rowKey(row, i)} class={toneOf ? toneOf(row) : ''}>
              {columns.map((one) => (
                <td
                  key={one.key}
                  class={`${one.num ? 'num' : ''} ${one.code ? 'code' : ''}`}
                  data-label={stacked ? one.label : undefined}
                >
                  {one.show ? one.show(row) : one.read(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

// Lengths to compare, with their numbers beside them.
export function Bars({
  label,
  rows,
}: {
  label: string;
  rows: { name: string; count: number; text: string }[];
}) {
  const most = Math.max(1, ...rows.map((row) => row.count));
  return (
    <table class="bars" aria-label={label}>
      <tbody>
        {rows.map((row) => (
          <tr key={row.name}>
            <th scope="row">{row.name}</th>
            <td class="bar" aria-hidden="true">
              <i style={{ width: `${(100 * row.count) / most}%` }} />
            </td>
            <td class="num">{row.text}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
