// SPDX-License-Identifier: Apache-2.0
// Requests to this node. The session's cookie goes along by itself; no secret is kept here. The
// cookie only reads: what changes something bears a key, for that one request.
export interface Problem {
  status: number; // 0: the node could not be reached
  code: string;
  detail: string;
}

export type Answer<T> = { ok: true; data: T } | { ok: false; problem: Problem };

export type OnUnauthorized = () => void;
let onUnauthorized: OnUnauthorized = () => undefined;

export function whenUnauthorized(fn: OnUnauthorized): void {
  onUnauthorized = fn;
}

const UNREACHABLE: Problem = { status: 0, code: 'unreachable', detail: '' };
const TIMEOUT_MS = 10000;

async function problemOf(response: Response): Promise<Problem> {
  try {
    const body = (await response.json()) as Partial<Problem>;
    return {
      status: response.status,
      code: String(body.code ?? 'unknown'),
      detail: String(body.detail ?? ''),
    };
  } catch {
    return { status: response.status, code: 'unknown', detail: '' };
  }
}

export async function send<T>(
  method: string,
  path: string,
  body?: unknown,
  { signal, key }: { signal?: AbortSignal | undefined; key?: string | undefined } = {},
): Promise<Answer<T>> {
  const timeout = new AbortController();
  const stop = () => timeout.abort();
  const timer = setTimeout(stop, TIMEOUT_MS);
  signal?.addEventListener('abort', stop);
  try {
    const response = await fetch(path, {
      method,
      credentials: 'same-origin',
      cache: 'no-store',
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: timeout.signal,
    });
    if (!response.ok) {
      return { ok: false, problem: await problemOf(response) };
    }
    const text = await response.text(); // 202 and 204 have none
    return { ok: true, data: (text === '' ? null : JSON.parse(text)) as T };
  } catch {
    return { ok: false, problem: UNREACHABLE };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

// A read of a page. Without a session any more, the page goes back to its login.
export async function get<T>(path: string, signal?: AbortSignal): Promise<Answer<T>> {
  const answer = await send<T>('GET', path, undefined, { signal });
  if (!answer.ok && answer.problem.status === 401) {
    onUnauthorized();
  }
  return answer;
}
