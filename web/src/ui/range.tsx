// SPDX-License-Identifier: Apache-2.0
// 5 minutes by seconds or 24 hours by minutes, for all charts of a page.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';

import { live, minutes, minutesVersion, seconds } from '../data/live';
import { useStore } from '../data/store';
import { useText } from '../i18n';
import type { Point } from '../logic/series';
import { ChartGroup, useShared, ZoomReset } from './chart';
import { Choice, PageHead } from './parts';

export type Range = '5m' | '24h';

export interface Ranged {
  range: Range;
  points: readonly Point[];
  spanS: number;
  stepMs: number;
  perSecond: (count: unknown) => number | null; // of a row's count
}

export function rangedOf(range: Range): Ranged {
  const isShort = range === '5m';
  const stepS = isShort ? 1 : 60;
  return {
    range,
    points: (isShort ? seconds : minutes).points(),
    spanS: isShort ? 300 : 86400,
    stepMs: stepS * 1000,
    perSecond: (count) => (typeof count === 'number' ? count / stepS : null),
  };
}

function RangeChoice({ range, setRange }: { range: Range; setRange: (range: Range) => void }) {
  const { t } = useText();
  const { zoom, cursor } = useShared();
  const change = (next: Range) => {
    zoom.set(null);
    cursor.set(null);
    setRange(next);
  };
  return (
    <>
      <ZoomReset />
      <Choice
        label={t('range.label')}
        value={range}
        onChange={change}
        options={[
          { value: '5m', text: t('range.5m') },
          { value: '24h', text: t('range.24h') },
        ]}
      />
    </>
  );
}

export function RangedPage({
  title,
  what,
  children,
}: {
  title: string;
  what: string;
  children: (ranged: Ranged) => ComponentChildren;
}) {
  const [range, setRange] = useState<Range>('5m');
  useStore(live);
  useStore(minutesVersion);
  return (
    <ChartGroup>
      <PageHead title={title} what={what}>
        <RangeChoice range={range} setRange={setRange} />
      </PageHead>
      {children(rangedOf(range))}
    </ChartGroup>
  );
}
