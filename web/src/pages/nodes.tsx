// SPDX-License-Identifier: Apache-2.0
// The nodes, and the machine under this one.
import type { Performance } from '../data/live';
import { useText } from '../i18n';
import { judge } from '../logic/figures';
import { formatBytes, formatCount, formatMs, formatPercent, formatSpan } from '../logic/format';
import { Chart } from '../ui/chart';
import { numberOf } from '../ui/listing';
import { Card, Table, Tiles } from '../ui/parts';
import { RangedPage } from '../ui/range';
import { Fleet } from './nodes_fleet';

function PressureTable({ figures }: { figures: Performance }) {
  const { t, word } = useText();
  const { pressure } = figures.system;
  if (!pressure) {
    return <p class="quiet">{t('nodes.pressure.none')}</p>;
  }
  return (
    <Table
      label={t('nodes.pressure')}
      empty=""
      rowKey={([name]) => name}
      rows={Object.entries(pressure)}
      columns={[
        { key: 'name', label: t('nodes.resource'), read: ([name]) => word('nodes.pressure', name) },
        {
          key: 'some',
          label: t('nodes.some'),
          num: true,
          read: ([, p]) => p.some_avg10,
          show: ([, p]) => formatPercent(p.some_avg10),
        },
        {
          key: 'full',
          label: t('nodes.full'),
          num: true,
          read: ([, p]) => p.full_avg10,
          show: ([, p]) => formatPercent(p.full_avg10),
        },
      ]}
    />
  );
}

function SystemTiles({ figures }: { figures: Performance }) {
  const { t } = useText();
  const system = (name: string) => numberOf(figures.system[name]);
  const fds = system('open_fds');
  const limit = system('fds_limit');
  return (
    <Tiles
      items={[
        {
          label: t('fig.cpu'),
          value: formatPercent(system('cpu_percent')),
          tone: judge(system('cpu_percent'), 63, 70),
        },
        { label: t('fig.processCpu'), value: formatPercent(system('process_cpu_percent')) },
        {
          label: t('fig.memory'),
          value: formatPercent(system('memory_percent')),
          tone: judge(system('memory_percent'), 72, 80),
        },
        { label: t('fig.rss'), value: formatBytes(system('rss_bytes')) },
        { label: t('fig.connections'), value: formatCount(system('connections')) },
        {
          label: t('fig.fds'),
          value: formatCount(fds),
          note: limit === null ? '' : ` / ${formatCount(limit)}`,
          tone: judge(fds === null || limit === null ? null : fds / limit, 0.8, 0.9),
        },
        { label: t('fig.disk'), value: formatBytes(system('disk_free_bytes')) },
        {
          label: t('fig.stall'),
          value: formatMs(system('loop_stall_max_ms')),
          tone: judge(system('loop_stall_max_ms'), 100, 1000),
        },
      ]}
    />
  );
}

export function NodesPage({ figures }: { figures: Performance }) {
  const { t } = useText();
  return (
    <RangedPage title={t('tab.nodes')} what={t('nodes.what')}>
      {({ range, points, spanS, stepMs }) => (
        <>
          <Fleet />
          <h2 class="section">
            {t('nodes.system')}
            <small> {t('app.up', { span: formatSpan(numberOf(figures.system.uptime_s)) })}</small>
          </h2>
          <SystemTiles figures={figures} />
          <div class="grid">
            <Chart
              title={t('nodes.chart.cpu')}
              what={t('nodes.chart.cpu.what')}
              unit="percent"
              max={100}
              points={points}
              spanS={spanS}
              stepMs={stepMs}
              series={[
                { label: t('fig.cpu'), read: (row) => row.cpu_percent, color: 1, filled: true },
                { label: t('fig.memory'), read: (row) => row.memory_percent, color: 2 },
              ]}
            />
            <Chart
              title={t('nodes.chart.connections')}
              what={t('nodes.chart.connections.what')}
              unit="count"
              points={points}
              spanS={spanS}
              stepMs={stepMs}
              series={[
                {
                  label: t('fig.connections'),
                  read: (row) => row.connections ?? row.connections_peak,
                  color: 4,
                  filled: true,
                },
              ]}
            />
            {range === '5m' && (
              <Chart
                title={t('nodes.chart.stall')}
                what={t('nodes.chart.stall.what')}
                unit="ms"
                points={points}
                spanS={spanS}
                stepMs={stepMs}
                series={[
                  { label: t('fig.stall'), read: (row) => row.stall_ms, color: 3, filled: true },
                ]}
              />
            )}
            <Card title={t('nodes.pressure')} what={t('nodes.pressure.what')}>
              <PressureTable figures={figures} />
            </Card>
          </div>
        </>
      )}
    </RangedPage>
  );
}
