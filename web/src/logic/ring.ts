// SPDX-License-Identifier: Apache-2.0
// A list that never holds more than its capacity: what a page keeps while it stays open for days.
export class Ring<T> {
  private readonly rows: T[] = [];

  constructor(readonly capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError('a ring holds at least one row');
    }
  }

  get length(): number {
    return this.rows.length;
  }

  last(): T | undefined {
    return this.rows[this.rows.length - 1];
  }

  push(row: T): void {
    if (this.rows.length === this.capacity) {
      this.rows.shift();
    }
    this.rows.push(row);
  }

  replace(rows: readonly T[]): void {
    this.rows.length = 0;
    this.rows.push(...rows.slice(-this.capacity));
  }

  clear(): void {
    this.rows.length = 0;
  }

  all(): readonly T[] {
    return this.rows;
  }
}
