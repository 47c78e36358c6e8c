// SPDX-License-Identifier: Apache-2.0
// The doors, live: how many are inside, where it is crowded, who was refused and why.
import { useEffect, useState } from 'preact/hooks';

import { fetchNames, nameOf, peopleVersion } from '../data/people';
import { usePolled } from '../data/poll';
import { session } from '../data/session';
import { useStore } from '../data/store';
import { TIMELINE_RANGES, useTimeline, type TimelineName } from '../data/timeline';
import { useText } from '../i18n';
import { busiestFirst, countReasons, type GateRow } from '../logic/event';
import { judge } from '../logic/figures';
import { formatClock, formatCount, parseTime } from '../logic/format';
import { Chart, ChartGroup, useShared, ZoomReset } from '../ui/chart';
import {
  Bars,
  Card,
  Chip,
  Choice,
  Loaded,
  Note,
  PageHead,
  Table,
  Tiles,
  type Tone,
} from '../ui/parts';

interface EventRow {
  code: string;
  name: string | null;
  capacity: number | null;
}

interface Stats {
  participants: number;
  admitted: number;
  inside: number;
  scans: number;
  refused: number;
  gates: GateRow[];
  methods: Record<string, number>;
}

interface RecordRow {
  record_id: string;
  participant: string | null;
  gate: string;
  direction: string;
  verdict: string;
  reason: string | null;
  annulled_at: string | null;
  scanned_at: string;
}

const GATES_SHOWN = 8;
const LATEST_SHOWN = 8;
const REFUSALS_READ = 500;
const DAY_MS = 86400000;

const VERDICT_TONES: Record<string, Tone> = { admitted: 'good', exited: 'none', refused: 'bad' };

function at(event: string, rest: string): string {
  return `/v1/events/${encodeURIComponent(event)}${rest}`;
}

function Totals({ stats, capacity }: { stats: Stats; capacity: number | null }) {
  const { t } = useText();
  const lastMinute = stats.gates.reduce((sum, gate) => sum + gate.last_minute, 0);
  const room =
    capacity === null
      ? t('event.noCapacity')
      : t('event.ofCapacity', { capacity: formatCount(capacity) });
  return (
    <Tiles
      items={[
        {
          label: t('event.inside'),
          value: formatCount(stats.inside),
          note: room,
          tone: judge(capacity ? stats.inside / capacity : null, 0.9, 0.99),
        },
        {
          label: t('event.lastMinute'),
          value: formatCount(lastMinute),
          note: t('event.admissions'),
        },
        {
          label: t('event.admitted'),
          value: formatCount(stats.admitted),
          note: t('event.ofParticipants', { participants: formatCount(stats.participants) }),
        },
        { label: t('event.scans'), value: formatCount(stats.scans) },
        { label: t('event.refused'), value: formatCount(stats.refused) },
      ]}
    />
  );
}

function Flow({ event, range }: { event: string; range: TimelineName }) {
  const { t } = useText();
  const points = useTimeline(event, range);
  const { spanS, stepS } = TIMELINE_RANGES[range];
  return (
    <Chart
      title={t('event.chart')}
      what={t('event.chart.what', { step: t(`event.step.${stepS}`) })}
      unit="count"
      wide
      points={points}
      spanS={spanS}
      stepMs={stepS * 1000}
      series={[
        { label: t('event.series.admitted'), read: (row) => row.admitted, color: 1, filled: true },
        { label: t('event.series.exited'), read: (row) => row.exited, color: 2 },
        { label: t('event.series.refused'), read: (row) => row.refused, color: 3 },
      ]}
    />
  );
}

