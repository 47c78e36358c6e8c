// SPDX-License-Identifier: Apache-2.0
// When a figure deserves a colour: the goals of the key figures and the thresholds of the rules.
export type Judged = 'good' | 'warn' | 'bad' | 'none';

export function judge(value: number | null | undefined, warn: number, bad: number): Judged {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    return 'none';
  }
  if (warn <= bad) {
    return value > bad ? 'bad' : value > warn ? 'warn' : 'good';
  }
  return value < bad ? 'bad' : value < warn ? 'warn' : 'good';
}
