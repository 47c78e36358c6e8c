// SPDX-License-Identifier: Apache-2.0
// Goal: the page's pure logic says what is so, keeps within its bounds and never makes up a figure.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { chooseLang, chooseTheme } from '../src/data/prefs';
import { mergePoints } from '../src/data/timeline';
import { translate, translateSentence, translateWord } from '../src/i18n';
import { en } from '../src/i18n/en';
import { ko } from '../src/i18n/ko';
import { BACKOFF_MAX_MS, backoffMs } from '../src/logic/backoff';
import { busiestFirst, countReasons, REASONS, sumTimeline } from '../src/logic/event';
import { judge } from '../src/logic/figures';
import * as format from '../src/logic/format';
import { ageMs, isStale } from '../src/logic/freshness';
import { Ring } from '../src/logic/ring';
import { hashOf, PAGES, routeOf } from '../src/logic/route';
import { columnOf, Series, timesOf, withGaps } from '../src/logic/series';
import {
  isLoad,
  KPI_KEYS,
  severityRank,
  STATUSES,
  verdictOf,
  worstFirst,
  type KpiRow,
  type Status,
} from '../src/logic/status';
import { keyboardView } from '../src/logic/zoom';
import { sparkPath } from '../src/ui/spark';

const at = (second: number) => new Date(1764000000000 + 1000 * second).toISOString();

test('a ring keeps the newest rows and no more than its capacity', () => {
  const ring = new Ring<number>(3);
  [1, 2, 3, 4, 5].forEach((n) => ring.push(n));
  assert.deepEqual(ring.all(), [3, 4, 5]);
  assert.equal(ring.last(), 5);
  ring.replace([6, 7, 8, 9]);
  assert.deepEqual(ring.all(), [7, 8, 9]);
  ring.clear();
  assert.equal(ring.last(), undefined);
  assert.throws(() => new Ring(0), RangeError);
});

test('a series takes each moment once and in order', () => {
  const series = new Series(4, 1000);
  assert.equal(series.add({ at: at(1), tps: 1 }), true);
  assert.equal(series.add({ at: at(1), tps: 9 }), false);
  assert.equal(series.add({ at: at(0) }), false);
  assert.equal(series.add(null), false);
  assert.equal(series.add({ at: 'nonsense' }), false);
  for (let second = 2; second < 10; second++) {
    series.add({ at: at(second), tps: second });
  }
  assert.equal(series.length, 4);
  assert.deepEqual(
    columnOf(series.points(), (row) => row.tps),
    [6, 7, 8, 9],
  );
});

test('two hours of seconds leave no more than five minutes of them', () => {
  const series = new Series(300, 1000);
  for (let second = 0; second < 7200; second++) {
    series.add({ at: at(second), tps: second % 50, hit_rate: null });
  }
  assert.equal(series.length, 300);
  assert.equal(timesOf(series.points())[299], 1764000000 + 7199);
});

test('what is not known is null in a column and a dash in a text', () => {
  const points = [
    { ms: 0, row: { a: 1 } },
    { ms: 1000, row: { a: null } },
    { ms: 2000, row: {} },
    { ms: 3000, row: { a: 'x' } },
    { ms: 4000, row: { a: 0 } },
  ];
  assert.deepEqual(
    columnOf(points, (row) => row.a),
    [1, null, null, null, 0],
  );
  for (const unit of ['count', 'ms', 'us', 'percent', 'ratio', 'bytes', 'seconds'] as const) {
    assert.equal(format.formatFigure(null, unit), format.UNKNOWN);
    assert.equal(format.formatFigure(undefined, unit), format.UNKNOWN);
    assert.equal(format.formatFigure(NaN, unit), format.UNKNOWN);
  }
});

test('a line breaks where rows are missing', () => {
  const points = [0, 1000, 2000, 9000].map((ms) => ({ ms, row: { a: 1 } }));
  const broken = withGaps(points, 1000);
  assert.deepEqual(
    broken.map((point) => point.ms),
    [0, 1000, 2000, 3000, 9000],
  );
  assert.equal(columnOf(broken, (row) => row.a)[3], null);
});

