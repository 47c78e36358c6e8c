// SPDX-License-Identifier: Apache-2.0
// Rules and their states, and the journal of what was done by itself.
import { useText } from '../i18n';
import { formatDateTime, parseTime } from '../logic/format';
import { severityRank } from '../logic/status';
import { Listing, textOf, type Item } from '../ui/listing';
import { Chip, PageHead, type Column, type Tone } from '../ui/parts';

const STATE_RANK = ['firing', 'pending', 'resolved', 'inactive'];

function stateTone(row: Item): Tone {
  return row.state === 'firing'
    ? row.severity === 'info'
      ? 'warn'
      : 'bad'
    : row.state === 'pending'
      ? 'warn'
      : row.state === 'resolved'
        ? 'good'
        : 'none';
}

function worstRules(rows: Item[]): Item[] {
  const rank = (row: Item) => (STATE_RANK.indexOf(textOf(row.state)) + 5) % 5;
  return [...rows].sort(
    (a, b) => rank(a) - rank(b) || severityRank(a.severity) - severityRank(b.severity),
  );
}

function useRuleColumns(): Column<Item>[] {
  const { t, word } = useText();
  const text = (key: string, label: string, num = false): Column<Item> => ({
    key,
    label,
    num,
    read: (row) => (typeof row[key] === 'number' ? (row[key] as number) : textOf(row[key])),
  });
  return [
    {
      key: 'state',
      label: t('alerts.state'),
      read: (row) => textOf(row.state),
      show: (row) => <Chip tone={stateTone(row)}>{word('alerts.state', textOf(row.state))}</Chip>,
    },
    { key: 'rule', label: t('alerts.rule'), code: true, read: (row) => textOf(row.rule) },
    {
      key: 'severity',
      label: t('alerts.severity'),
      read: (row) => word('alerts.severity', textOf(row.severity)),
    },
    text('value', t('alerts.value'), true),
    text('threshold', t('alerts.threshold'), true),
    {
      key: 'since',
      label: t('alerts.since'),
      read: (row) => textOf(row.since),
      show: (row) => formatDateTime(parseTime(row.since)),
    },
    text('action', t('alerts.action')),
  ];
}

function useActionColumns(): Column<Item>[] {
  const { t } = useText();
  const text = (key: string, label: string, code = false): Column<Item> => ({
    key,
    label,
    code,
    read: (row) => textOf(row[key]),
  });
  return [
    {
      key: 'at',
      label: t('actions.at'),
      read: (row) => textOf(row.at),
      show: (row) => formatDateTime(parseTime(row.at)),
    },
    text('action', t('alerts.action'), true),
    text('target', t('actions.target')),
    text('reason', t('actions.reason')),
    text('outcome', t('actions.outcome')),
    text('before', t('actions.before')),
    text('after', t('actions.after')),
  ];
}

export function AlertsPage() {
  const { t } = useText();
  return (
    <>
      <PageHead title={t('tab.alerts')} what={t('alerts.what')} />
      <div class="stack">
        <Listing
          title={t('alerts.rules')}
          what={t('alerts.what')}
          path="/v1/alerts"
          everyMs={2000}
          columns={useRuleColumns()}
          rowKey={(row) => textOf(row.rule)}
          empty={t('alerts.rules.none')}
          toneOf={stateTone}
          order={worstRules}
        />
        <Listing
          title={t('actions.list')}
          what={t('actions.what')}
          path="/v1/actions?limit=50"
          everyMs={5000}
          columns={useActionColumns()}
          rowKey={(row) => textOf(row.id ?? row.at)}
          empty={t('actions.none')}
        />
      </div>
    </>
  );
}
