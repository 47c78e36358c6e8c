// SPDX-License-Identifier: Apache-2.0
// A document that is asked for again and again while a page shows it.
import { useEffect, useState } from 'preact/hooks';

import { backoffMs } from '../logic/backoff';
import { get, type Answer, type Problem } from './http';

export interface Polled<T> {
  data: T | null; // the last that came
  problem: Problem | null; // why the last try brought none
  lastMs: number | null;
}

const NOTHING: Polled<never> = { data: null, problem: null, lastMs: null };

const turns = new Set<() => void>();

// Everything that is shown is asked for anew: something was changed from here.
export function pollNow(): void {
  turns.forEach((turn) => turn());
}

// Calls `read` now and again `everyMs` after each answer; a failure waits longer each time. A page
// in a hidden tab asks for nothing.
export function poll<T>(
  read: (signal: AbortSignal) => Promise<Answer<T>>,
  everyMs: number,
  tell: (answer: Answer<T>) => void,
): () => void {
  const ended = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let isAsking = false;
  let isDue = false; // again, as soon as the answer that is awaited is there
  const turn = async (): Promise<void> => {
    if (document.hidden) {
      timer = setTimeout(() => void turn(), everyMs);
      return;
    }
    isAsking = true;
    const answer = await read(ended.signal);
    isAsking = false;
    if (ended.signal.aborted) {
      return;
    }
    failures = answer.ok ? 0 : failures + 1;
    tell(answer);
    const waitMs = answer.ok ? everyMs : Math.max(everyMs, backoffMs(failures));
    timer = setTimeout(() => void turn(), isDue ? 0 : waitMs);
    isDue = false;
  };
  const turnNow = () => {
    isDue = isAsking;
    if (!isAsking) {
      clearTimeout(timer);
      void turn();
    }
  };
  turns.add(turnNow);
  void turn();
  return () => {
    turns.delete(turnNow);
    ended.abort();
    clearTimeout(timer);
  };
}

// What `read` brings, as long as a page shows it; `key` names what is read. Null: nothing is asked.
export function usePolling<T>(
  read: (signal: AbortSignal) => Promise<Answer<T>>,
  key: string | null,
  everyMs: number,
): Polled<T> {
  const [state, setState] = useState<Polled<T>>(NOTHING);
  useEffect(() => {
    setState(NOTHING);
    if (key === null) {
      return undefined;
    }
    return poll<T>(read, everyMs, (answer) => {
      setState((before) =>
        answer.ok
          ? { data: answer.data, problem: null, lastMs: Date.now() }
          : { ...before, problem: answer.problem },
      );
    });
  }, [key, everyMs]);
  return state;
}

// Null as a path: nothing is asked for.
export function usePolled<T>(path: string | null, everyMs: number): Polled<T> {
  return usePolling<T>((signal) => get<T>(path!, signal), path, everyMs);
}
