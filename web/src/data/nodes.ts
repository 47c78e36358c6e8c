// SPDX-License-Identifier: Apache-2.0
// The documents of GET /v1/nodes and /v1/nodes/optimal.
import { get, type Answer, type Problem } from './http';
import { usePolling, type Polled } from './poll';

export interface ListedNode {
  id: string;
  url: string;
  version: string;
  state: string | null;
  why: string | null;
  healthy: boolean;
  stale: boolean;
  age_s: number | null;
  cpu: number | null;
  memory: number | null;
  connections: number | null;
  hit_rate: number | null;
  clock_ahead_s: number | null;
  started_at: string | null;
  capabilities: { cpus?: number; memory_limit?: number; connections_max?: number };
}

export interface Leadership {
  leads: boolean;
  leader: string | null;
  url: string | null;
  term: number;
}

export interface NodesDocument {
  at: string;
  items: ListedNode[];
  controller: Leadership;
  scale: { current: number; desired: number; reason: string };
}

export const REQUESTS = ['analytics', 'database', 'cache', 'general'] as const;
export type RequestType = (typeof REQUESTS)[number];

export interface Choice {
  type: RequestType;
  node: { id: string; url: string } | null; // null: no healthy node
  reason: string;
}

const NO_NODES = 'no_healthy_nodes';

async function choiceFor(type: RequestType, signal: AbortSignal): Promise<Choice | Problem> {
  const answer = await get<Choice>(`/v1/nodes/optimal?type=${type}`, signal);
  if (answer.ok) {
    return answer.data;
  }
  const { code, detail } = answer.problem;
  return code === NO_NODES ? { type, node: null, reason: detail } : answer.problem;
}

async function allChoices(signal: AbortSignal): Promise<Answer<Choice[]>> {
  const all = await Promise.all(REQUESTS.map((type) => choiceFor(type, signal)));
  const problem = all.find((one): one is Problem => 'status' in one);
  return problem === undefined ? { ok: true, data: all as Choice[] } : { ok: false, problem };
}

// What the node would choose now, asked for each kind of request.
export function useChoices(everyMs: number): Polled<Choice[]> {
  return usePolling(allChoices, 'choices', everyMs);
}
