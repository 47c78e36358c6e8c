// SPDX-License-Identifier: Apache-2.0
// The journal: what was done by itself, why, with what evidence and outcome; and what waits.
import { useState } from 'preact/hooks';

import { judge, stopActing, type Action } from '../data/alerts';
import { usePolled } from '../data/poll';
import { useText } from '../i18n';
import { formatDateTime, parseTime } from '../logic/format';
import { factText, Pairs } from '../ui/facts';
import { OrderButton, OrderDialog, ReasonField } from '../ui/order';
import { Card, Chip, Loaded, Table, type Column, type Tone } from '../ui/parts';
import { Said } from '../ui/said';
import { wordOf } from './alerts_words';

const FIRST_ROWS = 25;
const MOST_ROWS = 1000; // of one answer

const OUTCOME_TONES: Record<string, Tone> = {
  done: 'good',
  better: 'good',
  failed: 'bad',
  worse: 'bad',
  called: 'bad',
  undone: 'warn',
  interrupted: 'warn',
  waiting: 'warn',
};

function outcomeTone(row: Action): Tone {
  return OUTCOME_TONES[row.outcome] ?? 'none';
}

function JudgeButton({ row, verdict }: { row: Action; verdict: 'approve' | 'refuse' }) {
  const { t } = useText();
  const title = `${t(`actions.${verdict}`)}: ${row.action}`;
  return (
    <OrderButton text={t(`actions.${verdict}`)} label={title}>
      {(onClose) => (
        <OrderDialog
          title={title}
          what={t(`actions.${verdict}.what`)}
          button={t(`actions.${verdict}`)}
          send={(_form, key) => judge(row.id, verdict, key)}
          onClose={onClose}
        >
          {row.plan && <Said text={row.plan} />}
        </OrderDialog>
      )}
    </OrderButton>
  );
}

function Outcome({ row }: { row: Action }) {
  const { word } = useText();
  return (
    <>
      <Chip tone={outcomeTone(row)}>{word('outcome', wordOf(row.outcome))}</Chip>{' '}
      {row.outcome === 'waiting' && (
        <>
          <JudgeButton row={row} verdict="approve" /> <JudgeButton row={row} verdict="refuse" />
        </>
      )}
    </>
  );
}

function Why({ row }: { row: Action }) {
  const { trigger, plan, ...evidence } = row.evidence;
  const texts = [row.trigger, row.plan, row.detail].filter((text) => text);
  return (
    <div class="detail">
      {texts.map((text, i) => (
        <p key={i} class={i > 0 ? 'quiet' : ''}>
          <Said text={text!} />
        </p>
      ))}
      <Pairs of={evidence} />
    </div>
  );
}

// Each figure before and after, where both or one are known.
function Figures({ row }: { row: Action }) {
  const names = [...new Set([...Object.keys(row.before), ...Object.keys(row.after)])];
  const isFlat = (value: unknown) => value !== undefined && typeof value !== 'object';
  const shown = names.filter((name) => isFlat(row.before[name]) || isFlat(row.after[name]));
  const text = (name: string, of: Record<string, unknown>) =>
    isFlat(of[name]) ? factText(name, of[name]) : '–';
  const isJudged = Object.keys(row.after).length > 0;
  return (
    <ul class="pairs">
      {shown.map((name) => (
        <li key={name}>
          <span class="quiet">{name}</span> {text(name, row.before)}
          {isJudged && ` → ${text(name, row.after)}`}
        </li>
      ))}
    </ul>
  );
}

function useColumns(): Column<Action>[] {
  const { t } = useText();
  return [
    {
      key: 'at',
      label: t('actions.at'),
      read: (row) => row.at,
      show: (row) => formatDateTime(parseTime(row.at)),
    },
    {
      key: 'outcome',
      label: t('actions.outcome'),
      read: (row) => row.outcome,
      show: (row) => <Outcome row={row} />,
    },
    {
      key: 'action',
      label: t('alerts.action'),
      read: (row) => row.action,
      show: (row) => (
        <>
          <code>{row.action}</code> <p class="quiet small">{row.target}</p>
        </>
      ),
    },
    {
      key: 'trigger',
      label: t('actions.reason'),
      read: (row) => row.trigger,
      show: (row) => <Why row={row} />,
    },
    {
      key: 'before',
      label: t('actions.figures'),
      read: () => null,
      show: (row) => <Figures row={row} />,
    },
    { key: 'actor', label: t('actions.actor'), code: true, read: (row) => row.actor },
  ];
}

function StopButton() {
  const { t } = useText();
  return (
    <OrderButton text={t('acting.stop')} danger>
      {(onClose) => (
        <OrderDialog
          title={t('acting.stop')}
          what={t('acting.stop.what')}
          button={t('acting.stop')}
          danger
          send={(form, key) => stopActing(String(form.get('reason')).trim(), key)}
          onClose={onClose}
        >
          <ReasonField />
        </OrderDialog>
      )}
    </OrderButton>
  );
}

export function Journal() {
  const { t } = useText();
  const [limit, setLimit] = useState(FIRST_ROWS);
  const path = `/v1/actions?limit=${limit}`;
  const polled = usePolled<{ items: Action[]; next: string | null }>(path, 3000);
  const columns = useColumns();
  return (
    <Card title={t('actions.list')} what={t('actions.what')} wide tools={<StopButton />}>
      <Loaded from={polled} path="/v1/actions">
        {(data) => (
          <>
            <Table
              label={t('actions.list')}
              columns={columns}
              rows={data.items}
              rowKey={(row) => row.id}
              sortable
              stacked
              empty={t('actions.none')}
              toneOf={(row) => (outcomeTone(row) === 'good' ? 'none' : outcomeTone(row))}
            />
            {data.next !== null && limit < MOST_ROWS && (
              <button
                type="button"
                class="plain after"
                onClick={() => setLimit(Math.min(MOST_ROWS, limit * 4))}
              >
                {t('actions.older')}
              </button>
            )}
          </>
        )}
      </Loaded>
    </Card>
  );
}
