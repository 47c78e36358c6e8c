// SPDX-License-Identifier: Apache-2.0
// Names for the ids that records carry: asked for once each, and only so many are kept.
import { get } from './http';
import { Store } from './store';

export const PEOPLE_KEPT = 200;

const names = new Map<string, string>();
export const peopleVersion = new Store(0);

export function nameOf(event: string, id: string): string | null {
  return names.get(`${event}/${id}`) ?? null;
}

export function keepName(event: string, id: string, name: string): void {
  names.set(`${event}/${id}`, name);
  while (names.size > PEOPLE_KEPT) {
    names.delete(names.keys().next().value!);
  }
}

export function peopleCount(): number {
  return names.size;
}

export async function fetchNames(event: string, ids: readonly string[]): Promise<void> {
  const missing = [...new Set(ids)].filter((id) => nameOf(event, id) === null);
  await Promise.all(
    missing.map(async (id) => {
      const path = `/v1/events/${encodeURIComponent(event)}/participants/${encodeURIComponent(id)}`;
      const answer = await get<{ name: string | null }>(path);
      if (answer.ok) {
        keepName(event, id, answer.data.name ?? '');
      }
    }),
  );
  if (missing.length > 0) {
    peopleVersion.set(peopleVersion.value + 1);
  }
}
