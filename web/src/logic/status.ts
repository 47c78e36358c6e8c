// SPDX-License-Identifier: Apache-2.0
// Which row is worse, and so stands further up. The two rows of load say how much was asked for: a
// quiet node misses them without being in trouble, so they never stand above the health of the
// node.
export type Status = 'met' | 'at_risk' | 'missed' | 'unknown';
export const STATUSES: readonly Status[] = ['missed', 'at_risk', 'unknown', 'met'];

export interface KpiRow {
  key: string;
  goal: number;
  value: number | null;
  unit: string;
  status: Status;
  comparison: string;
}

export const KPI_KEYS = [
  'api_response_ms',
  'db_query_ms',
  'cache_hit_rate',
  'memory_percent',
  'cpu_percent',
  'concurrent_users',
  'throughput_tps',
] as const;
export type KpiKey = (typeof KPI_KEYS)[number];

const LOAD_KEYS: readonly string[] = ['concurrent_users', 'throughput_tps'];

export function isLoad(row: Pick<KpiRow, 'key'>): boolean {
  return LOAD_KEYS.includes(row.key);
}

export function statusOf(word: unknown): Status {
  return STATUSES.find((status) => status === word) ?? 'unknown';
}

// Worst first; equals keep their order.
export function worstFirst<T extends { status: Status }>(rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => STATUSES.indexOf(a.status) - STATUSES.indexOf(b.status));
}

export interface Verdict {
  status: Status;
  missed: number;
  atRisk: number;
  unknown: number;
}

// What the rows say together: of the node's health alone. No row is no knowledge.
export function verdictOf(rows: readonly KpiRow[]): Verdict {
  const health = rows.filter((row) => !isLoad(row));
  const count = (status: Status) => health.filter((row) => row.status === status).length;
  const missed = count('missed');
  const atRisk = count('at_risk');
  const unknown = count('unknown');
  const status =
    missed > 0 ? 'missed' : atRisk > 0 ? 'at_risk' : unknown === health.length ? 'unknown' : 'met';
  return { status, missed, atRisk, unknown };
}

const SEVERITIES = ['critical', 'high', 'warning', 'medium', 'info', 'low'];

// critical and high before warning and medium before info and low; unknown words last.
export function severityRank(word: unknown): number {
  const at = SEVERITIES.indexOf(String(word));
  return at < 0 ? SEVERITIES.length : at;
}
