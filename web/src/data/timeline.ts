// SPDX-License-Identifier: Apache-2.0
// The timeline of an event, kept up to date with small questions: the whole span once, then what is
// new.
import { useEffect, useRef, useState } from 'preact/hooks';

import { sumTimeline, type TimelineItem } from '../logic/event';
import type { Point } from '../logic/series';
import { get } from './http';
import { poll } from './poll';

export interface TimelineRange {
  spanS: number;
  stepS: number;
  everyMs: number;
}

export const TIMELINE_RANGES = {
  '5m': { spanS: 300, stepS: 1, everyMs: 2000 },
  '1h': { spanS: 3600, stepS: 60, everyMs: 10000 },
  '24h': { spanS: 86400, stepS: 600, everyMs: 60000 },
} as const;
export type TimelineName = keyof typeof TIMELINE_RANGES;

const AGAIN_S = 30; // late scans of the last seconds are asked for again

// Adds newer points to older ones: newer win, what is older than the span falls out.
export function mergePoints(
  before: readonly Point[],
  more: readonly Point[],
  sinceMs: number,
): Point[] {
  const firstNew = more[0]?.ms ?? Infinity;
  return [...before.filter((point) => point.ms < firstNew && point.ms >= sinceMs), ...more];
}

export function useTimeline(event: string, name: TimelineName): readonly Point[] {
  const [points, setPoints] = useState<readonly Point[]>([]);
  const kept = useRef<readonly Point[]>([]);
  useEffect(() => {
    const range: TimelineRange = TIMELINE_RANGES[name];
    const stepMs = range.stepS * 1000;
    kept.current = [];
    setPoints([]);
    let asked = { sinceMs: 0, untilMs: 0 };
    return poll<{ items: TimelineItem[] }>(
      (signal) => {
        // Seconds that are over: the present one would always look like a fall. Longer steps
        // include the present one, which fills up before one's eyes.
        const untilMs = stepMs > 1000 ? Date.now() : Math.floor(Date.now() / 1000) * 1000 - 1000;
        const wholeMs = untilMs - range.spanS * 1000;
        const lastMs = kept.current[kept.current.length - 1]?.ms ?? 0;
        const sinceMs = Math.max(wholeMs, lastMs - Math.max(AGAIN_S * 1000, 2 * stepMs));
        asked = { sinceMs, untilMs };
        const query = new URLSearchParams({
          since: new Date(sinceMs).toISOString(),
          until: new Date(untilMs).toISOString(),
          step: String(range.stepS),
        });
        return get(`/v1/events/${encodeURIComponent(event)}/stats/timeline?${query}`, signal);
      },
      range.everyMs,
      (answer) => {
        if (answer.ok) {
          const more = sumTimeline(answer.data.items, asked.sinceMs, asked.untilMs, stepMs);
          kept.current = mergePoints(kept.current, more, asked.untilMs - range.spanS * 1000);
          setPoints(kept.current);
        }
      },
    );
  }, [event, name]);
  return points;
}
