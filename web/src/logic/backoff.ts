// SPDX-License-Identifier: Apache-2.0
// How long to wait before the next try: 1, 2, 4, … 30 seconds, up to a quarter less by chance, so
// that the pages of a venue do not all come back in the same moment.
export const BACKOFF_FIRST_MS = 1000;
export const BACKOFF_MAX_MS = 30000;

export function backoffMs(tries: number, random: () => number = Math.random): number {
  const whole = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(tries, 16));
  return Math.round(whole * (1 - 0.25 * random()));
}
