// SPDX-License-Identifier: Apache-2.0
// What the cache of this node did since its start, as GET /v1/cache tells it.
import type { ComponentChildren } from 'preact';

import { ratioOf, type CacheAct, type CacheClass, type CacheDocument } from '../data/cache';
import { usePolled } from '../data/poll';
import { useText } from '../i18n';
import {
  formatBytes,
  formatCount,
  formatDateTime,
  formatMs,
  formatRatio,
  formatUs,
  parseTime,
} from '../logic/format';
import { Bars, Card, Chip, Loaded, Table, type Column, type Tone } from '../ui/parts';

const PATH = '/v1/cache';
const EVERY_MS = 5000;

const STATE_TONES: Record<string, Tone> = {
  closed: 'good',
  heard: 'good',
  settled: 'good',
  half_open: 'warn',
  late: 'warn',
  doubt: 'warn',
  open: 'bad',
  silent: 'bad',
};

export function StateChip({ state, words }: { state: string; words: string }) {
  const { word } = useText();
  return <Chip tone={STATE_TONES[state] ?? 'none'}>{word(words, state)}</Chip>;
}

function Facts({ rows }: { rows: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {rows.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Level1({ l1 }: Pick<CacheDocument, 'l1'>) {
  const { t } = useText();
  const of = (value: string, most: string) => `${value} / ${most}`;
  return (
    <Card title={t('cache.l1')}>
      <Facts
        rows={[
          [t('cache.policy'), <code>{l1.policy}</code>],
          [t('fig.hitRate'), formatRatio(l1.hit_rate)],
          [t('fig.hits'), formatCount(l1.hits)],
          [t('fig.misses'), formatCount(l1.misses)],
          [t('fig.entries'), of(formatCount(l1.entries), formatCount(l1.capacity))],
          [t('fig.memory'), of(formatBytes(l1.bytes), formatBytes(l1.capacity_bytes))],
          [t('fig.lookup'), formatUs(l1.avg_us)],
        ]}
      />
    </Card>
  );
}

function Level2({ l2 }: Pick<CacheDocument, 'l2'>) {
  const { t } = useText();
  const state: [string, ComponentChildren] = [
    t('fig.state'),
    <StateChip state={l2.state} words="cache.state" />,
  ];
  if (l2.state === 'off') {
    return (
      <Card title={t('cache.l2')}>
        <Facts rows={[state]} />
        <p class="quiet">{t('cache.l2.off')}</p>
      </Card>
    );
  }
  return (
    <Card title={t('cache.l2')} what={t('cache.breaker.what')}>
      <Facts
        rows={[
          state,
          [t('cache.l2.nodes'), `${formatCount(l2.nodes_open)} / ${formatCount(l2.nodes)}`],
          [t('cache.l2.opened'), formatCount(l2.breaker_opened)],
          [t('cache.l2.refused'), formatCount(l2.refused_open)],
          [t('fig.hitRate'), formatRatio(l2.hit_rate)],
          [t('fig.hits'), formatCount(l2.hits)],
          [t('fig.misses'), formatCount(l2.misses)],
          [t('cache.l2.answer'), formatUs(ratioOf(l2.answers_us, l2.answers))],
          [t('cache.l2.deadlines'), formatCount(l2.deadlines)],
          [t('cache.l2.lost'), formatCount(l2.disconnects + l2.unreachable)],
          [t('cache.l2.retries'), formatCount(l2.retries)],
        ]}
      />
    </Card>
  );
}

function Channel({ channel, mark }: Pick<CacheDocument, 'channel' | 'mark'>) {
  const { t } = useText();
  const isThere = channel.state !== 'none';
  return (
    <Card title={t('cache.channel')} what={t('cache.channel.what')}>
      <Facts
        rows={[
          [t('fig.state'), <StateChip state={channel.state} words="cache.channel" />],
          [t('cache.heard'), formatMs(channel.heard_ms)],
          [t('cache.lag'), formatUs(isThere ? channel.lag_us_last : null)],
          [t('cache.lagMax'), formatUs(isThere ? channel.lag_us_max : null)],
          [t('cache.pending'), formatCount(isThere ? channel.pending : null)],
          [t('cache.mark'), <StateChip state={mark.state} words="cache.mark" />],
          [t('cache.mark.drops'), formatCount(mark.state === 'off' ? null : mark.drops)],
          [t('cache.mark.turns'), formatCount(mark.state === 'off' ? null : mark.turns)],
        ]}
      />
    </Card>
  );
}

interface CausesProps {
  title: string;
  words: string;
  of: Record<string, number>;
}

function Causes({ title, words, of }: CausesProps) {
  const { word } = useText();
  const rows = Object.entries(of)
    .map(([name, count]) => ({ name: word(words, name), count, text: formatCount(count) }))
    .sort((a, b) => b.count - a.count);
  return (
    <Card title={title}>
      <Bars label={title} rows={rows} />
    </Card>
  );
}

function l1RateOf(row: CacheClass): number | null {
  return ratioOf(row.l1_hits, row.l1_hits + row.l1_misses);
}

function l2RateOf(row: CacheClass): number | null {
  return ratioOf(row.l2_hits, row.l2_hits + row.l2_misses);
}

function useClassColumns(): Column<CacheClass>[] {
  const { t } = useText();
  const number = (
    key: string,
    label: string,
    read: (row: CacheClass) => number | null,
    show: (value: number | null) => string = formatCount,
  ): Column<CacheClass> => ({ key, label, num: true, read, show: (row) => show(read(row)) });
  return [
    { key: 'prefix', label: t('cache.class'), code: true, read: (row) => row.prefix },
    number('l1', t('cache.l1Rate'), l1RateOf, formatRatio),
    number('l1_hits', t('cache.l1Hits'), (r) => r.l1_hits),
    number('l1_misses', t('cache.l1Misses'), (r) => r.l1_misses),
    number('l2', t('cache.l2Rate'), l2RateOf, formatRatio),
    number('l2_down', t('cache.l2Down'), (r) => r.l2_down),
    number('loads', t('cache.loads'), (r) => r.loads),
    number('loads_us', t('cache.loadTime'), (r) => ratioOf(r.loads_us, r.loads), formatUs),
    number('loads_failed', t('cache.loadsFailed'), (r) => r.loads_failed),
    number('joined', t('cache.joined'), (r) => r.joined),
    number('stale', t('cache.stale'), (r) => r.stale),
    number('invalidations', t('cache.invalidations'), (r) => r.invalidations),
  ];
}

function Estimates({ estimates, l1 }: Pick<CacheDocument, 'estimates' | 'l1'>) {
  const { t } = useText();
  return (
    <Card title={t('cache.estimates')} what={t('cache.estimates.what')}>
      <Table
        label={t('cache.estimates')}
        rows={estimates}
        rowKey={(row) => String(row.entries)}
        empty={t('db.noRows')}
        columns={[
          {
            key: 'entries',
            label: t('fig.entries'),
            num: true,
            read: (row) => row.entries,
            show: (row) =>
              formatCount(row.entries) +
              (row.entries === l1.capacity ? ` (${t('cache.estimates.now')})` : ''),
          },
          {
            key: 'hit_rate',
            label: t('cache.estimates.rate'),
            num: true,
            read: (row) => row.hit_rate,
            show: (row) => formatRatio(row.hit_rate),
          },
        ]}
      />
      {estimates.every((one) => one.hit_rate === null) && (
        <p class="quiet">{t('cache.estimates.few')}</p>
      )}
    </Card>
  );
}

function useActColumns(): Column<CacheAct>[] {
  const { t, word } = useText();
  return [
    {
      key: 'at',
      label: t('actions.at'),
      read: (row) => row.at,
      show: (row) => formatDateTime(parseTime(row.at)),
    },
    { key: 'act', label: t('alerts.action'), read: (row) => word('cache.act', row.act) },
    {
      key: 'entries',
      label: t('fig.entries'),
      num: true,
      read: (row) => row.entries,
      show: (row) => formatCount(row.entries),
    },
    {
      key: 'before',
      label: t('cache.act.before'),
      num: true,
      read: (row) => row.hit_rate_before,
      show: (row) => formatRatio(row.hit_rate_before),
    },
    {
      key: 'after',
      label: t('cache.act.after'),
      num: true,
      read: (row) => row.hit_rate_after,
      show: (row) => formatRatio(row.hit_rate_after),
    },
  ];
}

function Acts({ management }: Pick<CacheDocument, 'management'>) {
  const { t } = useText();
  const { trim, renew, rests, acts } = management;
  return (
    <Card title={t('cache.acts')} what={t('cache.acts.what')} wide>
      <Table
        label={t('cache.acts')}
        columns={useActColumns()}
        rows={acts}
        rowKey={(row, i) => `${i} ${row.at}`}
        empty={t('cache.acts.none')}
      />
      <p class="quiet small">
        {t('cache.acts.count', { trim, renew })} {rests && t('cache.acts.rests')}
      </p>
    </Card>
  );
}

function Warming({ warming }: Pick<CacheDocument, 'warming'>) {
  const { t, word } = useText();
  const time = (text: string | null) => formatDateTime(parseTime(text));
  return (
    <Card title={t('cache.warming')} what={t('cache.warming.what')}>
      <Facts
        rows={[
          [t('fig.state'), word('cache.warming', warming.state)],
          [t('cache.warming.scope'), word('cache.warming.scope', warming.scope)],
          [t('cache.warming.keys'), formatCount(warming.keys)],
          [t('cache.warming.people'), formatCount(warming.participants)],
          [t('fig.failures'), formatCount(warming.failed)],
          [t('cache.warming.begun'), time(warming.begun_at)],
          [t('cache.warming.ended'), time(warming.ended_at)],
        ]}
      />
    </Card>
  );
}

export function SinceStart() {
  const { t } = useText();
  const polled = usePolled<CacheDocument>(PATH, EVERY_MS);
  const columns = useClassColumns();
  return (
    <>
      <h2 class="section">{t('cache.since')}</h2>
      <Loaded from={polled} path={PATH}>
        {(data) => (
          <>
            <div class="grid">
              <Level1 l1={data.l1} />
              <Level2 l2={data.l2} />
              <Causes
                title={t('cache.l1.causes')}
                words="cache.cause"
                of={data.l1.misses_by_cause}
              />
              <Causes title={t('cache.l1.left')} words="cache.left" of={data.l1.left_by_cause} />
              <Channel channel={data.channel} mark={data.mark} />
              <Warming warming={data.warming} />
              <Estimates estimates={data.estimates} l1={data.l1} />
            </div>
            <Card title={t('cache.classes')} what={t('cache.classes.what')} wide>
              <Table
                label={t('cache.classes')}
                columns={columns}
                rows={data.classes}
                rowKey={(row) => row.prefix}
                sortable
                empty={t('db.noRows')}
                toneOf={(row) => (row.loads_failed > 0 ? 'warn' : 'none')}
              />
            </Card>
            <Acts management={data.management} />
          </>
        )}
      </Loaded>
    </>
  );
}
