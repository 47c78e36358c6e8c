// SPDX-License-Identifier: Apache-2.0
// Who is told, how that goes, and the log of what was told.
import type { Notification, NotificationsDocument, Receiver } from '../data/alerts';
import { usePolled } from '../data/poll';
import { useText } from '../i18n';
import { formatCount, formatDateTime, parseTime } from '../logic/format';
import { Card, Chip, Loaded, Table, type Column, type Tone } from '../ui/parts';
import { wordOf } from './alerts_words';

const PATH = '/v1/notifications?limit=25';

const STATE_TONES: Record<string, Tone> = {
  waiting: 'warn',
  delivered: 'good',
  refused: 'bad',
  'given up': 'bad',
};

function useReceiverColumns(): Column<Receiver>[] {
  const { t } = useText();
  const count = (
    key: 'queued' | 'delivered' | 'refused' | 'given_up' | 'tries_failed' | 'put_off',
  ): Column<Receiver> => ({
    key,
    label: t(`notices.${key}`),
    num: true,
    read: (row) => row[key],
    show: (row) => formatCount(row[key]),
  });
  return [
    {
      key: 'receiver',
      label: t('notices.receiver'),
      read: (row) => row.receiver,
      show: (row) => (
        <>
          <code>{row.receiver}</code> <span class="quiet">{row.type}</span>{' '}
          {row.disabled && <Chip tone="none">{t('notices.disabled')}</Chip>}
        </>
      ),
    },
    count('queued'),
    count('delivered'),
    count('refused'),
    count('given_up'),
    count('tries_failed'),
    count('put_off'),
    {
      key: 'delivered_at',
      label: t('notices.last'),
      read: (row) => row.delivered_at,
      show: (row) => formatDateTime(parseTime(row.delivered_at)),
    },
    {
      key: 'trouble',
      label: t('notices.trouble'),
      read: (row) => row.trouble,
      show: (row) => <div class="said">{row.trouble ?? '–'}</div>,
    },
  ];
}

function useNoticeColumns(): Column<Notification>[] {
  const { t, word } = useText();
  return [
    {
      key: 'at',
      label: t('actions.at'),
      read: (row) => row.at,
      show: (row) => formatDateTime(parseTime(row.at)),
    },
    {
      key: 'state',
      label: t('alerts.state'),
      read: (row) => row.state,
      show: (row) => (
        <Chip tone={STATE_TONES[row.state] ?? 'none'}>
          {word('notices.state', wordOf(row.state))}
        </Chip>
      ),
    },
    { key: 'receiver', label: t('notices.receiver'), code: true, read: (row) => row.receiver },
    {
      key: 'notice',
      label: t('notices.what'),
      read: (row) => row.notice.title,
      show: (row) => (
        <div class="detail">
          {row.notice.title}
          {row.detail !== '' && <p class="quiet">{row.detail}</p>}
        </div>
      ),
    },
    {
      key: 'attempts',
      label: t('notices.attempts'),
      num: true,
      read: (row) => row.attempts,
      show: (row) => formatCount(row.attempts),
    },
    {
      key: 'changed_at',
      label: t('notices.changed'),
      read: (row) => row.changed_at,
      show: (row) => formatDateTime(parseTime(row.changed_at)),
    },
    { key: 'actor', label: t('actions.actor'), code: true, read: (row) => row.actor },
  ];
}

export function Notices() {
  const { t } = useText();
  const polled = usePolled<NotificationsDocument>(PATH, 5000);
  const receiverColumns = useReceiverColumns();
  const noticeColumns = useNoticeColumns();
  return (
    <Card title={t('notices.list')} what={t('notices.list.what')} wide>
      <Loaded from={polled} path="/v1/notifications">
        {(data) => (
          <div class="stack">
            <Table
              label={t('notices.receivers')}
              columns={receiverColumns}
              rows={data.receivers}
              rowKey={(row) => row.receiver}
              stacked
              empty={t('notices.nobody')}
              toneOf={(row) => (row.trouble !== null && !row.disabled ? 'warn' : 'none')}
            />
            {(data.receivers.length > 0 || data.items.length > 0) && (
              <Table
                label={t('notices.list')}
                columns={noticeColumns}
                rows={data.items}
                rowKey={(row) => row.id}
                sortable
                stacked
                empty={t('notices.none')}
                toneOf={(row) => (STATE_TONES[row.state] === 'bad' ? 'bad' : 'none')}
              />
            )}
          </div>
        )}
      </Loaded>
    </Card>
  );
}
