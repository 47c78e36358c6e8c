// SPDX-License-Identifier: Apache-2.0
// The nodes, and the machine under this one.
import type { NodeFigures, Performance } from '../data/live';
import { usePolled } from '../data/poll';
import { useText, type Key } from '../i18n';
import { judge } from '../logic/figures';
import {
  formatBytes,
  formatCount,
  formatMs,
  formatPercent,
  formatRatio,
  formatSpan,
} from '../logic/format';
import { Chart } from '../ui/chart';
import { numberOf } from '../ui/listing';
import { Card, Chip, Loaded, Note, Table, Tiles, type Column, type Tone } from '../ui/parts';
import { RangedPage } from '../ui/range';

const PATH = '/v1/nodes';

interface ListedNode extends NodeFigures {
  stale?: boolean;
  age_s?: number;
}

interface NodesDocument {
  items: ListedNode[];
  scale?: { current: number; desired: number; reason: string };
  optimal?: Record<string, string | null>;
}

function healthOf(row: ListedNode): { tone: Tone; key: Key } {
  if (!row.healthy) {
    return { tone: 'bad', key: 'nodes.unhealthy' };
  }
  return row.stale ? { tone: 'warn', key: 'nodes.stale' } : { tone: 'good', key: 'nodes.healthy' };
}

function useColumns(): Column<ListedNode>[] {
  const { t } = useText();
  return [
    { key: 'id', label: t('nodes.node'), code: true, read: (row) => row.id },
    {
      key: 'healthy',
      label: t('nodes.health'),
      read: (row) => healthOf(row).tone,
      show: (row) => (
        <Chip tone={healthOf(row).tone}>
          {t(healthOf(row).key)}
          {row.stale && ` (${formatSpan(row.age_s)})`}
        </Chip>
      ),
    },
    {
      key: 'cpu',
      label: t('fig.cpu'),
      num: true,
      read: (row) => row.cpu,
      show: (row) => formatPercent(row.cpu),
    },
    {
      key: 'memory',
      label: t('fig.memory'),
      num: true,
      read: (row) => row.memory,
      show: (row) => formatPercent(row.memory),
    },
    {
      key: 'connections',
      label: t('fig.connections'),
      num: true,
      read: (row) => row.connections,
      show: (row) => formatCount(row.connections),
    },
    {
      key: 'hit_rate',
      label: t('fig.hitRate'),
      num: true,
      read: (row) => row.hit_rate,
      show: (row) => formatRatio(row.hit_rate),
    },
    { key: 'url', label: t('nodes.url'), code: true, read: (row) => row.url },
    { key: 'version', label: t('nodes.version'), read: (row) => row.version },
  ];
}

function toneOf(row: ListedNode): Tone {
  if (!row.healthy) {
    return 'bad';
  }
  return row.stale || (row.cpu ?? 0) > 80 || (row.memory ?? 0) > 85 ? 'warn' : 'none';
}

function Scale({ scale }: { scale: NonNullable<NodesDocument['scale']> }) {
  const { t } = useText();
  const isRight = scale.current === scale.desired;
  return (
    <Note tone={isRight ? 'good' : 'warn'}>
      {t('nodes.scale', { current: scale.current, desired: scale.desired })} {scale.reason}
    </Note>
  );
}

function Best({ optimal }: { optimal: NonNullable<NodesDocument['optimal']> }) {
  const { t, word } = useText();
  return (
    <p class="quiet small best">
      {t('nodes.optimal')}{' '}
      {Object.entries(optimal).map(([type, id]) => (
        <span key={type}>
          {word('nodes.type', type)} <code>{id ?? '–'}</code>
        </span>
      ))}
    </p>
  );
}

function List({ figures }: { figures: Performance }) {
  const { t } = useText();
  const columns = useColumns();
  const polled = usePolled<NodesDocument>(PATH, 3000);
  const table = (rows: ListedNode[]) => (
    <Table
      label={t('nodes.list')}
      columns={columns}
      rows={rows}
      rowKey={(row) => row.id}
      sortable
      empty={t('db.noRows')}
      toneOf={toneOf}
    />
  );
  const isNotThere = polled.data === null && polled.problem?.status === 404;
  return (
    <Card title={t('nodes.list')} wide>
      {isNotThere ? (
        <>
          {table(figures.nodes)}
          <Note>{t('nodes.self', { path: PATH })}</Note>
        </>
      ) : (
        <Loaded from={polled} path={PATH}>
          {(data) => (
            <>
              {data.scale && <Scale scale={data.scale} />}
              {table(data.items)}
              {data.optimal && <Best optimal={data.optimal} />}
            </>
          )}
        </Loaded>
      )}
    </Card>
  );
}

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
          <List figures={figures} />
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
