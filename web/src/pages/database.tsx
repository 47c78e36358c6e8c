// SPDX-License-Identifier: Apache-2.0
// What the store does, and what its optimizer sees.
import type { Performance, QueryFigures } from '../data/live';
import { useText } from '../i18n';
import { judge } from '../logic/figures';
import { formatCount, formatMs } from '../logic/format';
import { Chart } from '../ui/chart';
import { Pairs } from '../ui/facts';
import { Listing, textOf, type Item } from '../ui/listing';
import { Card, Chip, Table, Tiles, type Column, type Tone } from '../ui/parts';
import { RangedPage } from '../ui/range';

function useColumns(): Column<QueryFigures>[] {
  const { t } = useText();
  type Ms = 'avg_ms' | 'queue_avg_ms' | 'run_avg_ms' | 'p95_ms' | 'p99_ms' | 'max_ms';
  const ms = (key: Ms, label: string): Column<QueryFigures> => ({
    key,
    label,
    num: true,
    read: (row) => row[key],
    show: (row) => formatMs(row[key]),
  });
  const count = (
    key: 'count' | 'slow_count' | 'failures',
    label: string,
  ): Column<QueryFigures> => ({
    key,
    label,
    num: true,
    read: (row) => row[key],
    show: (row) => formatCount(row[key]),
  });
  return [
    { key: 'name', label: t('fig.operation'), code: true, read: (row) => row.name },
    count('count', t('fig.count')),
    ms('avg_ms', t('fig.avg')),
    ms('queue_avg_ms', t('fig.queue')),
    ms('run_avg_ms', t('fig.run')),
    ms('p95_ms', t('fig.p95')),
    ms('p99_ms', t('fig.p99')),
    ms('max_ms', t('fig.max')),
    count('slow_count', t('fig.slow')),
    count('failures', t('fig.failures')),
  ];
}

export function DatabasePage({ figures }: { figures: Performance }) {
  const { t } = useText();
  const columns = useColumns();
  const { db } = figures;
  return (
    <RangedPage title={t('tab.database')} what={t('db.what')}>
      {({ points, spanS, stepMs, perSecond }) => (
        <>
          <Tiles
            items={[
              { label: t('fig.count'), value: formatCount(db.count) },
              { label: t('fig.avg'), value: formatMs(db.avg_ms), tone: judge(db.avg_ms, 90, 100) },
              {
                label: t('fig.queue'),
                value: formatMs(db.queue_avg_ms),
                tone: judge(db.queue_avg_ms, 50, 100),
              },
              { label: t('fig.run'), value: formatMs(db.run_avg_ms) },
              { label: t('fig.p95'), value: formatMs(db.p95_ms) },
              { label: t('fig.p99'), value: formatMs(db.p99_ms) },
              {
                label: t('fig.slow'),
                value: formatCount(db.slow_count),
                tone: judge(db.slow_count, 0, 10),
              },
              {
                label: t('fig.failures'),
                value: formatCount(db.failures),
                tone: judge(db.failures, 0, 0),
              },
            ]}
          />
          <div class="grid">
            <Chart
              title={t('db.chart.time')}
              what={t('db.chart.time.what')}
              unit="ms"
              points={points}
              spanS={spanS}
              stepMs={stepMs}
              series={[
                { label: t('fig.avg'), read: (row) => row.db_avg_ms, color: 1, filled: true },
                { label: t('fig.queue'), read: (row) => row.db_queue_ms, color: 2 },
              ]}
            />
            <Chart
              title={t('db.chart.rate')}
              what={t('db.chart.rate.what')}
              unit="per_second"
              points={points}
              spanS={spanS}
              stepMs={stepMs}
              series={[
                {
                  label: t('db.operations'),
                  read: (row) => perSecond(row.queries),
                  color: 4,
                  filled: true,
                },
              ]}
            />
          </div>
          <Card title={t('db.operations')} what={t('db.operations.what')} wide>
            <Table
              label={t('db.operations')}
              columns={columns}
              sortable
              rowKey={(row) => row.name}
              rows={[...db.queries].sort((a, b) => b.count - a.count)}
              empty={t('db.none')}
              toneOf={(row) => (row.failures > 0 ? 'bad' : row.slow_count > 0 ? 'warn' : 'none')}
            />
          </Card>
          <Optimizer />
        </>
      )}
    </RangedPage>
  );
}

const STATE_TONES: Record<string, Tone> = {
  good: 'good',
  done: 'good',
  planned: 'warn',
  warning: 'warn',
  undone: 'warn',
  failed: 'bad',
};
const STATE_ORDER = ['failed', 'warning', 'undone', 'planned', 'done', 'info', 'good', 'skipped'];

function stateTone(row: Item): Tone {
  return STATE_TONES[textOf(row.state)] ?? 'none';
}

function worstStates(rows: Item[]): Item[] {
  const rank = (row: Item) => {
    const at = STATE_ORDER.indexOf(textOf(row.state));
    return at < 0 ? STATE_ORDER.length : at;
  };
  return [...rows].sort((a, b) => rank(a) - rank(b));
}

function useReportColumns(): Column<Item>[] {
  const { t, word } = useText();
  const text = (key: string, label: string, code = false): Column<Item> => ({
    key,
    label,
    code,
    read: (row) => textOf(row[key]),
  });
  return [
    {
      key: 'state',
      label: t('fig.state'),
      read: (row) => STATE_ORDER.indexOf(textOf(row.state)),
      show: (row) => <Chip tone={stateTone(row)}>{word('report.state', textOf(row.state))}</Chip>,
    },
    text('name', t('report.name'), true),
    text('what', t('report.what'), true),
    {
      key: 'detail',
      label: t('report.detail'),
      read: (row) => textOf(row.detail),
      show: (row) => (
        <div class="detail">
          {textOf(row.detail)}
          {row.sql !== null && row.sql !== undefined && <code>{textOf(row.sql)}</code>}
          {row.lock !== null && row.lock !== undefined && (
            <p class="quiet">{t('report.lock', { lock: textOf(row.lock) })}</p>
          )}
        </div>
      ),
    },
    {
      key: 'facts',
      label: t('report.facts'),
      read: () => null,
      show: (row) => <Pairs of={row.facts} />,
    },
  ];
}

const REPORTS = [
  { title: 'db.queries', what: 'db.queries.what', path: '/v1/database/queries' },
  { title: 'db.indexes', what: 'db.indexes.what', path: '/v1/database/indexes' },
  { title: 'db.partitions', what: 'db.partitions.what', path: '/v1/database/partitions' },
] as const;
const REPORT_EVERY_MS = 30000; // the queries are run to be explained

function Optimizer() {
  const { t } = useText();
  const columns = useReportColumns();
  return (
    <div class="stack after">
      {REPORTS.map((report) => (
        <Listing
          key={report.path}
          title={t(report.title)}
          what={t(report.what)}
          path={report.path}
          everyMs={REPORT_EVERY_MS}
          columns={columns}
          rowKey={(row, i) => `${i} ${textOf(row.what)} ${textOf(row.name)}`}
          empty={t('db.noRows')}
          toneOf={stateTone}
          order={worstStates}
        />
      ))}
    </div>
  );
}
