// SPDX-License-Identifier: Apache-2.0
// Rules and their states; beside them who is not told, what was done by itself, who was told.
import type { Alert, AlertsDocument, NodeAlert } from '../data/alerts';
import type { Polled } from '../data/poll';
import { useText, type Key, type Translate } from '../i18n';
import { en } from '../i18n/en';
import { formatDateTime, formatSpan, parseTime } from '../logic/format';
import { severityRank } from '../logic/status';
import { useMayOrder } from '../ui/order';
import { Card, Chip, Loaded, Note, PageHead, Table, type Column, type Tone } from '../ui/parts';
import { Journal } from './alerts_journal';
import { Notices } from './alerts_notices';
import { Silences, SilenceButton } from './alerts_silences';
import { short } from './alerts_words';

const STATE_ORDER = ['firing', 'pending', 'resolved', 'inactive'];

function stateTone(state: string, severity: string): Tone {
  switch (state) {
    case 'firing':
      return severity === 'info' ? 'warn' : 'bad';
    case 'pending':
      return 'warn';
    case 'resolved':
      return 'good';
    default:
      return 'none';
  }
}

function worstRules(rules: readonly Alert[]): Alert[] {
  const rank = (row: Alert) => (STATE_ORDER.indexOf(row.state) + 5) % 5;
  return [...rules].sort(
    (a, b) => rank(a) - rank(b) || severityRank(a.severity) - severityRank(b.severity),
  );
}

// "avg_response_time_ms > 2000", with all that the rule compares.
function conditionOf(t: Translate, row: Alert): string {
  const ratio = row.per === null ? row.metric : `${row.metric} / ${row.per}`;
  const what =
    row.rate_over_s > 0 ? t('alerts.rate', { what: ratio, over: row.rate_over_s }) : ratio;
  const clear = row.clear === null ? '' : ` (${t('alerts.clear', { clear: short(row.clear) })})`;
  return `${what} ${row.op} ${short(row.threshold)}${clear}`;
}

function State({ of, severity }: { of: Alert | NodeAlert; severity: string }) {
  const { t, word } = useText();
  return (
    <>
      <Chip tone={stateTone(of.state, severity)}>{word('alerts.state', of.state)}</Chip>{' '}
      {of.silenced && <Chip tone="none">{t('alerts.silenced')}</Chip>}{' '}
      {of.flapping && <Chip tone="warn">{t('alerts.flapping')}</Chip>}{' '}
      {of.data === 'absent' && <Chip tone="warn">{t('alerts.noData')}</Chip>}
    </>
  );
}

// A rule over nodes has an alert for each.
function Rule({ row }: { row: Alert }) {
  return (
    <div class="said">
      <code>{row.rule}</code>
      <ul class="pairs">
        {(row.nodes ?? []).map((one) => (
          <li key={one.node}>
            <code>{one.node}</code> {short(one.value)} <State of={one} severity={row.severity} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Condition({ row }: { row: Alert }) {
  const { t } = useText();
  return (
    <div class="said">
      <code>{conditionOf(t, row)}</code>
      <p class="quiet">
        {row.for_s > 0 ? t('alerts.for', { span: formatSpan(row.for_s) }) : t('alerts.atOnce')}
      </p>
    </div>
  );
}

function Due({ row }: { row: Alert }) {
  const { t } = useText();
  return row.action === null ? (
    <span class="quiet">{t('alerts.noAction')}</span>
  ) : (
    <>
      <code>{row.action}</code>
      <p class="quiet small">{t('alerts.cooldown', { span: formatSpan(row.cooldown_s) })}</p>
    </>
  );
}

function useColumns(rules: readonly Alert[]): Column<Alert>[] {
  const { t, word } = useText();
  const mayOrder = useMayOrder();
  const columns: (Column<Alert> | false)[] = [
    {
      key: 'state',
      label: t('alerts.state'),
      read: (row) => STATE_ORDER.indexOf(row.state),
      show: (row) => <State of={row} severity={row.severity} />,
    },
    {
      key: 'rule',
      label: t('alerts.rule'),
      read: (row) => row.rule,
      show: (row) => <Rule row={row} />,
    },
    {
      key: 'severity',
      label: t('alerts.severity'),
      read: (row) => severityRank(row.severity),
      show: (row) => word('alerts.severity', row.severity),
    },
    {
      key: 'condition',
      label: t('alerts.condition'),
      read: (row) => row.metric,
      show: (row) => <Condition row={row} />,
    },
    {
      key: 'value',
      label: t('alerts.value'),
      num: true,
      read: (row) => row.value,
      show: (row) => (row.absent ? t('alerts.absent') : short(row.value)),
    },
    {
      key: 'since',
      label: t('alerts.since'),
      read: (row) => row.since,
      show: (row) => formatDateTime(parseTime(row.since)),
    },
    {
      key: 'action',
      label: t('alerts.action'),
      read: (row) => row.action,
      show: (row) => <Due row={row} />,
    },
    mayOrder && {
      key: 'order',
      label: t('silences.silence'),
      read: () => null,
      show: (row) => <SilenceButton rules={rules} rule={row.rule} />,
    },
  ];
  return columns.filter((one): one is Column<Alert> => one !== false);
}

function Rules({ data }: { data: AlertsDocument }) {
  const { t } = useText();
  const key = `alerts.mode.${data.mode}`;
  return (
    <Card title={t('alerts.rules')} what={t('alerts.rules.what')} wide>
      <Table
        label={t('alerts.rules')}
        columns={useColumns(data.items)}
        rows={worstRules(data.items)}
        rowKey={(row) => row.rule}
        sortable
        stacked
        empty={t('alerts.rules.none')}
        toneOf={(row) => (row.silenced ? 'none' : stateTone(row.state, row.severity))}
      />
      <p class="quiet small after">{key in en ? t(key as Key) : data.mode}</p>
      {data.unwatched > 0 && (
        <Note tone="warn">{t('alerts.unwatched', { count: data.unwatched })}</Note>
      )}
    </Card>
  );
}

export function AlertsPage({ alerts }: { alerts: Polled<AlertsDocument> }) {
  const { t } = useText();
  return (
    <>
      <PageHead title={t('tab.alerts')} what={t('alerts.what')} />
      <div class="stack">
        <Loaded from={alerts} path="/v1/alerts">
          {(data) => <Rules data={data} />}
        </Loaded>
        <Silences rules={alerts.data?.items ?? []} />
        <Journal />
        <Notices />
      </div>
    </>
  );
}
