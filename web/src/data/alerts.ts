// SPDX-License-Identifier: Apache-2.0
// The documents of alerts, silences, the journal and notices, and what may be changed about them.
import { send, type Problem } from './http';
import { pollNow } from './poll';

interface Watched {
  state: string;
  value: number | null;
  absent: boolean;
  data: string;
  flapping: boolean;
  silenced: boolean;
}

export interface NodeAlert extends Watched {
  node: string;
}

export interface Alert extends Watched {
  rule: string;
  severity: string;
  action: string | null;
  metric: string;
  per: string | null;
  rate_over_s: number;
  op: string;
  threshold: number;
  clear: number | null;
  for_s: number;
  cooldown_s: number;
  since: string | null;
  resolved_at: string | null;
  nodes?: NodeAlert[]; // of a rule over nodes
}

export interface Acting {
  state: 'on' | 'stopped' | 'unknown';
  at: string | null;
  by: string | null;
  reason: string | null;
}

export interface Shedding {
  rule: string;
  at: string;
  until: string;
  by: string;
}

export interface AlertsDocument {
  at: string;
  mode: string;
  acting: Acting;
  shedding: Shedding | null;
  unwatched: number;
  items: Alert[];
}

export interface Silence {
  id: string;
  rule: string | null;
  node: string | null;
  severity: string | null;
  at: string;
  until: string;
  by: string;
  reason: string;
}

export interface NewSilence {
  rule?: string;
  node?: string;
  severity?: string;
  duration_s: number;
  reason: string;
}

export interface Action {
  id: string;
  at: string;
  system: string;
  actor: string;
  action: string;
  target: string;
  outcome: string;
  trigger: string | null;
  plan: string | null;
  evidence: Record<string, unknown>;
  before: Record<string, unknown>;
  after: Record<string, unknown>;
  detail: string;
}

export interface Receiver {
  receiver: string;
  type: string;
  disabled: boolean;
  queued: number;
  delivered: number;
  refused: number;
  given_up: number;
  tries_failed: number;
  put_off: number;
  delivered_at: string | null;
  trouble: string | null;
}

export interface Notification {
  id: string;
  key: string;
  at: string;
  changed_at: string;
  receiver: string;
  actor: string;
  state: string;
  attempts: number;
  detail: string;
  notice: { title?: string; text?: string };
}

export interface NotificationsDocument {
  receivers: Receiver[];
  items: Notification[];
}

// What a key orders. The key is sent with this request and forgotten; undefined: none is asked for.
type Key = string | undefined;

async function order(method: string, path: string, body: unknown, key: Key) {
  const answer = await send<unknown>(method, path, body, { key });
  if (answer.ok) {
    pollNow();
  }
  return answer.ok ? null : answer.problem;
}

export function stopActing(reason: string, key: Key): Promise<Problem | null> {
  return order('POST', '/v1/actions:stop', { reason }, key);
}

export function resumeActing(key: Key): Promise<Problem | null> {
  return order('POST', '/v1/actions:resume', undefined, key);
}

// Of an action that waits.
export function judge(
  id: string,
  verdict: 'approve' | 'refuse',
  key: Key,
): Promise<Problem | null> {
  return order('POST', `/v1/actions/${encodeURIComponent(id)}:${verdict}`, undefined, key);
}

export function makeSilence(silence: NewSilence, key: Key): Promise<Problem | null> {
  return order('POST', '/v1/silences', silence, key);
}

export function endSilence(id: string, key: Key): Promise<Problem | null> {
  return order('DELETE', `/v1/silences/${encodeURIComponent(id)}`, undefined, key);
}
