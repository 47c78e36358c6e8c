// SPDX-License-Identifier: Apache-2.0
// All nodes as the controller of this one sees them, and what it decides for them.
import {
  useChoices,
  type Choice,
  type Leadership,
  type ListedNode,
  type NodesDocument,
} from '../data/nodes';
import { usePolled } from '../data/poll';
import { useText, type Translate } from '../i18n';
import {
  formatAhead,
  formatBytes,
  formatCount,
  formatMs,
  formatPercent,
  formatRatio,
  formatSpan,
  parseTime,
  UNKNOWN,
} from '../logic/format';
import { Card, Chip, Loaded, Note, Table, Tiles, type Column, type Tone } from '../ui/parts';
import { Address, Said } from '../ui/said';

const PATH = '/v1/nodes';
const EVERY_MS = 3000;
const CLOCK_OFF_S = 1; // as cluster.clock_off is by itself
const STATES = ['healthy', 'suspect', 'draining', 'gone'] as const;

const STATE_TONES: Record<string, Tone> = { healthy: 'good', suspect: 'bad', draining: 'warn' };

function stateTone(row: ListedNode): Tone {
  return STATE_TONES[row.state ?? ''] ?? 'none';
}

function isClockOff(row: ListedNode): boolean {
  return Math.abs(row.clock_ahead_s ?? 0) > CLOCK_OFF_S;
}

function rowTone(row: ListedNode): Tone {
  const tone = stateTone(row);
  return tone === 'good' ? (row.stale || isClockOff(row) ? 'warn' : 'none') : tone;
}

// On a store that no other node can join, nothing can come of another number.
function isAlone({ leads, leader }: Leadership): boolean {
  return leads && leader === null;
}

function Name({ row }: { row: ListedNode }) {
  return (
    <div class="said">
      <code>{row.id}</code>
      <p class="quiet">
        <Address url={row.url} /> {row.version}
      </p>
    </div>
  );
}

function State({ row }: { row: ListedNode }) {
  const { t, word } = useText();
  return (
    <div class="said">
      <Chip tone={stateTone(row)}>
        {row.state === null ? UNKNOWN : word('nodes.state', row.state)}
      </Chip>{' '}
      {row.stale && <Chip tone="warn">{t('nodes.stale')}</Chip>}
      {row.why && (
        <p class="quiet">
          <Said text={row.why} />
        </p>
      )}
    </div>
  );
}

// What there may be at most is said where the node tells it.
function ofMost(value: string, most: number | undefined, format: (most: number) => string) {
  return (
    <>
      {value}
      {most !== undefined && <small class="quiet"> / {format(most)}</small>}
    </>
  );
}

function useLoadColumns(): Column<ListedNode>[] {
  const { t } = useText();
  return [
    {
      key: 'cpu',
      label: t('fig.cpu'),
      num: true,
      read: (row) => row.cpu,
      show: ({ cpu, capabilities }) =>
        ofMost(formatPercent(cpu), capabilities.cpus, (cores) => t('nodes.cores', { cores })),
    },
    {
      key: 'memory',
      label: t('fig.memory'),
      num: true,
      read: (row) => row.memory,
      show: ({ memory, capabilities }) =>
        ofMost(formatPercent(memory), capabilities.memory_limit, formatBytes),
    },
    {
      key: 'connections',
      label: t('fig.connections'),
      num: true,
      read: (row) => row.connections,
      show: ({ connections, capabilities }) =>
        ofMost(formatCount(connections), capabilities.connections_max, formatCount),
    },
    {
      key: 'hit_rate',
      label: t('fig.hitRate'),
      num: true,
      read: (row) => row.hit_rate,
      show: (row) => formatRatio(row.hit_rate),
    },
  ];
}

