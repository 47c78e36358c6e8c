// SPDX-License-Identifier: Apache-2.0
// Named figures of a document whose names only the node knows.
import { formatBytes, formatMs } from '../logic/format';
import { numberOf, textOf, type Item } from './listing';

export function factText(name: string, value: unknown): string {
  const number = numberOf(value);
  if (number === null) {
    return value === null ? '–' : textOf(value);
  }
  return name.endsWith('_ms')
    ? formatMs(number)
    : name.endsWith('bytes')
      ? formatBytes(number)
      : number.toLocaleString('en-US', { maximumFractionDigits: 3 });
}

// The plain members of an object, one a line; lists and objects in it are left to the API.
export function Pairs({ of }: { of: unknown }) {
  const facts = Object.entries((of as Item | null) ?? {}).filter(
    ([, value]) => value !== null && typeof value !== 'object',
  );
  return (
    <ul class="pairs">
      {facts.map(([name, value]) => (
        <li key={name}>
          <span class="quiet">{name}</span> {factText(name, value)}
        </li>
      ))}
    </ul>
  );
}
