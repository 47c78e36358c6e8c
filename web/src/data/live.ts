// SPDX-License-Identifier: Apache-2.0
// The figures of each second: a stream of the node, and the series that charts show. It comes back
// by itself: after a break it waits (logic/backoff), asks whether the session still stands, fetches
// what it missed and listens again. A page that is hidden for long stops listening until it is
// looked at again.
import { backoffMs } from '../logic/backoff';
import { MINUTES_KEPT, SECONDS_KEPT, Series, type Row } from '../logic/series';
import { SILENCE_MAX_MS } from '../logic/stream';
import { get } from './http';
import { askWhoIAm, session } from './session';
import { Store } from './store';
import { openStream, type Stream } from './stream';

export interface Times {
  count: number;
  avg_ms: number | null;
  p50_ms?: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  max_ms: number | null;
  slow_count: number;
}

export interface RouteFigures extends Times {
  route: string;
  rps: number;
  error_rate: number | null;
  in_flight: number;
  oldest_in_flight_ms: number;
}

export interface QueryFigures extends Times {
  name: string;
  queue_avg_ms: number | null;
  run_avg_ms: number | null;
  failures: number;
}

export interface CacheLevel {
  hits: number;
  misses: number;
  hit_rate: number | null;
  entries: number;
  capacity: number;
  evictions: number;
  avg_us: number | null;
  state?: string;
}

export interface NodeFigures {
  id: string;
  url?: string;
  healthy: boolean;
  cpu: number | null;
  memory: number | null;
  connections: number | null;
  hit_rate: number | null;
  rps?: number | null;
  avg_ms?: number | null;
  version?: string;
}

export interface Pressure {
  some_avg10: number | null;
  full_avg10: number | null;
}

export interface Performance {
  at: string;
  covered_s: number;
  api: Omit<RouteFigures, 'route'> & { endpoints: RouteFigures[] };
  db: Omit<QueryFigures, 'name'> & { queries: QueryFigures[] };
  cache: {
    hit_rate: number | null;
    l1: CacheLevel;
    l2: CacheLevel;
    misses_by_cause: Record<string, number>;
  };
  system: Record<string, number | string | null> & {
    pressure?: Record<string, Pressure> | null;
  };
  nodes: NodeFigures[];
  second: Row | null;
}

export type Link = 'connecting' | 'live' | 'lost';

export interface Live {
  link: Link;
  figures: Performance | null;
  lastMs: number | null; // when figures last came, by this browser's clock
  retryAtMs: number | null; // when the next try begins
}

export const live = new Store<Live>({
  link: 'connecting',
  figures: null,
  lastMs: null,
  retryAtMs: null,
});
export const seconds = new Series(SECONDS_KEPT, 1000);
export const minutes = new Series(MINUTES_KEPT, 60000);
export const minutesVersion = new Store(0);

const MINUTES_EVERY_MS = 60000;
const HIDDEN_MAX_MS = 30000;

let source: Stream | null = null;
let tries = 0;
let retryTimer: ReturnType<typeof setTimeout> | undefined;
let watchTimer: ReturnType<typeof setInterval> | undefined;
let minutesTimer: ReturnType<typeof setInterval> | undefined;
let hiddenTimer: ReturnType<typeof setTimeout> | undefined;
let isAway = false; // hidden for so long that it does not listen
let generation = 0; // answers of an earlier connection are dropped

// One event of the stream, taken in. Public for the test that feeds hours of them.
export function takeFigures(figures: Performance, nowMs: number): void {
  seconds.add(figures.second);
  live.set({ link: 'live', figures, lastMs: nowMs, retryAtMs: null });
}

async function loadSeconds(mine: number): Promise<void> {
  const answer = await get<{ items: Row[] }>('/v1/performance/history?step=1');
  if (mine === generation && answer.ok) {
    const newer = seconds.points().map((point) => point.row);
    seconds.replace(answer.data.items);
    newer.forEach((row) => seconds.add(row));
  }
}

async function loadMinutes(mine: number): Promise<void> {
  const answer = await get<{ items: Row[] }>('/v1/performance/history');
  if (mine === generation && answer.ok) {
    minutes.replace(answer.data.items);
    minutesVersion.set(minutesVersion.value + 1);
  }
}

function listen(mine: number): void {
  source = openStream(session.value?.key ?? '', {
    figures: (text) => {
      if (mine === generation) {
        tries = 0;
        takeFigures(JSON.parse(text) as Performance, Date.now());
      }
    },
    broken: () => {
      if (mine === generation) {
        retryLater();
      }
    },
  });
}

function closeStream(): void {
  generation++;
  source?.close();
  source = null;
  clearTimeout(retryTimer);
}

function retryLater(): void {
  closeStream();
  const wait = backoffMs(tries++);
  live.set({ ...live.value, link: 'lost', retryAtMs: Date.now() + wait });
  retryTimer = setTimeout(() => void connect(), wait);
}

async function connect(): Promise<void> {
  closeStream();
  const mine = generation;
  const problem = await askWhoIAm();
  if (mine !== generation) {
    return;
  }
  if (problem !== null) {
    retryLater();
    return;
  }
  listen(mine);
  await Promise.all([loadSeconds(mine), loadMinutes(mine)]);
}

// A connection can die without a word (a laptop that slept): silence is a break, too.
function watchSilence(): void {
  const { link, lastMs } = live.value;
  if (!isAway && link === 'live' && lastMs !== null && Date.now() - lastMs > SILENCE_MAX_MS) {
    retryLater();
  }
}

function goAway(): void {
  isAway = true;
  closeStream();
}

function comeBack(): void {
  if (isAway) {
    isAway = false;
    retryNow();
  }
}

function noteVisibility(): void {
  clearTimeout(hiddenTimer);
  if (document.hidden) {
    hiddenTimer = setTimeout(goAway, HIDDEN_MAX_MS);
  } else {
    comeBack();
  }
}

export function startLive(): void {
  tries = 0;
  isAway = false;
  noteVisibility();
  document.addEventListener('visibilitychange', noteVisibility);
  addEventListener('pagehide', goAway); // it may be kept, and shown again
  addEventListener('pageshow', comeBack);
  live.set({ ...live.value, link: 'connecting', retryAtMs: null });
  void connect();
  watchTimer = setInterval(watchSilence, 2000);
  minutesTimer = setInterval(() => {
    if (!isAway) {
      void loadMinutes(generation);
    }
  }, MINUTES_EVERY_MS);
}

export function stopLive(): void {
  closeStream();
  clearTimeout(hiddenTimer);
  document.removeEventListener('visibilitychange', noteVisibility);
  removeEventListener('pagehide', goAway);
  removeEventListener('pageshow', comeBack);
  clearInterval(watchTimer);
  clearInterval(minutesTimer);
  seconds.replace([]);
  minutes.replace([]);
  live.set({ link: 'connecting', figures: null, lastMs: null, retryAtMs: null });
}

export function retryNow(): void {
  tries = 0;
  void connect();
}
