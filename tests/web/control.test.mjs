// SPDX-License-Identifier: Apache-2.0
// Goal: the pages of nodes, alerts and actions tell all that the API tells, and nothing else: of a
// real server, and of clusters in trouble, whose documents have the shapes that the API declares.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import {
    Receiver,
    Server,
    answer,
    axe,
    forget,
    freePort,
    launch,
    newFolder,
    phone,
    removeFolder,
    rowsOf,
    show,
    withPage,
} from './harness.mjs';

const EVIL = '<img src=x onerror="window.evil=1">';
const AT = '2026-11-24T18:23:29.000Z';
const LOOKS = [
    { colorScheme: 'light', locale: 'en-US' },
    { colorScheme: 'dark', locale: 'ko-KR' },
];

let folder;
let server;
let browser;
let admin;
let analyst;
let receiver;

// A rule that fires at once, whose action waits for an approval, and one over nodes.
const rulesOf = (port) => `
[recovery]
mode = ask
verify = 0s

[alert.crowded]
metric = healthy_nodes
op = >=
threshold = 1
severity = warning
action = INVALIDATE_CACHE
cooldown = 1h

[alert.warm_node]
metric = node_age_s
op = >=
threshold = 0
severity = info

[notify.team]
type = webhook
url = http://127.0.0.1:${port}/hook
group_wait = 0s
`;

before(async () => {
    folder = newFolder();
    const config = join(folder, 'turnout.ini');
    receiver = await new Receiver().start();
    writeFileSync(config, rulesOf(receiver.port));
    const args = ['--config', config];
    server = await new Server(folder, await freePort(), 'required', args).start();
    admin = server.makeKey('admin');
    analyst = server.makeKey('analyst');
    browser = await launch();
});

after(async () => {
    await browser?.close();
    await server?.stop();
    receiver?.stop();
    removeFolder(folder);
});

// A page of somebody who is logged in, before which these documents stand.
function visit(options, key, stand, use) {
    return withPage(browser, server, options, async (page, seen) => {
        await page.addInitScript(() => {
            const wait = window.setTimeout; // what pages ask for each few seconds comes sooner
            const isPoll = (ms) => ms >= 1000 && ms < 10000; // a request's own deadline stays
            window.setTimeout = (fn, ms, ...more) => wait(fn, isPoll(ms) ? ms / 10 : ms, ...more);
        });
        await stand(page);
        const answer = await page.request.post(`${server.url}/v1/session`, { data: { key } });
        assert.equal(answer.status(), 200);
        await use(page, seen);
        assert.equal(await page.evaluate(() => window.evil), undefined);
    });
}

// ---- nodes ----

function nodeOf(id, more) {
    return {
        id,
        url: `http://${id}.example.org:8080`,
        version: '1.4.2',
        state: 'healthy',
        why: 'it answers in time',
        healthy: true,
        stale: false,
        age_s: 0.4,
        cpu: 41.5,
        memory: 37,
        connections: 120,
        hit_rate: 0.91,
        clock_ahead_s: 0.012,
        started_at: '2026-11-24T15:23:29.000Z',
        capabilities: { cpus: 4, memory_limit: 4294967296, connections_max: 10000 },
        ...more,
    };
}

const ACTING = { state: 'on', at: null, by: null, reason: null };

function cluster(more) {
    const unknown = { cpu: null, memory: null, connections: null, hit_rate: null };
    const missed = { state: 'suspect', why: 'missed: connection refused', healthy: false };
    const drains = { state: 'draining', why: 'it finishes what it has and stops', healthy: false };
    const left = { state: 'gone', why: 'it left', healthy: false, started_at: null };
    const strange = { url: 'javascript:evil=1', clock_ahead_s: null, capabilities: {} };
    return {
        at: AT,
        items: [
            nodeOf('gate1', {}),
            nodeOf('gate2', { clock_ahead_s: -1.8 }),
            nodeOf('gate3', { ...missed, ...unknown, stale: true, age_s: 42, capabilities: {} }),
            nodeOf('gate4', drains),
            nodeOf(EVIL, { ...left, ...unknown, ...strange }),
        ],
        controller: {
            leads: false,
            leader: 'gate2',
            url: 'http://gate2.example.org:8080',
            term: 7,
            acting: ACTING,
        },
        scale: {
            current: 2,
            desired: 3,
            reason:
                'cooldown: average CPU 91.5 % is above 80 %, and the last step up has 12 s left',
        },
        optimal: { analytics: 'gate1', database: 'gate2', cache: null, general: 'gate1' },
        ...more,
    };
}