test('figures read as people write them', () => {
  const rows: [number, format.Unit, string][] = [
    [0, 'ms', '0 ms'],
    [0.4567, 'ms', '0.46 ms'],
    [12.34, 'ms', '12.3 ms'],
    [187.4, 'ms', '187 ms'],
    [99.96, 'ms', '100 ms'],
    [1234, 'ms', '1,234 ms'],
    [12345, 'ms', '12.3 s'],
    [3.2, 'us', '3.20 µs'],
    [2500, 'us', '2.50 ms'],
    [0.8512, 'ratio', '85.1 %'],
    [70, 'percent', '70.0 %'],
    [1234567, 'count', '1,234,567'],
    [48.6, 'per_second', '48.6 /s'],
    [512, 'bytes', '512 B'],
    [25276063744, 'bytes', '23.5 GiB'],
    [59, 'seconds', '59 s'],
    [3725, 'seconds', '1 h 2 min'],
    [200000, 'seconds', '2 d 7 h'],
  ];
  for (const [value, unit, text] of rows) {
    assert.equal(format.formatFigure(value, unit), text);
  }
  assert.equal(format.formatRound(70, 'percent'), '70 %');
  assert.equal(format.formatRound(75, 'per_second'), '75 /s');
  assert.equal(format.formatRound(0.25, 'ms'), '0.25 ms');
  assert.equal(format.formatRound(100, 'count'), '100');
  assert.equal(format.parseTime('2026-11-24T09:00:00.000Z'), Date.UTC(2026, 10, 24, 9));
  assert.equal(format.parseTime(null), null);
});

const row = (key: string, status: Status): KpiRow => ({
  key,
  status,
  goal: 1,
  value: null,
  unit: 'ms',
  comparison: '<',
});

test('the worst row stands first and equals keep their order', () => {
  const rows = [row('a', 'met'), row('b', 'unknown'), row('c', 'missed'), row('d', 'at_risk')];
  rows.push(row('e', 'missed'));
  assert.deepEqual(
    worstFirst(rows).map((one) => one.key),
    ['c', 'e', 'd', 'b', 'a'],
  );
  assert.deepEqual([...STATUSES], ['missed', 'at_risk', 'unknown', 'met']);
});

test('a quiet node is not in trouble, and nothing known is not met', () => {
  const quiet = KPI_KEYS.map((key) => row(key, isLoad({ key }) ? 'missed' : 'met'));
  assert.equal(verdictOf(quiet).status, 'met');
  assert.equal(verdictOf(KPI_KEYS.map((key) => row(key, 'unknown'))).status, 'unknown');
  assert.equal(verdictOf([]).status, 'unknown');
  const mixed = [row('cpu_percent', 'missed'), row('memory_percent', 'at_risk')];
  assert.deepEqual(verdictOf(mixed), { status: 'missed', missed: 1, atRisk: 1, unknown: 0 });
});

test('severities are ranked and unknown words come last', () => {
  const words = ['low', 'strange', 'critical', 'medium', 'high', 'info', 'warning'];
  words.sort((a, b) => severityRank(a) - severityRank(b));
  assert.deepEqual(words, ['critical', 'high', 'warning', 'medium', 'info', 'low', 'strange']);
});

test('a figure is judged in the direction of its thresholds', () => {
  assert.equal(judge(60, 63, 70), 'good');
  assert.equal(judge(65, 63, 70), 'warn');
  assert.equal(judge(71, 63, 70), 'bad');
  assert.equal(judge(0.9, 0.85, 0.7), 'good');
  assert.equal(judge(0.8, 0.85, 0.7), 'warn');
  assert.equal(judge(0.6, 0.85, 0.7), 'bad');
  assert.equal(judge(null, 1, 2), 'none');
});

test('tries to reconnect become rarer, never rarer than half a minute', () => {
  const waits = [0, 1, 2, 3, 4, 5, 50].map((tries) => backoffMs(tries, () => 0));
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16000, BACKOFF_MAX_MS, BACKOFF_MAX_MS]);
  assert.equal(
    backoffMs(0, () => 1),
    750,
  );
});

