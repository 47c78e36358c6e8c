// SPDX-License-Identifier: Apache-2.0
// Rules and their states, and the journal of what was done by itself.
import { useText, type Key } from '../i18n';
import { en } from '../i18n/en';
import { formatDateTime, parseTime } from '../logic/format';
import { severityRank } from '../logic/status';
import { Pairs } from '../ui/facts';
import { Listing, numberOf, textOf, type Item } from '../ui/listing';
import { Chip, PageHead, type Column, type Tone } from '../ui/parts';

const STATE_ORDER = ['firing', 'pending', 'resolved', 'inactive'];

function stateTone(row: Item): Tone {
  switch (row.state) {
    case 'firing':
      return row.severity === 'info' ? 'warn' : 'bad';
    case 'pending':
      return 'warn';
    case 'resolved':
      return 'good';
    default:
      return 'none';
  }
}

function worstRules(rows: Item[]): Item[] {
  const rank = (row: Item) => (STATE_ORDER.indexOf(textOf(row.state)) + 5) % 5;
  return [...rows].sort(
    (a, b) => rank(a) - rank(b) || severityRank(a.severity) - severityRank(b.severity),
  );
}

function short(value: unknown): string {
  const number = numberOf(value);
  return number === null ? '–' : number.toLocaleString('en-US', { maximumFractionDigits: 2 });
}

function useRuleColumns(): Column<Item>[] {
  const { t, word } = useText();
  return [
    {
      key: 'state',
      label: t('alerts.state'),
      read: (row) => STATE_ORDER.indexOf(textOf(row.state)),
      show: (row) => <Chip tone={stateTone(row)}>{word('alerts.state', textOf(row.state))}</Chip>,
    },
    { key: 'rule', label: t('alerts.rule'), code: true, read: (row) => textOf(row.rule) },
    {
      key: 'severity',
      label: t('alerts.severity'),
      read: (row) => severityRank(row.severity),
      show: (row) => word('alerts.severity', textOf(row.severity)),
    },
    {
      key: 'condition',
      label: t('alerts.condition'),
      code: true,
      read: (row) => textOf(row.metric),
      show: (row) => `${textOf(row.metric)} ${textOf(row.op)} ${short(row.threshold)}`,
    },
    {
      key: 'value',
      label: t('alerts.value'),
      num: true,
      read: (row) => numberOf(row.value),
      show: (row) => (row.absent === true ? t('alerts.absent') : short(row.value)),
    },
    {
      key: 'since',
      label: t('alerts.since'),
      read: (row) => textOf(row.since),
      show: (row) => formatDateTime(parseTime(row.since)),
    },
    { key: 'action', label: t('alerts.action'), code: true, read: (row) => textOf(row.action) },
  ];
}

const OUTCOME_TONES: Record<string, Tone> = {
  done: 'good',
  better: 'good',
  failed: 'bad',
  worse: 'bad',
  undone: 'warn',
  interrupted: 'warn',
  waiting: 'warn',
};

function outcomeTone(row: Item): Tone {
  return OUTCOME_TONES[textOf(row.outcome)] ?? 'none';
}

function useActionColumns(): Column<Item>[] {
  const { t, word } = useText();
  return [
    {
      key: 'at',
      label: t('actions.at'),
      read: (row) => textOf(row.at),
      show: (row) => formatDateTime(parseTime(row.at)),
    },
    {
      key: 'outcome',
      label: t('actions.outcome'),
      read: (row) => textOf(row.outcome),
      show: (row) => (
        <Chip tone={outcomeTone(row)}>
          {word('outcome', textOf(row.outcome).replace(' ', '_'))}
        </Chip>
      ),
    },
    { key: 'action', label: t('alerts.action'), code: true, read: (row) => textOf(row.action) },
    { key: 'target', label: t('actions.target'), code: true, read: (row) => textOf(row.target) },
    {
      key: 'trigger',
      label: t('actions.reason'),
      read: (row) => textOf(row.trigger),
      show: (row) => (
        <div class="detail">
          {textOf(row.trigger)}
          {[row.plan, row.detail].map((text) =>
            text ? <p class="quiet">{textOf(text)}</p> : null,
          )}
        </div>
      ),
    },
    {
      key: 'before',
      label: t('actions.before'),
      read: () => null,
      show: (row) => <Pairs of={row.before} />,
    },
    {
      key: 'after',
      label: t('actions.after'),
      read: () => null,
      show: (row) => <Pairs of={row.after} />,
    },
    { key: 'actor', label: t('nodes.node'), code: true, read: (row) => textOf(row.actor) },
  ];
}

export function AlertsPage() {
  const { t } = useText();
  const modeText = (mode: unknown) => {
    const key = `alerts.mode.${textOf(mode)}`;
    return key in en ? t(key as Key) : textOf(mode);
  };
  return (
    <>
      <PageHead title={t('tab.alerts')} what={t('alerts.what')} />
      <div class="stack">
        <Listing
          title={t('alerts.rules')}
          what={t('alerts.rules.what')}
          path="/v1/alerts"
          everyMs={2000}
          columns={useRuleColumns()}
          rowKey={(row) => textOf(row.rule)}
          empty={t('alerts.rules.none')}
          toneOf={stateTone}
          order={worstRules}
          foot={(data) => <p class="quiet small">{modeText(data.mode)}</p>}
        />
        <Listing
          title={t('actions.list')}
          what={t('actions.what')}
          path="/v1/actions?limit=50"
          everyMs={5000}
          columns={useActionColumns()}
          rowKey={(row) => textOf(row.id)}
          empty={t('actions.none')}
          toneOf={(row) => (outcomeTone(row) === 'good' ? 'none' : outcomeTone(row))}
        />
      </div>
    </>
  );
}
