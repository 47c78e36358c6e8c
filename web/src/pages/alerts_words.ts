// SPDX-License-Identifier: Apache-2.0
// How figures and words of alerts stand on the page.
export function short(value: unknown): string {
  return typeof value === 'number' && Number.isFinite(value)
    ? value.toLocaleString('en-US', { maximumFractionDigits: 2 })
    : '–';
}

// "no effect" of a document is "no_effect" of the tables of words.
export function wordOf(text: string): string {
  return text.replace(/ /g, '_');
}