test('figures are old after five seconds, and none are neither old nor new', () => {
  assert.equal(isStale(0, 5000), false);
  assert.equal(isStale(0, 5001), true);
  assert.equal(isStale(null, 99999), false);
  assert.equal(ageMs(9, 3), 0); // a clock that went back
});

test('every text is there in both languages with the same places to fill', () => {
  const places = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort();
  assert.deepEqual(Object.keys(ko).sort(), Object.keys(en).sort());
  for (const key of Object.keys(en) as (keyof typeof en)[]) {
    assert.ok(en[key].trim() !== '' && ko[key].trim() !== '', key);
    assert.deepEqual(places(ko[key]), places(en[key]), key);
  }
  const same = Object.keys(en).filter((key) => ko[key as keyof typeof en] === en[key as never]);
  assert.ok(same.length < 12, `not translated: ${same.join(', ')}`);
});

test('every word that a node can send has a text', () => {
  const words: [string, readonly string[]][] = [
    ['status', STATUSES],
    ['kpi', KPI_KEYS],
    ['reason', REASONS],
    ['verdict', ['admitted', 'exited', 'refused']],
    ['priority', ['high', 'medium', 'low']],
    ['cache.state', ['off', 'closed', 'open', 'half_open']],
    ['cache.cause', ['cold', 'expired', 'evicted', 'invalidated', 'l2_down']],
    ['alerts.state', ['inactive', 'pending', 'firing', 'resolved']],
    ['alerts.severity', ['info', 'warning', 'critical']],
    ['tab', PAGES],
  ];
  for (const [prefix, list] of words) {
    list.forEach((word) => assert.ok(`${prefix}.${word}` in en, `${prefix}.${word}`));
  }
  assert.equal(translateWord('ko', 'reason', 'brand_new'), 'brand_new');
});

test('places are filled as text, and what is not given stays', () => {
  assert.equal(translate('en', 'app.up', { span: '<b>1</b>' }), 'Up <b>1</b>');
  assert.equal(translate('en', 'app.up'), 'Up {span}');
});

test('the language is what was chosen, else the first known one of the browser', () => {
  assert.equal(chooseLang('ko', ['en-US']), 'ko');
  assert.equal(chooseLang(null, ['fr-FR', 'ko-KR', 'en']), 'ko');
  assert.equal(chooseLang('xx', ['kok-IN', 'en-GB']), 'en');
  assert.equal(chooseLang(null, []), 'en');
  assert.equal(chooseTheme('dark'), 'dark');
  assert.equal(chooseTheme('purple'), 'auto');
});

test('an address shows its page, a strange one the key figures', () => {
  for (const page of PAGES) {
    assert.deepEqual(routeOf(hashOf({ page, event: null })), { page, event: null });
  }
  const odd = { page: 'event', event: 'a/b c' } as const;
  assert.deepEqual(routeOf(hashOf(odd)), odd);
  assert.deepEqual(routeOf(''), { page: 'kpi', event: null });
  assert.deepEqual(routeOf('#/constructor'), { page: 'kpi', event: null });
  assert.deepEqual(routeOf('#/event/%E0%A4%A'), { page: 'event', event: null });
});

test('a timeline of gates becomes sums, and moments without scans are zero', () => {
  const item = (second: number, gate: string, admitted: number) => ({
    at: at(second),
    gate,
    admitted,
    exited: 1,
    refused: 2,
  });
  const base = 1764000000000;
  const points = sumTimeline([item(1, 'a', 3), item(1, 'b', 4)], base, base + 3000, 1000);
  assert.deepEqual(
    points.map((point) => point.row),
    [
      { admitted: 0, exited: 0, refused: 0 },
      { admitted: 7, exited: 2, refused: 4 },
      { admitted: 0, exited: 0, refused: 0 },
    ],
  );
});

