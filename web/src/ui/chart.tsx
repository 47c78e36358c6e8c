// SPDX-License-Identifier: Apache-2.0
// A chart over time. All charts of a page share the time under the cursor and the zoom: point at
// one and all tell their figures of that moment, drag over one and all show that span.
import type { ComponentChildren } from 'preact';
import { createContext } from 'preact';
import { useContext, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { shade } from '../data/prefs';
import { Store, useStore } from '../data/store';
import { useText } from '../i18n';
import { formatClock, formatDateTime, formatFigure, formatRound, type Unit } from '../logic/format';
import { columnOf, timesOf, withGaps, type Column, type Point, type Row } from '../logic/series';
import { keyboardView, type Span } from '../logic/zoom';
import { Card } from './parts';

interface Shared {
  cursor: Store<number | null>; // seconds since 1970
  zoom: Store<Span | null>;
}

const SharedContext = createContext<Shared | null>(null);

export function useShared(): Shared {
  return useContext(SharedContext)!;
}

export function ChartGroup({ children }: { children: ComponentChildren }) {
  const shared = useMemo(
    () => ({ cursor: new Store<number | null>(null), zoom: new Store<Span | null>(null) }),
    [],
  );
  return <SharedContext.Provider value={shared}>{children}</SharedContext.Provider>;
}

export function ZoomReset() {
  const { t } = useText();
  const { zoom } = useShared();
  return useStore(zoom) === null ? null : (
    <button type="button" class="plain" onClick={() => zoom.set(null)}>
      {t('range.reset')}
    </button>
  );
}

export interface ChartSeries {
  label: string;
  read: (row: Row) => unknown;
  color: 1 | 2 | 3 | 4;
  unit?: Unit;
  filled?: boolean;
}

interface ChartProps {
  title: string;
  what: string;
  points: readonly Point[];
  series: ChartSeries[];
  unit: Unit;
  spanS: number;
  stepMs: number;
  max?: number;
  wide?: boolean;
}

function cssColor(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function clockTicks(u: uPlot, ticks: number[]): string[] {
  const span = (u.scales.x!.max ?? 0) - (u.scales.x!.min ?? 0);
  return ticks.map((tick) => formatClock(tick * 1000).slice(0, span > 1800 ? 5 : 8));
}

interface Hooks {
  onCursor: (seconds: number | null) => void;
  onSelect: (span: Span) => void;
  onReset: () => void;
}

function optionsFor(props: ChartProps, width: number, hooks: Hooks): uPlot.Options {
  const grid = { stroke: cssColor('--grid'), width: 1 };
  const axis = {
    stroke: cssColor('--muted'),
    font: `12px ${cssColor('--font')}`,
    grid,
    ticks: { show: false },
  };
  return {
    width,
    height: CHART_HEIGHT,
    padding: [10, 22, 0, 0],
    legend: { show: false },
    cursor: {
      points: { size: 7 },
      drag: { x: true, y: false, setScale: false },
      bind: {
        dblclick: () => () => {
          hooks.onReset();
          return null;
        },
      },
    },
    scales: {
      x: { time: true },
      y: { range: (_u, _min, max) => [0, props.max ?? (max > 0 ? max * 1.1 : 1)] },
    },
    axes: [
      { ...axis, size: 28, space: 70, values: clockTicks },
      {
        ...axis,
        size: 66,
        space: 32,
        values: (_u, ticks) => ticks.map((tick) => formatRound(tick, props.unit)),
      },
    ],
    series: [
      {},
      ...props.series.map((one) => ({
        label: one.label,
        stroke: cssColor(`--series-${one.color}`),
        ...(one.filled ? { fill: cssColor(`--fill-${one.color}`) } : {}),
        width: 1.75,
        points: { show: false },
        spanGaps: false,
      })),
    ],
    hooks: {
      setCursor: [
        (u) => hooks.onCursor(u.cursor.left! < 0 ? null : u.posToVal(u.cursor.left!, 'x')),
      ],
      setSelect: [
        (u) => {
          if (u.select.width > 4) {
            hooks.onSelect({
              min: u.posToVal(u.select.left, 'x'),
              max: u.posToVal(u.select.left + u.select.width, 'x'),
            });
          }
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

const CHART_HEIGHT = 190;

function nearest(times: readonly number[], seconds: number): number {
  let best = -1;
  let distance = Infinity;
  times.forEach((time, i) => {
    const away = Math.abs(time - seconds);
    if (away < distance) {
      distance = away;
      best = i;
    }
  });
  return best;
}

function lastKnown(column: Column): number | null {
  for (let i = column.length - 1; i >= 0; i--) {
    if (column[i] !== null && column[i] !== undefined) {
      return column[i]!;
    }
  }
  return null;
}

export function Chart(props: ChartProps) {
  const { t, lang } = useText();
  const look = useStore(shade);
  const { cursor, zoom } = useShared();
  const span = useStore(zoom);
  const at = useStore(cursor);
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const isOwnMove = useRef(false);
  const [hasPlot, setHasPlot] = useState(0);

  const points = withGaps(props.points, props.stepMs);
  const times = timesOf(points);
  const columns = props.series.map((one) => columnOf(points, one.read));
  const isEmpty = columns.every((column) => lastKnown(column) === null);
  const end = times[times.length - 1] ?? Date.now() / 1000;
  const whole: Span = { min: end - props.spanS, max: end };
  const view = span ?? whole;

  useEffect(() => {
    if (isEmpty || box.current === null) {
      return undefined;
    }
    const made = new uPlot(
      optionsFor(props, box.current.clientWidth, {
        onCursor: (seconds) => {
          if (!isOwnMove.current) {
            cursor.set(seconds);
          }
        },
        onSelect: (next) => zoom.set(next),
        onReset: () => zoom.set(null),
      }),
      [[], ...props.series.map(() => [])],
      box.current,
    );
    plot.current = made;
    setHasPlot((n) => n + 1);
    const watcher = new ResizeObserver(() => {
      if (box.current !== null && box.current.clientWidth > 0) {
        made.setSize({ width: box.current.clientWidth, height: CHART_HEIGHT });
      }
    });
    watcher.observe(box.current);
    return () => {
      watcher.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [look, lang, isEmpty, props.unit, props.series.map((one) => one.label).join()]);

  useEffect(() => {
    const u = plot.current;
    if (u !== null) {
      isOwnMove.current = true;
      u.batch(() => {
        u.setData([times, ...columns] as uPlot.AlignedData, false);
        u.setScale('x', view);
      });
      isOwnMove.current = false;
    }
  });

  useEffect(() => {
    const u = plot.current;
    if (u !== null) {
      isOwnMove.current = true;
      u.setCursor(at === null ? { left: -10, top: -10 } : { left: u.valToPos(at, 'x'), top: 10 });
      isOwnMove.current = false;
    }
  }, [at, hasPlot]);

  const index = at === null ? -1 : nearest(times, at);
  const values = props.series.map((one, i) => ({
    ...one,
    text: formatFigure(
      index >= 0 ? columns[i]![index] : lastKnown(columns[i]!),
      one.unit ?? props.unit,
    ),
  }));
  const moment =
    index < 0
      ? t('chart.now')
      : props.spanS > 3600
        ? formatDateTime(times[index]! * 1000)
        : formatClock(times[index]! * 1000);

  const said = values.map((one) => `${one.label} ${one.text}`).join(', ');
  const spoken = `${props.title}, ${moment}: ${said}. ${t('chart.keys')}`;

  const onKeyDown = (event: KeyboardEvent) => {
    const next = keyboardView(event.key, { at, view, whole, stepS: props.stepMs / 1000 });
    if (next !== null) {
      event.preventDefault();
      cursor.set(next.at);
      zoom.set(next.zoom);
    }
  };

  return (
    <Card
      title={props.title}
      what={props.what}
      wide={props.wide}
      tools={<span class="moment">{isEmpty ? '' : moment}</span>}
    >
      <ul class="legend">
        {values.map((one) => (
          <li key={one.label}>
            <i class={`swatch s${one.color}`} />
            {one.label} <b>{one.text}</b>
          </li>
        ))}
      </ul>
      {isEmpty ? (
        <p class="quiet chart-empty">{t('chart.empty')}</p>
      ) : (
        <div
          class="plot"
          ref={box}
          tabIndex={0}
          role="img"
          onKeyDown={onKeyDown}
          onBlur={() => cursor.set(null)}
          aria-label={spoken}
        />
      )}
    </Card>
  );
}
