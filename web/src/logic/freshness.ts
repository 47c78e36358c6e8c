// SPDX-License-Identifier: Apache-2.0
// When figures that should come each second are old.
export const STALE_AFTER_MS = 5000;

export function ageMs(lastMs: number | null, nowMs: number): number | null {
  return lastMs === null ? null : Math.max(0, nowMs - lastMs);
}

export function isStale(lastMs: number | null, nowMs: number): boolean {
  const age = ageMs(lastMs, nowMs);
  return age !== null && age > STALE_AFTER_MS;
}