test('newer points take the place of older ones, and old ones fall out', () => {
  const points = (...all: number[]) => all.map((ms) => ({ ms, row: {} }));
  const merged = mergePoints(points(1, 2, 3, 4), points(3, 4, 5), 2);
  assert.deepEqual(
    merged.map((point) => point.ms),
    [2, 3, 4, 5],
  );
  let kept = points(0);
  for (let second = 1; second < 7200; second++) {
    kept = mergePoints(kept, points(second), second - 299);
  }
  assert.equal(kept.length, 300);
});

test('reasons are counted, the most frequent first', () => {
  const records = ['blocked', 'expired', null, 'expired'].map((reason) => ({ reason }));
  assert.deepEqual(countReasons(records), [
    { name: 'expired', count: 2 },
    { name: 'blocked', count: 1 },
  ]);
});

test('the busiest gate stands first', () => {
  const gate = (name: string, lastMinute: number, admitted: number) => ({
    gate: name,
    last_minute: lastMinute,
    admitted,
    exited: 0,
    refused: 0,
  });
  const order = busiestFirst([gate('c', 0, 5), gate('b', 0, 5), gate('a', 0, 9), gate('d', 1, 1)]);
  assert.deepEqual(
    order.map((one) => one.gate),
    ['d', 'a', 'b', 'c'],
  );
});

test('keys move through time and zoom within what there is', () => {
  const whole = { min: 0, max: 300 };
  const seen = { at: null, view: whole, whole, stepS: 1 };
  assert.deepEqual(keyboardView('ArrowLeft', seen), { at: 299, zoom: null });
  assert.deepEqual(keyboardView('End', { ...seen, at: 5 }), { at: 300, zoom: null });
  const near = keyboardView('+', { ...seen, at: 10 })!;
  assert.deepEqual(near.zoom, { min: 0, max: 150 });
  const view = near.zoom!;
  assert.deepEqual(keyboardView('ArrowLeft', { ...seen, at: 0, view })!.at, 0);
  assert.equal(keyboardView('-', { ...seen, view })!.zoom, null);
  assert.deepEqual(keyboardView('Escape', { ...seen, at: 7, view }), { at: null, zoom: null });
  assert.equal(keyboardView('x', seen), null);
  let zoom = whole;
  for (let i = 0; i < 20; i++) {
    zoom = keyboardView('+', { ...seen, view: zoom })!.zoom ?? zoom;
  }
  assert.equal(zoom.max - zoom.min, 8);
});

test('a small line breaks at what is not known and ends at the right', () => {
  assert.equal(sparkPath([], 0, 1, 300), '');
  const path = sparkPath([1, null, 1, 1], 0, 1, 4);
  assert.equal(path, 'M0.0 3.0M160.0 3.0L240.0 3.0');
});