async function standCluster(page) {
    await answer(page, '/v1/nodes', cluster(), { schema: 'Nodes' });
    const reasons = {
        analytics: 'lowest CPU: 41.5 %',
        database: 'fewest connections: 120',
        general: 'a reason that nobody thought of',
    };
    for (const [type, reason] of Object.entries(reasons)) {
        const path = `/v1/nodes/optimal?type=${type}`;
        const node = { id: 'gate1', url: 'http://gate1.example.org:8080' };
        await answer(page, path, { type, node, reason, at: AT }, { schema: 'NodeChoice' });
    }
    await answer(
        page,
        '/v1/nodes/optimal?type=cache',
        { status: 503, code: 'no_healthy_nodes', detail: 'No healthy nodes available' },
        { status: 503 },
    );
}

const IN_TROUBLE = {
    'en-US': [
        'of 3 wanted',
        '2 healthy, 3 wanted.',
        'cooldown: average CPU 91.5 % is above 80 %',
        'gate2 leads in term 7:',
        'missed: connection refused',
        'No healthy nodes available',
    ],
    'ko-KR': [
        '/ 필요 3개',
        '정상 2개, 필요 3개.',
        '대기: 평균 CPU 91.5 %, 80 % 초과. 지난 확장 후 12초 남음',
        'gate2이(가) 이끕니다(임기 7):',
        '응답 없음: connection refused',
        '정상 노드가 없습니다',
    ],
};