function useColumns(at: string): Column<ListedNode>[] {
  const { t } = useText();
  const upS = (row: ListedNode) => {
    const [now, then] = [parseTime(at), parseTime(row.started_at)];
    return now === null || then === null ? null : (now - then) / 1000;
  };
  return [
    {
      key: 'id',
      label: t('nodes.node'),
      read: (row) => row.id,
      show: (row) => <Name row={row} />,
    },
    {
      key: 'state',
      label: t('fig.state'),
      read: (row) => row.state,
      show: (row) => <State row={row} />,
    },
    ...useLoadColumns(),
    {
      key: 'age',
      label: t('nodes.age'),
      num: true,
      read: (row) => row.age_s,
      show: (row) => formatMs(row.age_s === null ? null : row.age_s * 1000),
    },
    {
      key: 'clock',
      label: t('nodes.clock'),
      num: true,
      read: (row) => row.clock_ahead_s,
      show: (row) =>
        isClockOff(row) ? (
          <Chip tone="warn">{formatAhead(row.clock_ahead_s)}</Chip>
        ) : (
          formatAhead(row.clock_ahead_s)
        ),
    },
    {
      key: 'up',
      label: t('nodes.up'),
      num: true,
      read: upS,
      show: (row) => formatSpan(upS(row)),
    },
  ];
}

function Counts({ data }: { data: NodesDocument }) {
  const { t, word } = useText();
  const { current, desired } = data.scale;
  const tones: Record<string, Tone> = {
    healthy: current < desired && !isAlone(data.controller) ? 'warn' : 'none',
    suspect: 'bad',
  };
  return (
    <Tiles
      items={STATES.map((state) => {
        const count = data.items.filter((row) => row.state === state).length;
        return {
          label: word('nodes.state', state),
          value: formatCount(count),
          note: state === 'healthy' ? t('nodes.wanted', { desired: formatCount(desired) }) : '',
          tone: (state === 'healthy' || count > 0 ? tones[state] : undefined) ?? 'none',
        };
      })}
    />
  );
}

function List({ data }: { data: NodesDocument }) {
  const { t } = useText();
  return (
    <Card title={t('nodes.list')} what={t('nodes.list.what')} wide>
      <Table
        label={t('nodes.list')}
        columns={useColumns(data.at)}
        rows={data.items}
        rowKey={(row) => row.id}
        sortable
        stacked
        empty={t('nodes.none')}
        toneOf={rowTone}
      />
    </Card>
  );
}

function leaderText(t: Translate, { leads, leader, term }: Leadership): string {
  if (leads) {
    return leader === null ? t('nodes.alone') : t('nodes.leads', { node: leader, term });
  }
  return leader === null ? t('nodes.nobodyLeads') : t('nodes.leader', { node: leader, term });
}

function Decision({ data }: { data: NodesDocument }) {
  const { t } = useText();
  const { scale, controller } = data;
  const isRight = scale.current === scale.desired;
  const isLed = controller.leads || controller.leader !== null;
  return (
    <Card title={t('nodes.number')} what={t('nodes.number.what')}>
      <div class="stack">
        <Note tone={isAlone(controller) ? 'none' : isRight ? 'good' : 'warn'}>
          <b>{t('nodes.scale', { current: scale.current, desired: scale.desired })}</b>{' '}
          <Said text={scale.reason} />
        </Note>
        <Note tone={isLed ? 'none' : 'warn'}>
          {leaderText(t, controller)}{' '}
          {!controller.leads && controller.url !== null && <Address url={controller.url} />}
        </Note>
      </div>
    </Card>
  );
}

function Best() {
  const { t, word } = useText();
  const polled = useChoices(EVERY_MS);
  const columns: Column<Choice>[] = [
    { key: 'type', label: t('nodes.request'), read: (row) => word('nodes.type', row.type) },
    {
      key: 'node',
      label: t('nodes.node'),
      code: true,
      read: (row) => row.node?.id ?? UNKNOWN,
    },
    {
      key: 'reason',
      label: t('nodes.because'),
      read: (row) => row.reason,
      show: (row) => (
        <div class="said">
          <Said text={row.reason} />
        </div>
      ),
    },
  ];
  return (
    <Card title={t('nodes.optimal')} what={t('nodes.optimal.what')}>
      <Loaded from={polled} path="/v1/nodes/optimal">
        {(rows) => (
          <Table
            label={t('nodes.optimal')}
            columns={columns}
            rows={rows}
            rowKey={(row) => row.type}
            stacked
            empty=""
            toneOf={(row) => (row.node === null ? 'bad' : 'none')}
          />
        )}
      </Loaded>
    </Card>
  );
}

export function Fleet() {
  const polled = usePolled<NodesDocument>(PATH, EVERY_MS);
  return (
    <Loaded from={polled} path={PATH}>
      {(data) => (
        <>
          <Counts data={data} />
          <div class="grid">
            <List data={data} />
            <Best />
            <Decision data={data} />
          </div>
        </>
      )}
    </Loaded>
  );
}
