// SPDX-License-Identifier: Apache-2.0
// What the cache levels answer, and why they sometimes do not.
import type { CacheLevel, Performance } from '../data/live';
import { useText } from '../i18n';
import { judge } from '../logic/figures';
import { formatCount, formatRatio, formatUs } from '../logic/format';
import { Chart } from '../ui/chart';
import { Bars, Card, Table, Tiles, type Column } from '../ui/parts';
import { RangedPage } from '../ui/range';
import { SinceStart, StateChip } from './cache_since';

type Level = CacheLevel & { name: string };

function useColumns(): Column<Level>[] {
  const { t } = useText();
  const count = (
    key: 'hits' | 'misses' | 'entries' | 'capacity' | 'evictions',
    label: string,
  ): Column<Level> => ({
    key,
    label,
    num: true,
    read: (row) => row[key],
    show: (row) => formatCount(row[key]),
  });
  return [
    { key: 'name', label: t('cache.level'), read: (row) => row.name },
    {
      key: 'state',
      label: t('fig.state'),
      read: (row) => row.state ?? '',
      show: (row) =>
        row.state !== undefined && <StateChip state={row.state} words="cache.state" />,
    },
    {
      key: 'hit_rate',
      label: t('fig.hitRate'),
      num: true,
      read: (row) => row.hit_rate,
      show: (row) => formatRatio(row.hit_rate),
    },
    count('hits', t('fig.hits')),
    count('misses', t('fig.misses')),
    count('entries', t('fig.entries')),
    count('capacity', t('fig.capacity')),
    count('evictions', t('fig.evictions')),
    {
      key: 'avg_us',
      label: t('fig.lookup'),
      num: true,
      read: (row) => row.avg_us,
      show: (row) => formatUs(row.avg_us),
    },
  ];
}

export function CachePage({ figures }: { figures: Performance }) {
  const { t, word } = useText();
  const columns = useColumns();
  const { cache } = figures;
  const causes = Object.entries(cache.misses_by_cause)
    .map(([name, count]) => ({ name: word('cache.cause', name), count, text: formatCount(count) }))
    .sort((a, b) => b.count - a.count);
  const isAsked = cache.l1.hits + cache.l1.misses > 0;
  return (
    <RangedPage title={t('tab.cache')} what={t('cache.what')}>
      {({ points, spanS, stepMs }) => (
        <>
          <Tiles
            items={[
              {
                label: t('cache.total'),
                value: formatRatio(cache.hit_rate),
                tone: judge(cache.hit_rate, 0.85, 0.7),
              },
              { label: 'L1', value: formatRatio(cache.l1.hit_rate) },
              {
                label: 'L2',
                value:
                  cache.l2.state === 'off'
                    ? word('cache.state', 'off')
                    : formatRatio(cache.l2.hit_rate),
              },
              { label: t('fig.hits'), value: formatCount(cache.l1.hits + cache.l2.hits) },
              {
                label: t('fig.entries'),
                value: formatCount(cache.l1.entries),
                note: ` / ${formatCount(cache.l1.capacity)}`,
              },
              {
                label: t('fig.evictions'),
                value: formatCount(cache.l1.evictions + cache.l2.evictions),
              },
            ]}
          />
          <div class="grid">
            <Chart
              title={t('cache.chart')}
              what={t('cache.chart.what')}
              unit="ratio"
              max={1}
              points={points}
              spanS={spanS}
              stepMs={stepMs}
              series={[
                { label: t('fig.hitRate'), read: (row) => row.hit_rate, color: 1, filled: true },
              ]}
            />
            <Card title={t('cache.causes')} what={t('cache.causes.what')}>
              {isAsked ? (
                <Bars label={t('cache.causes')} rows={causes} />
              ) : (
                <p class="quiet">{t('cache.none')}</p>
              )}
            </Card>
          </div>
          <Card title={t('cache.levels')} wide>
            <Table
              label={t('cache.levels')}
              columns={columns}
              rowKey={(row) => row.name}
              empty={t('cache.none')}
              rows={[
                { ...cache.l1, name: t('cache.l1') },
                { ...cache.l2, name: t('cache.l2') },
              ]}
            />
          </Card>
          <SinceStart />
        </>
      )}
    </RangedPage>
  );
}