function Gates({ gates }: { gates: GateRow[] }) {
  const { t } = useText();
  const [all, setAll] = useState(false);
  const rows = busiestFirst(gates);
  const most = Math.max(1, ...rows.map((row) => row.last_minute));
  const count = (key: 'admitted' | 'exited' | 'refused', label: string) => ({
    key,
    label,
    num: true,
    read: (row: GateRow) => row[key],
    show: (row: GateRow) => formatCount(row[key]),
  });
  return (
    <Card title={t('event.gates')} what={t('event.gates.what')}>
      <Table
        label={t('event.gates')}
        sortable
        rows={all ? rows : rows.slice(0, GATES_SHOWN)}
        rowKey={(row) => row.gate}
        empty={t('db.noRows')}
        columns={[
          { key: 'gate', label: t('event.gate'), code: true, read: (row) => row.gate },
          {
            key: 'last_minute',
            label: t('event.lastMinute'),
            num: true,
            read: (row) => row.last_minute,
            show: (row) => (
              <span class="inline-bar">
                <i style={{ width: `${(100 * row.last_minute) / most}%` }} />
                <b>{formatCount(row.last_minute)}</b>
              </span>
            ),
          },
          count('admitted', t('event.series.admitted')),
          count('exited', t('event.exited')),
          count('refused', t('event.refused')),
        ]}
      />
      {rows.length > GATES_SHOWN && (
        <button type="button" class="plain" onClick={() => setAll(!all)}>
          {all ? t('event.fewerGates') : t('event.moreGates', { count: rows.length })}
        </button>
      )}
    </Card>
  );
}

// The start of the day that is looked back on moves in whole hours, so that the address stays the
// same.
function useDayAgo(): string {
  const hour = Math.floor(Date.now() / 3600000) * 3600000;
  return new Date(hour - DAY_MS).toISOString();
}

function Refusals({ event }: { event: string }) {
  const { t, word } = useText();
  const path = at(event, `/attendance?verdict=refused&since=${useDayAgo()}&limit=${REFUSALS_READ}`);
  const polled = usePolled<{ items: RecordRow[] }>(path, 5000);
  return (
    <Card title={t('event.reasons')}>
      <Loaded from={polled} path={at(event, '/attendance')}>
        {({ items }) =>
          items.length === 0 ? (
            <Note tone="good">{t('event.reasons.none')}</Note>
          ) : (
            <>
              <Bars
                label={t('event.reasons')}
                rows={countReasons(items).map(({ name, count }) => ({
                  name: word('reason', name),
                  count,
                  text: formatCount(count),
                }))}
              />
              <p class="quiet small">
                {t('event.reasons.what', {
                  count: formatCount(items.length),
                  clock: formatClock(parseTime(items[items.length - 1]!.scanned_at)),
                })}
              </p>
            </>
          )
        }
      </Loaded>
    </Card>
  );
}

function Person({ event, id }: { event: string; id: string | null }) {
  const { t } = useText();
  useStore(peopleVersion);
  return id === null ? (
    <i class="quiet">{t('event.unknownPerson')}</i>
  ) : (
    <span class="person">{nameOf(event, id) ?? `#${id}`}</span>
  );
}