for (const look of LOOKS) {
    const { colorScheme, locale } = look;
    test(`a cluster in trouble is told node by node: ${colorScheme}, ${locale}`, () =>
        visit(look, analyst, standCluster, async (page, seen) => {
            await show(page, server, 'nodes');
            const text = await page.textContent('main');
            for (const shown of IN_TROUBLE[locale]) {
                assert.ok(text.includes(shown), shown);
            }
            assert.doesNotMatch(text, /NaN|undefined|\[object/);
            const rows = await rowsOf(page, locale === 'en-US' ? 'Nodes' : '노드');
            assert.deepEqual(
                rows.map(([node]) => node),
                [
                    'gate1http://gate1.example.org:8080 1.4.2',
                    'gate2http://gate2.example.org:8080 1.4.2',
                    'gate3http://gate3.example.org:8080 1.4.2',
                    'gate4http://gate4.example.org:8080 1.4.2',
                    `${EVIL}javascript:evil=1 1.4.2`,
                ],
            );
            assert.deepEqual(rows[0].slice(2), [
                locale === 'en-US' ? '41.5 % / 4 cores' : '41.5 % / 4코어',
                '37.0 % / 4.00 GiB',
                '120 / 10,000',
                '91.0 %',
                '400 ms',
                '+12.0 ms',
                '3 h 0 min',
            ]);
            assert.equal(rows[1][7], '−1,800 ms');
            assert.deepEqual(rows[4].slice(2, 9), ['–', '–', '–', '–', '400 ms', '–', '–']);
            const links = await page.$$eval('main a', (all) => all.map((one) => one.href));
            assert.equal(links.length, 5); // four nodes and the leader, and no address but http's
            assert.ok(links.every((href) => href.startsWith('http://gate')));
            assert.equal(await page.$('main img'), null);
            assert.deepEqual(await axe(page), []);
            // On a phone each node is a block whose figures bear their names.
            assert.ok((await phone(page)) <= 0);
            const [wide, label] = await page.$eval('table.stacked', (table) => [
                table.scrollWidth - table.parentElement.clientWidth,
                getComputedStyle(table.querySelectorAll('td')[2], '::before').content,
            ]);
            assert.ok(wide <= 0, `${wide} px too wide`);
            assert.equal(label, '"CPU"');
            forget(seen, /503 \(/);
        }));
}

test('no nodes, nobody who leads and a controller that has not looked are told', () => {
    const controller = { leads: false, leader: null, url: null, term: 0, acting: ACTING };
    const scale = { current: 0, desired: 0, reason: 'missing: the snapshot lists no nodes' };
    const stand = (page) =>
        answer(page, '/v1/nodes', cluster({ items: [], controller, scale }), { schema: 'Nodes' });
    return visit({}, analyst, stand, async (page, seen) => {
        await show(page, server, 'nodes');
        await page.waitForSelector('text=No node is registered.');
        await page.waitForSelector('.note.warn:has-text("Nobody leads now")');
        await page.unrouteAll();
        const detail = 'the controller has not looked yet';
        await answer(page, '/v1/nodes', { code: 'unavailable', detail }, { status: 503 });
        await page.waitForSelector(`.note.warn:has-text("${detail}")`);
        await page.waitForSelector('text=No node is registered.'); // the last that was known
        await page.reload();
        await page.waitForSelector(`.note.warn:has-text("${detail}")`);
        assert.equal(await page.$('[role=region][aria-label="Nodes"]'), null);
        forget(seen, /503 \(/);
    });
});

test('the only node of a file is told as the API tells it', () =>
    visit({}, analyst, async () => {}, async (page) => {
        const read = async (path) =>
            (await server.send('GET', path, undefined, analyst)).body;
        await show(page, server, 'nodes');
        const { items, scale } = await read('/v1/nodes');
        await page.waitForSelector('text=This node is alone');
        await page.waitForSelector(`.note:has-text("${scale.reason}")`);
        const [cells] = await rowsOf(page, 'Nodes');
        assert.equal(cells[0], `${items[0].id}${items[0].url} ${items[0].version}`);
        assert.ok(cells[1].includes(items[0].why));
        const types = ['analytics', 'database', 'cache', 'general'];
        const chosen = await rowsOf(page, 'Best node for a request');
        for (const [i, type] of types.entries()) {
            const { node, reason } = await read(`/v1/nodes/optimal?type=${type}`);
            assert.equal(chosen[i][1], node.id);
            assert.equal(chosen[i][2].split(':')[0], reason.split(':')[0]);
        }
    }));

// ---- alerts ----

const WATCHED = {
    value: 12.5,
    absent: false,
    data: 'present',
    flapping: false,
    silenced: false,
};

function ruleOf(rule, state, more) {
    return {
        ...WATCHED,
        rule,
        state,
        severity: 'warning',
        action: 'AUTO_SCALE',
        metric: 'avg_response_time_ms',
        per: null,
        rate_over_s: 0,
        op: '>',
        threshold: 2000,
        clear: null,
        for_s: 30,
        cooldown_s: 300,
        since: AT,
        resolved_at: null,
        ...more,
    };
}

function actionOf(id, outcome, more) {
    return {
        id: String(id),
        at: AT,
        system: 'recovery',
        actor: 'gate1',
        action: 'OPTIMIZE_QUERIES',
        target: 'store',
        outcome,
        trigger: 'database_slow_query: slow_query_count 12 is above 10',
        plan: 'let the optimizer take few safe steps and measure',
        evidence: { trigger: 'as above', plan: 'as above', rule: 'database_slow_query', value: 12 },
        before: { slow_query_count: 12, nodes: 2 },
        after: {},
        detail: '',
        ...more,
    };
}

const OUTCOMES = [
    'advised', 'held', 'waiting', 'expired', 'refused', 'begun', 'done', 'failed', 'better', 'no effect',
    'worse', 'undone', 'interrupted', 'called',
];

const ALERTS = {
    at: AT,
    mode: 'act',
    acting: { state: 'stopped', at: AT, by: '9f0c6b1f3a7d2e48', reason: EVIL },
    shedding: { rule: 'leak', at: AT, until: '2099-11-24T18:23:29.000Z', by: 'gate1' },
    unwatched: 3,
    items: [
        ruleOf('quiet', 'inactive', { value: null, absent: true, data: 'absent', action: null }),
        ruleOf('over', 'resolved', { resolved_at: AT }),
        ruleOf('soon', 'pending', { per: 'healthy_nodes', rate_over_s: 300, clear: 1000 }),
        ruleOf('known', 'firing', { silenced: true, flapping: true }),
        ruleOf('leak', 'firing', {
            severity: 'critical',
            metric: 'node_memory',
            nodes: [
                { ...WATCHED, node: EVIL, state: 'firing', value: 97.25 },
                { ...WATCHED, node: 'gate2', state: 'pending', silenced: true },
            ],
        }),
    ],
};

const SILENCES = {
    items: [
        {
            id: 'a1',
            rule: 'known',
            node: 'gate*',
            severity: 'warning',
            at: AT,
            until: '2099-11-24T18:23:29.000Z',
            by: '9f0c6b1f3a7d2e48',
            reason: EVIL,
        },
    ],
    next: null,
};

const ACTIONS = {
    items: OUTCOMES.map((outcome, i) =>
        actionOf(i, outcome, {
            after: outcome === 'better' ? { slow_query_count: 3, nodes: 2 } : {},
            detail: outcome === 'failed' ? EVIL : '',
        }),
    ),
    next: null,
};

const NOTIFICATIONS = {
    receivers: [
        {
            receiver: 'team',
            type: 'webhook',
            disabled: false,
            queued: 1,
            delivered: 1200,
            refused: 2,
            given_up: 3,
            tries_failed: 4,
            put_off: 5,
            delivered_at: AT,
            trouble: 'connection refused',
        },
    ],
    items: ['waiting', 'delivered', 'refused', 'given up'].map((state, i) => ({
        id: String(i),
        key: `n-${i}`,
        at: AT,
        changed_at: AT,
        receiver: 'team',
        actor: 'gate1',
        state,
        attempts: 2,
        detail: state === 'refused' ? '410' : '',
        notice: { title: EVIL },
    })),
    next: null,
};

async function standAlerts(page) {
    await answer(page, '/v1/alerts', ALERTS, { schema: 'Alerts' });
    await answer(page, '/v1/silences', SILENCES, { items: 'Silence' });
    await answer(page, '/v1/actions?limit=25', ACTIONS, { items: 'Action' });
    await answer(page, '/v1/notifications?limit=25', NOTIFICATIONS, { items: 'Notification' });
}

const TOLD = {
    'en-US': {
        rules: 'Rules',
        silences: 'Silences',
        journal: 'Journal of actions',
        log: 'Notices',
        texts: [
            'All acting is stopped',
            'by the key 9f0c6b1f3a7d2e48',
            'a second over 300 s',
            'Analytics are refused until 2099-11-24',
        ],
        outcomes: [
            'Advised', 'Held back', 'Waits for approval Approve Refuse', 'Not approved in time',
            'Refused', 'Begun',
            'Done', 'Failed', 'Helped', 'No effect', 'Made it worse', 'Undone', 'Interrupted',
            'For a person',
        ],
        states: ['Waiting', 'Delivered', 'Refused', 'Given up'],
    },
    'ko-KR': {
        rules: '규칙',
        silences: '무음',
        journal: '조치 기록',
        log: '알림',
        texts: [
            '모든 조치가 중지되어',
            '키 9f0c6b1f3a7d2e48',
            '300초간 초당 변화',
            '2099-11-24 18:23:29까지 분석 요청을 거절합니다',
        ],
        outcomes: [
            '권고', '보류', '승인 대기 승인 거부', '승인 시한 지남', '거부됨', '시작됨', '완료', '실패', '효과 있음',
            '효과 없음', '악화', '되돌림', '중단됨', '사람이 필요함',
        ],
        states: ['대기 중', '전달됨', '거절됨', '포기함'],
    },
};

for (const look of LOOKS) {
    const { colorScheme, locale } = look;
    const words = TOLD[locale];
    test(`rules, silences, journal and notices are told in full: ${colorScheme}, ${locale}`, () =>
        visit(look, admin, standAlerts, async (page) => {
            await show(page, server, 'alerts');
            const rules = await rowsOf(page, words.rules);
            assert.deepEqual(
                rules.slice(1).map((row) => row[1]),
                ['known', 'soon', 'over', 'quiet'],
            );
            assert.ok(rules[0][1].startsWith(`leak${EVIL} 97.25 `), rules[0][1]);
            const [silence] = await rowsOf(page, words.silences);
            assert.ok(silence[0].startsWith('known · gate* · '), silence[0]);
            assert.deepEqual(silence.slice(3, 5), [EVIL, '9f0c6b1f3a7d2e48']);
            const journal = await rowsOf(page, words.journal);
            assert.deepEqual(
                journal.map((row) => row[1].trim()),
                words.outcomes,
            );
            const helped = journal[OUTCOMES.indexOf('better')];
            assert.ok(helped[4].includes('slow_query_count 12 → 3'), helped[4]);
            assert.ok(helped[3].includes('rule database_slow_query'), helped[3]);
            const log = await rowsOf(page, words.log);
            assert.deepEqual(
                log.map((row) => row[1]),
                words.states,
            );
            const text = await page.textContent('body');
            for (const shown of [...words.texts, '1,200', 'connection refused', '410']) {
                assert.ok(text.includes(shown), shown);
            }
            assert.doesNotMatch(text, /NaN|undefined|\[object/);
            assert.equal(await page.textContent('.badge'), '1'); // the silenced one is quiet
            assert.equal(await page.$('main img'), null);
            assert.deepEqual(await axe(page), []);
            assert.ok((await phone(page)) <= 0);
        }));
}

test('a part that cannot be read says so, and the others stay', () => {
    const stand = async (page) => {
        await standAlerts(page);
        const problem = { code: 'unavailable', detail: 'the store is away' };
        await answer(page, '/v1/silences', problem, { status: 503 });
        await answer(page, '/v1/notifications?limit=25', problem, { status: 503 });
    };
    return visit({}, analyst, stand, async (page, seen) => {
        await show(page, server, 'alerts');
        const told = await page.$$eval('.note.warn', (all) =>
            all.filter((one) => one.textContent.includes('the store is away')).length,
        );
        assert.equal(told, 2);
        assert.equal((await rowsOf(page, 'Rules')).length, ALERTS.items.length);
        assert.equal((await rowsOf(page, 'Journal of actions')).length, OUTCOMES.length);
        assert.equal(await page.$('main button.plain'), null); // this login orders nothing
        forget(seen, /503 \(/);
    });
});

// Fills the dialog that is open and confirms it.
async function order(page, key, fields = {}) {
    for (const [name, value] of Object.entries(fields)) {
        await page.fill(`dialog [name=${name}]`, value);
    }
    await page.fill('dialog [name=key]', key);
    await page.click('dialog [type=submit]');
}

test('what waits can be refused, and what the node says of it is shown', () =>
    visit({}, admin, standAlerts, async (page, seen) => {
        await show(page, server, 'alerts');
        await page.click('button:text-is("Refuse")');
        assert.deepEqual(await axe(page), []);
        const [sent] = await Promise.all([
            page.waitForRequest((request) => request.method() === 'POST'),
            order(page, admin),
        ]);
        const { id } = ACTIONS.items[OUTCOMES.indexOf('waiting')];
        assert.ok(sent.url().endsWith(`/v1/actions/${id}:refuse`), sent.url());
        await page.waitForSelector('dialog .note.bad:has-text("no such action waits")');
        forget(seen, /404 \(/);
    }));

test('what waits is approved with a key that may, and the journal and the receiver tell', () =>
    visit({}, admin, async () => {}, async (page, seen) => {
        await show(page, server, 'alerts');
        await page.waitForSelector('.badge');
        await page.click('button:text-is("Approve")');
        assert.deepEqual(await axe(page), []); // of the dialog, too
        await order(page, analyst);
        await page.waitForSelector('dialog .note.bad:has-text("scope admin")');
        await page.fill('dialog [name=key]', admin);
        await page.click('dialog [type=submit]');
        await page.waitForSelector('dialog', { state: 'detached' });
        const row = '[aria-label="Journal of actions"] tr:has-text("INVALIDATE_CACHE")';
        await page.waitForSelector(`${row} .chip:has-text("Done")`);
        await page.waitForSelector('[aria-label="Notices"] .chip.good:has-text("Delivered")');
        const nodes = '[aria-label="Rules"] tr:has-text("warm_node") .pairs';
        const id = (await server.send('GET', '/v1/nodes', undefined, analyst)).body.items[0].id;
        await page.waitForSelector(`${nodes}:has-text("${id}")`);
        forget(seen, /403 \(/);
    }));

test('an alert is silenced and told again; no key stays in the page', () =>
    visit({}, admin, async () => {}, async (page) => {
        const silences = async () =>
            (await server.send('GET', '/v1/silences', undefined, analyst)).body.items;
        await show(page, server, 'alerts');
        await page.click('[aria-label="Silence: crowded"]');
        const [sent] = await Promise.all([
            page.waitForRequest((request) => request.method() === 'POST'),
            order(page, admin, { reason: EVIL }),
        ]);
        assert.equal(sent.postDataJSON().duration_s, 3600);
        const row = '[role=region][aria-label="Silences"] tbody tr';
        await page.waitForSelector(`${row}:has-text("crowded")`);
        const [silence] = await silences();
        assert.deepEqual([silence.rule, silence.reason], ['crowded', EVIL]);
        assert.equal((await rowsOf(page, 'Silences'))[0][4], silence.by);
        const rule = '[aria-label="Rules"] tr:has-text("crowded")';
        await page.waitForSelector(`${rule}:has-text("silenced")`);
        await page.waitForSelector('dialog', { state: 'detached' });
        const held = await page.evaluate(() =>
            JSON.stringify([
                [...document.querySelectorAll('input')].map((one) => one.value),
                document.documentElement.outerHTML,
                { ...localStorage },
                { ...sessionStorage },
            ]),
        );
        assert.ok(!held.includes(admin.split('.')[1]));
        await page.click('[aria-label^="End: "]');
        await order(page, admin);
        await page.waitForSelector('text=No alert is silenced.');
        assert.deepEqual(await silences(), []);
    }));

test('a stop of all acting is loud on every page until it is resumed', () =>
    visit({}, admin, async () => {}, async (page) => {
        const acting = async () =>
            (await server.send('GET', '/v1/alerts', undefined, analyst)).body.acting;
        await show(page, server, 'alerts');
        await page.click('main button:text-is("Stop all acting")');
        await page.keyboard.press('Escape');
        await page.waitForSelector('dialog', { state: 'detached' });
        await page.click('main button:text-is("Stop all acting")');
        await order(page, admin, { reason: EVIL });
        const banner = page.locator('.banner.loud[role=alert]', { hasText: EVIL });
        await banner.waitFor();
        await page.waitForSelector('[aria-label="Journal of actions"] tr:has-text("STOP_ACTING")');
        assert.equal((await acting()).state, 'stopped');
        await show(page, server, 'kpi');
        await page.waitForSelector('.banner.loud');
        await page.click('.banner button:text-is("Resume acting")');
        await order(page, admin);
        await page.waitForSelector('.banner', { state: 'detached' });
        assert.equal((await acting()).state, 'on');
    }));
