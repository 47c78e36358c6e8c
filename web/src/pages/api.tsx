// SPDX-License-Identifier: Apache-2.0
// Every answer of the API.
import type { Performance, RouteFigures } from '../data/live';
import { useText } from '../i18n';
import { judge } from '../logic/figures';
import { formatCount, formatMs, formatRate, formatRatio } from '../logic/format';
import { Chart } from '../ui/chart';
import { Card, Table, Tiles, type Column } from '../ui/parts';
import { RangedPage } from '../ui/range';

function useColumns(): Column<RouteFigures>[] {
  const { t } = useText();
  const ms = (
    key: 'avg_ms' | 'p50_ms' | 'p95_ms' | 'p99_ms' | 'max_ms',
    label: string,
  ): Column<RouteFigures> => ({
    key,
    label,
    num: true,
    read: (row) => row[key],
    show: (row) => formatMs(row[key]),
  });
  return [
    { key: 'route', label: t('fig.route'), code: true, read: (row) => row.route },
    {
      key: 'count',
      label: t('fig.count'),
      num: true,
      read: (row) => row.count,
      show: (row) => formatCount(row.count),
    },
    {
      key: 'rps',
      label: t('fig.rate'),
      num: true,
      read: (row) => row.rps,
      show: (row) => formatRate(row.rps),
    },
    ms('avg_ms', t('fig.avg')),
    ms('p50_ms', t('fig.p50')),
    ms('p95_ms', t('fig.p95')),
    ms('p99_ms', t('fig.p99')),
    ms('max_ms', t('fig.max')),
    {
      key: 'error_rate',
      label: t('fig.errorRate'),
      num: true,
      read: (row) => row.error_rate,
      show: (row) => formatRatio(row.error_rate),
    },
    {
      key: 'slow_count',
      label: t('fig.slow'),
      num: true,
      read: (row) => row.slow_count,
      show: (row) => formatCount(row.slow_count),
    },
    {
      key: 'in_flight',
      label: t('fig.inFlight'),
      num: true,
      read: (row) => row.in_flight,
      show: (row) => formatCount(row.in_flight),
    },
  ];
}

export function ApiPage({ figures }: { figures: Performance }) {
  const { t } = useText();
  const columns = useColumns();
  const { api } = figures;
  return (
    <RangedPage title={t('tab.api')} what={t('api.what')}>
      {({ range, points, spanS, stepMs, perSecond }) => (
        <>
          <Tiles
            items={[
              { label: t('fig.rate'), value: formatRate(api.rps) },
              {
                label: t('fig.avg'),
                value: formatMs(api.avg_ms),
                tone: judge(api.avg_ms, 450, 500),
              },
              { label: t('fig.p50'), value: formatMs(api.p50_ms) },
              { label: t('fig.p95'), value: formatMs(api.p95_ms) },
              { label: t('fig.p99'), value: formatMs(api.p99_ms) },
              { label: t('fig.max'), value: formatMs(api.max_ms) },
              {
                label: t('fig.errorRate'),
                value: formatRatio(api.error_rate),
                tone: judge(api.error_rate, 0, 0.01),
              },
              {
                label: t('fig.slow'),
                value: formatCount(api.slow_count),
                tone: judge(api.slow_count, 0, 10),
              },
              { label: t('fig.inFlight'), value: formatCount(api.in_flight) },
              {
                label: t('fig.oldest'),
                value: formatMs(api.oldest_in_flight_ms),
                tone: judge(api.oldest_in_flight_ms, 1000, 10000),
              },
            ]}
          />
          <div class="grid">
            <Chart
              title={t('api.chart.rate')}
              what={t('api.chart.rate.what')}
              unit="per_second"
              points={points}
              spanS={spanS}
              stepMs={stepMs}
              series={[
                {
                  label: t('fig.requests'),
                  read: (row) => perSecond(row.requests),
                  color: 1,
                  filled: true,
                },
                { label: t('fig.errors'), read: (row) => perSecond(row.server_errors), color: 3 },
              ]}
            />
            <Chart
              title={t('api.chart.time')}
              what={t('api.chart.time.what')}
              unit="ms"
              points={points}
              spanS={spanS}
              stepMs={stepMs}
              series={[
                {
                  label: t('fig.avg'),
                  read: (row) => row.api_avg_ms,
                  color: 1,
                  filled: range === '5m',
                },
                ...(range === '24h'
                  ? [
                      {
                        label: t('fig.p95'),
                        read: (row: Record<string, unknown>) => row.api_p95_ms,
                        color: 2 as const,
                      },
                    ]
                  : []),
              ]}
            />
            <Chart
              title={t('api.chart.tps')}
              what={t('api.chart.tps.what')}
              unit="per_second"
              wide
              points={points}
              spanS={spanS}
              stepMs={stepMs}
              series={[
                {
                  label: t('fig.tps'),
                  read: (row) => row.tps ?? row.tps_peak,
                  color: 4,
                  filled: true,
                },
              ]}
            />
          </div>
          <Card title={t('api.routes')} what={t('api.routes.what')} wide>
            <Table
              label={t('api.routes')}
              columns={columns}
              sortable
              rowKey={(row) => row.route}
              rows={[...api.endpoints].sort((a, b) => b.count - a.count)}
              empty={t('api.none')}
              toneOf={(row) =>
                row.error_rate !== null && row.error_rate > 0.01
                  ? 'bad'
                  : row.slow_count > 0
                    ? 'warn'
                    : 'none'
              }
            />
          </Card>
        </>
      )}
    </RangedPage>
  );
}