function Latest({ event }: { event: string }) {
  const { t, word } = useText();
  const polled = usePolled<{ items: RecordRow[] }>(
    at(event, `/attendance?limit=${LATEST_SHOWN}`),
    2000,
  );
  useEffect(() => {
    const ids = (polled.data?.items ?? []).flatMap((row) => row.participant ?? []);
    void fetchNames(event, ids);
  }, [event, polled.data]);
  const verdict = (row: RecordRow) => (
    <>
      <Chip tone={VERDICT_TONES[row.verdict] ?? 'none'}>
        {row.reason ? word('reason', row.reason) : word('verdict', row.verdict)}
      </Chip>
      {row.annulled_at && <small class="quiet"> {t('verdict.annulled')}</small>}
    </>
  );
  return (
    <Card title={t('event.latest')} wide>
      <Loaded from={polled} path={at(event, '/attendance')}>
        {({ items }) => (
          <Table
            label={t('event.latest')}
            rows={items}
            rowKey={(row) => row.record_id}
            empty={t('event.latest.none')}
            columns={[
              {
                key: 'at',
                label: t('event.time'),
                read: (row) => formatClock(parseTime(row.scanned_at)),
              },
              { key: 'gate', label: t('event.gate'), code: true, read: (row) => row.gate },
              {
                key: 'person',
                label: t('event.person'),
                read: (row) => row.participant,
                show: (row) => <Person event={event} id={row.participant} />,
              },
              {
                key: 'verdict',
                label: t('event.verdict'),
                read: (row) => row.verdict,
                show: verdict,
              },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}

function RangeChoice({
  range,
  setRange,
}: {
  range: TimelineName;
  setRange: (range: TimelineName) => void;
}) {
  const { t } = useText();
  const { zoom, cursor } = useShared();
  const change = (next: TimelineName) => {
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
        options={(['5m', '1h', '24h'] as const).map((value) => ({
          value,
          text: t(`range.${value}`),
        }))}
      />
    </>
  );
}

function OneEvent({ event, range }: { event: EventRow; range: TimelineName }) {
  const { t } = useText();
  const path = at(event.code, '/stats');
  const polled = usePolled<Stats>(path, 1000);
  if (polled.data === null && polled.problem?.status === 404) {
    return <Note tone="warn">{t('event.unknown', { event: event.code })}</Note>;
  }
  return (
    <Loaded from={polled} path={path}>
      {(stats) => (
        <>
          <Totals stats={stats} capacity={event.capacity} />
          <div class="grid">
            <Flow event={event.code} range={range} />
            <Gates gates={stats.gates} />
            <Refusals event={event.code} />
            <Latest event={event.code} />
          </div>
        </>
      )}
    </Loaded>
  );
}

function CodeForm({ onCode }: { onCode: (code: string) => void }) {
  const { t } = useText();
  return (
    <form
      class="code-form"
      onSubmit={(event) => {
        event.preventDefault();
        onCode(
          String(new FormData(event.currentTarget as HTMLFormElement).get('code') ?? '').trim(),
        );
      }}
    >
      <p class="quiet">{t('event.noList')}</p>
      <label for="event-code">{t('event.code')}</label>
      <input id="event-code" name="code" maxLength={64} autocomplete="off" />
      <button type="submit" class="primary">
        {t('event.show')}
      </button>
    </form>
  );
}

// Who may list events chooses from them; who may not names one.
function useEvents(): { list: EventRow[] | null; mayList: boolean } {
  const who = useStore(session);
  const mayList = who?.scope === 'admin' || who?.scope === 'analyst';
  const polled = usePolled<{ items: EventRow[] }>(mayList ? '/v1/events?limit=1000' : null, 30000);
  return { list: polled.data?.items ?? null, mayList };
}

export function EventPage({
  code,
  setCode,
}: {
  code: string | null;
  setCode: (code: string) => void;
}) {
  const { t } = useText();
  const who = useStore(session);
  const { list, mayList } = useEvents();
  const [range, setRange] = useState<TimelineName>('5m');
  const chosen = who?.event ?? code ?? list?.[0]?.code ?? null;
  const event =
    list?.find((one) => one.code === chosen) ??
    (chosen === null ? null : { code: chosen, name: null, capacity: null });
  return (
    <ChartGroup>
      <PageHead
        title={event?.name ?? event?.code ?? t('tab.event')}
        what={event?.name ? event.code : undefined}
      >
        {list !== null && list.length > 1 && (
          <label class="pick">
            {t('event.choose')}
            <select value={chosen ?? ''} onChange={(change) => setCode(change.currentTarget.value)}>
              {list.map((one) => (
                <option key={one.code} value={one.code}>
                  {one.name ?? one.code}
                </option>
              ))}
            </select>
          </label>
        )}
        <RangeChoice range={range} setRange={setRange} />
      </PageHead>
      {!mayList && who?.event === null && <CodeForm onCode={setCode} />}
      {list !== null && list.length === 0 && <Note>{t('event.none')}</Note>}
      {event !== null && <OneEvent key={event.code} event={event} range={range} />}
    </ChartGroup>
  );
}
