// SPDX-License-Identifier: Apache-2.0
// The seven key figures: what is worst stands first and is largest.
import { live, seconds } from '../data/live';
import { usePolled } from '../data/poll';
import { useStore } from '../data/store';
import { useText, type Key } from '../i18n';
import { formatFigure, formatRound, type Unit } from '../logic/format';
import { columnOf, SECONDS_KEPT, type Row } from '../logic/series';
import { isLoad, statusOf, verdictOf, worstFirst, type KpiRow, type Status } from '../logic/status';
import { Chip, Loaded, PageHead, TONE_OF, ToneIcon } from '../ui/parts';
import { Spark } from '../ui/spark';

const PATH = '/v1/performance/kpi';

// The figure of a second that belongs to a key figure of the window.
const TREND: Record<string, (row: Row) => unknown> = {
  api_response_ms: (row) => row.api_avg_ms,
  db_query_ms: (row) => row.db_avg_ms,
  cache_hit_rate: (row) => row.hit_rate,
  memory_percent: (row) => row.memory_percent,
  cpu_percent: (row) => row.cpu_percent,
  concurrent_users: (row) => row.connections,
  throughput_tps: (row) => row.tps,
};

function useName(): (key: string) => string {
  const { word } = useText();
  return (key) => word('kpi', key);
}

function Figure({ row }: { row: KpiRow }) {
  const { t, word } = useText();
  const name = useName()(row.key);
  const unit = row.unit as Unit;
  const tone = isLoad(row) && row.status !== 'met' ? 'none' : TONE_OF[row.status];
  const values = columnOf(seconds.points(), TREND[row.key] ?? (() => null));
  const comparison = row.comparison === '>=' ? '≥' : row.comparison;
  return (
    <article
      class={`kpi ${tone} ${isLoad(row) ? 'load' : ''}`}
      data-key={row.key}
      data-status={row.status}
    >
      <header>
        <h3>{name}</h3>
        <Chip tone={tone} icon={row.status === 'unknown' ? 'unknown' : tone}>
          {t(`status.${row.status}`)}
        </Chip>
      </header>
      <p class="value">{formatFigure(row.value, unit)}</p>
      <p class="goal">{t('kpi.goal', { goal: `${comparison} ${formatRound(row.goal, unit)}` })}</p>
      <Spark values={values} goal={row.goal} room={SECONDS_KEPT} label={t('kpi.trend', { name })} />
      <p class="quiet">{word('kpi', `${row.key}.what`)}</p>
    </article>
  );
}

function Headline({ rows }: { rows: KpiRow[] }) {
  const { t } = useText();
  const name = useName();
  const verdict = verdictOf(rows);
  const namesOf = (status: Status) =>
    rows
      .filter((row) => !isLoad(row) && row.status === status)
      .map((row) => name(row.key))
      .join(', ');
  return (
    <div class={`headline ${TONE_OF[verdict.status]}`} role="status">
      <ToneIcon tone={TONE_OF[verdict.status]} />
      <div>
        <p class="says">
          {t(`kpi.verdict.${verdict.status}` as Key, { names: namesOf(verdict.status) })}
        </p>
        <p>
          {t('kpi.window')}.
          {verdict.unknown > 0 &&
            verdict.status !== 'unknown' &&
            ` ${t('kpi.verdict.waiting', { names: namesOf('unknown') })}`}
        </p>
      </div>
    </div>
  );
}

export function KpiPage() {
  const { t } = useText();
  useStore(live); // the lines move each second
  const polled = usePolled<{ items: KpiRow[] }>(PATH, 2000);
  return (
    <>
      <PageHead title={t('tab.kpi')} />
      <Loaded from={polled} path={PATH}>
        {(data) => {
          const rows = worstFirst(
            data.items.map((row) => ({ ...row, status: statusOf(row.status) })),
          );
          const part = (load: boolean) =>
            rows
              .filter((row) => isLoad(row) === load)
              .map((row) => <Figure key={row.key} row={row} />);
          return (
            <>
              <Headline rows={rows} />
              <section aria-label={t('kpi.health')}>
                <h2 class="section">{t('kpi.health')}</h2>
                <div class="kpis">{part(false)}</div>
              </section>
              <section aria-label={t('kpi.load')}>
                <h2 class="section">{t('kpi.load')}</h2>
                <p class="quiet lead">{t('kpi.loadNote')}</p>
                <div class="kpis">{part(true)}</div>
              </section>
            </>
          );
        }}
      </Loaded>
    </>
  );
}
