// SPDX-License-Identifier: Apache-2.0
// The document of GET /v1/cache: counters since the node's start.
export interface CacheClass {
  prefix: string;
  l1_hits: number;
  l1_misses: number;
  l2_hits: number;
  l2_misses: number;
  l2_down: number;
  joined: number;
  loads: number;
  loads_failed: number;
  loads_us: number; // in sum
  stale: number;
  invalidations: number;
}

export interface CacheAct {
  at: string;
  act: string;
  text: string;
  entries: number;
  hit_rate_before: number | null;
  hit_rate_after: number | null; // null: the window that tells it is not over
}

export interface CacheDocument {
  at: string;
  hit_rate: number | null;
  l1: {
    policy: string;
    hits: number;
    misses: number;
    hit_rate: number | null;
    entries: number;
    capacity: number;
    bytes: number;
    capacity_bytes: number;
    avg_us: number | null;
    misses_by_cause: Record<string, number>;
    left_by_cause: Record<string, number>;
  };
  l2: {
    state: string;
    hit_rate: number | null;
    hits: number;
    misses: number;
    deadlines: number;
    disconnects: number;
    unreachable: number;
    refused_open: number;
    retries: number;
    breaker_opened: number;
    answers: number;
    answers_us: number; // in sum
    nodes: number;
    nodes_open: number;
  };
  channel: {
    state: string;
    heard_ms: number | null;
    lag_us_last: number;
    lag_us_max: number;
    pending: number;
  };
  mark: { state: string; looked_ms: number | null; drops: number; turns: number };
  classes: CacheClass[];
  estimates: { entries: number; hit_rate: number | null }[];
  management: { trim: number; renew: number; rests: boolean; acts: CacheAct[] };
  warming: {
    state: string;
    scope: string;
    keys: number;
    failed: number;
    events: number;
    participants: number;
    begun_at: string | null;
    ended_at: string | null;
  };
}

// Null where nothing was counted.
export function ratioOf(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null;
}
