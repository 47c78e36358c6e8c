// SPDX-License-Identifier: Apache-2.0
// Rows of figures over time, kept for charts: bounded, in order, each moment once.
import { parseTime } from './format';
import { Ring } from './ring';

export const SECONDS_KEPT = 300;
export const MINUTES_KEPT = 24 * 60;

// A row as the server sends it: "at" and figures.
export type Row = Record<string, unknown>;

export interface Point {
  ms: number;
  row: Row;
}

export class Series {
  private readonly ring: Ring<Point>;

  constructor(
    capacity: number,
    private readonly stepMs: number,
  ) {
    this.ring = new Ring(capacity);
  }

  get length(): number {
    return this.ring.length;
  }

  // False: it is older than what is there, or the same moment again.
  add(row: Row | null | undefined): boolean {
    const ms = parseTime(row?.at);
    if (row === null || row === undefined || ms === null) {
      return false;
    }
    const last = this.ring.last();
    if (last !== undefined && ms - last.ms < this.stepMs / 2) {
      return false;
    }
    this.ring.push({ ms, row });
    return true;
  }

  // Rows are in order, as lists of the server are.
  replace(rows: readonly Row[]): void {
    this.ring.clear();
    for (const row of rows.slice(-this.ring.capacity)) {
      this.add(row);
    }
  }

  points(): readonly Point[] {
    return this.ring.all();
  }
}

export type Column = (number | null)[];

// Seconds since 1970, as uPlot wants them.
export function timesOf(points: readonly Point[]): number[] {
  return points.map((point) => point.ms / 1000);
}

export function columnOf(points: readonly Point[], read: (row: Row) => unknown): Column {
  return points.map((point) => {
    const value = read(point.row);
    return typeof value === 'number' && Number.isFinite(value) ? value : null;
  });
}

// Where rows are missing for longer than a few steps the line must break: a point without values.
export function withGaps(points: readonly Point[], stepMs: number): Point[] {
  const all: Point[] = [];
  for (const point of points) {
    const last = all[all.length - 1];
    if (last !== undefined && point.ms - last.ms > 3.5 * stepMs) {
      all.push({ ms: last.ms + stepMs, row: {} });
    }
    all.push(point);
  }
  return all;
}
