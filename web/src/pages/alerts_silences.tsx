// SPDX-License-Identifier: Apache-2.0
// Whom nobody is told of: silences, by whom, why and till when.
import { endSilence, makeSilence, type Alert, type Silence } from '../data/alerts';
import { usePolled } from '../data/poll';
import { useText } from '../i18n';
import { formatDateTime, formatSpan, parseTime } from '../logic/format';
import { OrderButton, OrderDialog, ReasonField, type Send } from '../ui/order';
import { Card, Loaded, Table, type Column } from '../ui/parts';

const PATH = '/v1/silences';
const HOUR_S = 3600;
const SPANS_S = [900, HOUR_S, 4 * HOUR_S, 12 * HOUR_S, 24 * HOUR_S, 7 * 24 * HOUR_S];

function isPerNode(rules: readonly Alert[], name: string | undefined): boolean {
  return rules.some((rule) => rule.nodes !== undefined && (!name || rule.rule === name));
}

const send: Send = (form, key) => {
  const text = (name: string) => String(form.get(name) ?? '').trim();
  return makeSilence(
    {
      rule: text('rule'),
      ...(text('node') === '' ? {} : { node: text('node') }),
      ...(text('severity') === '' ? {} : { severity: text('severity') }),
      duration_s: Number(text('duration')),
      reason: text('reason'),
    },
    key,
  );
};

function Fields({ rules, rule }: { rules: readonly Alert[]; rule: string | undefined }) {
  const { t, word } = useText();
  return (
    <>
      <label>
        {t('alerts.rule')}
        <select name="rule">
          <option value="*">{t('silences.everyRule')}</option>
          {rules.map((one) => (
            <option key={one.rule} value={one.rule} selected={one.rule === rule}>
              {one.rule}
            </option>
          ))}
        </select>
      </label>
      {isPerNode(rules, rule) && (
        <label>
          {t('nodes.node')}
          <input type="text" name="node" maxLength={128} autocomplete="off" spellcheck={false} />
          <small class="quiet">{t('silences.nodeHint')}</small>
        </label>
      )}
      {rule === undefined && (
        <label>
          {t('alerts.severity')}
          <select name="severity">
            <option value="">{t('silences.anySeverity')}</option>
            {['info', 'warning', 'critical'].map((one) => (
              <option key={one} value={one}>
                {word('alerts.severity', one)}
              </option>
            ))}
          </select>
        </label>
      )}
      <label>
        {t('silences.duration')}
        <select name="duration">
          {SPANS_S.map((span) => (
            <option key={span} value={span} selected={span === HOUR_S}>
              {formatSpan(span)}
            </option>
          ))}
        </select>
      </label>
      <ReasonField />
    </>
  );
}

export function SilenceButton({ rules, rule }: { rules: readonly Alert[]; rule?: string }) {
  const { t } = useText();
  const text = t('silences.make');
  return (
    <OrderButton text={text} label={rule === undefined ? text : `${text}: ${rule}`}>
      {(onClose) => (
        <OrderDialog
          title={t('silences.new')}
          what={t('silences.new.what')}
          button={text}
          send={send}
          onClose={onClose}
        >
          <Fields rules={rules} rule={rule} />
        </OrderDialog>
      )}
    </OrderButton>
  );
}

function EndButton({ silence }: { silence: Silence }) {
  const { t } = useText();
  const text = t('silences.end');
  return (
    <OrderButton text={text} label={`${text}: ${silence.reason}`}>
      {(onClose) => (
        <OrderDialog
          title={t('silences.ending')}
          what={t('silences.ending.what')}
          button={text}
          send={(_form, key) => endSilence(silence.id, key)}
          onClose={onClose}
        />
      )}
    </OrderButton>
  );
}

function useColumns(): Column<Silence>[] {
  const { t, word } = useText();
  const leftS = (row: Silence) => ((parseTime(row.until) ?? 0) - Date.now()) / 1000;
  const coversOf = (row: Silence) =>
    [
      row.rule === null || row.rule === '*' ? t('silences.everyRule') : row.rule,
      row.node,
      row.severity === null ? null : word('alerts.severity', row.severity),
    ]
      .filter((part) => part !== null)
      .join(' · ');
  return [
    { key: 'covers', label: t('silences.covers'), code: true, read: coversOf },
    {
      key: 'until',
      label: t('silences.until'),
      read: (row) => row.until,
      show: (row) => formatDateTime(parseTime(row.until)),
    },
    { key: 'left', label: t('silences.left'), read: leftS, show: (row) => formatSpan(leftS(row)) },
    {
      key: 'reason',
      label: t('order.reason'),
      read: (row) => row.reason,
      show: (row) => <div class="said">{row.reason}</div>,
    },
    { key: 'by', label: t('order.by'), code: true, read: (row) => row.by },
    {
      key: 'at',
      label: t('alerts.since'),
      read: (row) => row.at,
      show: (row) => formatDateTime(parseTime(row.at)),
    },
    {
      key: 'end',
      label: t('silences.end'),
      read: () => null,
      show: (row) => <EndButton silence={row} />,
    },
  ];
}

export function Silences({ rules }: { rules: readonly Alert[] }) {
  const { t } = useText();
  const polled = usePolled<{ items: Silence[] }>(PATH, 3000);
  const columns = useColumns();
  return (
    <Card
      title={t('silences.list')}
      what={t('silences.what')}
      wide
      tools={<SilenceButton rules={rules} />}
    >
      <Loaded from={polled} path={PATH}>
        {(data) => (
          <Table
            label={t('silences.list')}
            columns={columns}
            rows={data.items}
            rowKey={(row) => row.id}
            sortable
            stacked
            empty={t('silences.none')}
          />
        )}
      </Loaded>
    </Card>
  );
}
