// SPDX-License-Identifier: Apache-2.0
// A line of the last minutes without axes; the goal is the dashed line.
import type { Column } from '../logic/series';

const WIDTH = 240;
const HEIGHT = 44;
const EDGE = 3;

export function sparkPath(values: Column, low: number, high: number, room: number): string {
  const step = room > 1 ? WIDTH / (room - 1) : 0;
  const from = room - values.length; // the newest stands at the right
  let path = '';
  let pen = 'M';
  values.forEach((value, i) => {
    if (value === null) {
      pen = 'M';
      return;
    }
    const share = high > low ? (value - low) / (high - low) : 0.5;
    const y = HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE);
    path += `${pen}${((from + i) * step).toFixed(1)} ${y.toFixed(1)}`;
    pen = 'L';
  });
  return path;
}

export function Spark({
  values,
  goal,
  room,
  label,
}: {
  values: Column;
  goal: number | null;
  room: number;
  label: string;
}) {
  const known = values.filter((value): value is number => value !== null);
  const most = Math.max(0, ...known);
  // A goal far above the line would press it flat: it is shown when it is near.
  const isNear = goal !== null && goal > 0 && goal <= 4 * most;
  const high = Math.max(most, isNear ? goal : 0) * 1.08 || 1;
  const goalY = isNear ? HEIGHT - EDGE - (goal / high) * (HEIGHT - 2 * EDGE) : 0;
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <line class="base" x1="0" x2={WIDTH} y1={HEIGHT - EDGE} y2={HEIGHT - EDGE} />
      {isNear && <line class="goal" x1="0" x2={WIDTH} y1={goalY} y2={goalY} />}
      <path d={sparkPath(values, 0, high, room)} />
    </svg>
  );
}
