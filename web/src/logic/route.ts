// SPDX-License-Identifier: Apache-2.0
// Which page an address shows: #/database, #/event/expo-2026.
export const PAGES = [
  'kpi',
  'event',
  'api',
  'database',
  'cache',
  'nodes',
  'alerts',
  'suggestions',
] as const;
export type Page = (typeof PAGES)[number];

export interface Route {
  page: Page;
  event: string | null;
}

function decoded(part: string | undefined): string | null {
  try {
    return part ? decodeURIComponent(part) : null;
  } catch {
    return null;
  }
}

export function routeOf(hash: string): Route {
  const [name, event] = hash.replace(/^#\/?/, '').split('/');
  const page = PAGES.find((one) => one === name) ?? 'kpi';
  return { page, event: page === 'event' ? decoded(event) : null };
}

export function hashOf(route: Route): string {
  return route.event === null
    ? `#/${route.page}`
    : `#/${route.page}/${encodeURIComponent(route.event)}`;
}
