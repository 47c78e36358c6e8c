// SPDX-License-Identifier: Apache-2.0
// What the event page makes of timelines and records.
import type { Point, Row } from './series';

export interface TimelineItem {
  at: string;
  gate: string;
  admitted: number;
  exited: number;
  refused: number;
}

// Per-gate items become one row a moment, moments without items become zeros: nobody came then.
export function sumTimeline(
  items: readonly TimelineItem[],
  sinceMs: number,
  untilMs: number,
  stepMs: number,
): Point[] {
  const sums = new Map<number, { admitted: number; exited: number; refused: number }>();
  const first = Math.floor(sinceMs / stepMs) * stepMs;
  for (let ms = first; ms < untilMs; ms += stepMs) {
    sums.set(ms, { admitted: 0, exited: 0, refused: 0 });
  }
  for (const item of items) {
    const sum = sums.get(Math.floor(Date.parse(item.at) / stepMs) * stepMs);
    if (sum !== undefined) {
      sum.admitted += item.admitted;
      sum.exited += item.exited;
      sum.refused += item.refused;
    }
  }
  return [...sums].map(([ms, row]) => ({ ms, row: row as Row }));
}

export const REASONS = [
  'unknown_token',
  'cancelled',
  'blocked',
  'not_yet_valid',
  'expired',
  'wrong_gate',
  'gate_closed',
  'already_used',
  'capacity_full',
] as const;
export type Reason = (typeof REASONS)[number];

export interface Counted {
  name: string;
  count: number;
}

// Most frequent first; a reason that is not known keeps its own word.
export function countReasons(records: readonly { reason?: string | null }[]): Counted[] {
  const counts = new Map<string, number>();
  for (const record of records) {
    if (record.reason) {
      counts.set(record.reason, (counts.get(record.reason) ?? 0) + 1);
    }
  }
  return [...counts]
    .map(([name, count]) => ({ name, count }))
    .sort((a, b) => b.count - a.count || a.name.localeCompare(b.name));
}

export interface GateRow {
  gate: string;
  admitted: number;
  exited: number;
  refused: number;
  last_minute: number;
}

// The busiest gate of the last minute first, then the one with most admissions.
export function busiestFirst(gates: readonly GateRow[]): GateRow[] {
  return [...gates].sort(
    (a, b) =>
      b.last_minute - a.last_minute || b.admitted - a.admitted || a.gate.localeCompare(b.gate),
  );
}