// The sentences of a C file that begin so, with their figures and texts filled in.
function sentencesOf(file: string, begins: string): string[] {
  const source = readFileSync(join(process.env.TURNOUT_SOURCES!, file), 'utf8')
    .replace(/"\s*PRId64\s*"/g, 'd')
    .replace(/"\s*PRId64/g, 'd"')
    .replace(/"\n\s*"/g, '');
  const isMore = /(?<=\w)%s(%\.\d+s)?$/; // what may follow: a part of its own
  const format = /%(\.(\*|\d+))?(l*[dugf]|zu|s)/g;
  return [...source.matchAll(new RegExp(`"((?:${begins})[^"\\\\]*)"`, 'g'))]
    .map((found) => found[1]!.replace(isMore, ''))
    .filter((raw) => /[a-z]/i.test(raw.replace(format, '')))
    .map((raw) =>
      raw
        .replace(format, (one) => (one.endsWith('s') ? 'average CPU 12.5 % is above 80 %' : '12.5'))
        .replace(/%%/g, '%'),
    );
}

test('what the controller decides and why has Korean words, every sentence of it', () => {
  const kinds = 'up|down|hold|cooldown|minimum|maximum|steady|missing';
  const all = [
    ...sentencesOf('control/scaler.c', `(${kinds}): |average |an alert rule `),
    ...sentencesOf('api/control.c', 'lowest|fewest|highest|least|keeps|no node|No healthy'),
    ...sentencesOf('control/member.c', 'its? '),
    ...sentencesOf('act/watcher.c', 'its? |another run '),
    ...sentencesOf('app/node_control.c', 'its? '),
    ...sentencesOf('app/hands.c', 'it was '),
    ...sentencesOf('act/controller_actions.c', '(call|change|let|empty|drain|refuse) '),
  ];
  assert.ok(all.length > 35, all.join('\n'));
  for (const sentence of all) {
    const korean = translateSentence('ko', sentence);
    assert.ok(korean !== null, sentence);
    const rest = korean.replace(/CPU|ms|readyz|cluster\.secret/g, '');
    assert.doesNotMatch(rest, /[a-z{}]{2}/i, korean);
    assert.equal(translateSentence('en', sentence), sentence);
  }
  assert.equal(
    translateSentence('ko', 'up: average CPU 91.5 % is above 80 %, so 2 nodes become 3'),
    '확장: 평균 CPU 91.5 %, 80 % 초과. 노드 2개를 3개로 늘립니다',
  );
  assert.equal(translateSentence('ko', 'something that nobody thought of'), null);
});

test('every sentence of the journal of actions has Korean words', () => {
  const any = '[a-z%][^"= ]* '; // lines of the log begin with a key
  const all = [
    ...sentencesOf('act/controller_actions.c', any),
    ...sentencesOf('act/controller_past.c', any),
    ...sentencesOf('act/controller_orders.c', any),
    ...sentencesOf('control/restart.c', any),
    ...sentencesOf('app/errands.c', any),
    ...sentencesOf('app/restarter.c', '%.* could|a new '),
    ...sentencesOf('app/hands.c', 'the scaler '),
    ...sentencesOf('app/node_control.c', 'a SQLite|a node|there is|analytics '),
    ...sentencesOf('act/fleet_scaling.c', '%|no |the |taken |too '),
  ];
  assert.ok(all.length > 50, all.join('\n'));
  for (const sentence of all) {
    // what a sentence begins or ends with may stand apart in the source
    const whole = [sentence, `${sentence}x`, `x ${sentence}`];
    assert.ok(whole.some((one) => translateSentence('ko', one) !== null), sentence);
  }
});

test('why a rule asked, and what came of it, is told in Korean', () => {
  const told: [string, string][] = [
    [
      'slow: avg_query_time_ms 101 > 100 for 30 s',
      'slow: avg_query_time_ms 101 > 100, 30초 동안',
    ],
    [
      'leak: node_memory a second 0.02 >= 0.0166 for 900 s on gate1:8080',
      'leak: 초당 node_memory 0.02 >= 0.0166, 900초 동안, 노드 gate1:8080',
    ],
    ['few: healthy_nodes 1 < 2', 'few: healthy_nodes 1 < 2'],
    [
      'busy: cpu_avg 91.5 > 80; up: average CPU 91.5 % is above 80 %, so 2 nodes become 3',
      'busy: cpu_avg 91.5 > 80; 확장: 평균 CPU 91.5 %, 80 % 초과. 노드 2개를 3개로 늘립니다',
    ],
    [
      'the optimizer did 1 steps, left out 2, took back 0; 0 failed; approved by 9f0c',
      '최적화기: 1단계 실행, 2단계 건너뜀, 0단계 되돌림, 0단계 실패; 승인: 9f0c',
    ],
    [
      '2 started anew: n1, n2; no more was needed',
      '2개 다시 시작: n1, n2; 더는 필요 없었습니다',
    ],
    [
      'analytics are refused until 2026-11-24T18:23:29.000Z; taken back',
      '2026-11-24T18:23:29.000Z까지 분석 요청을 거절합니다; 되돌림',
    ],
  ];
  for (const [english, korean] of told) {
    assert.equal(translateSentence('ko', english), korean);
  }
  assert.equal(translateSentence('ko', 'taken back; something that nobody thought of'), null);
});

test('a difference of clocks shows its sign', () => {
  assert.equal(format.formatAhead(0.0125), '+12.5 ms');
  assert.equal(format.formatAhead(-90), '−90.0 s');
  assert.equal(format.formatAhead(null), format.UNKNOWN);
});
