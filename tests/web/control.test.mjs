// SPDX-License-Identifier: Apache-2.0
// Goal: the pages of nodes, alerts and actions tell all that the API tells, and nothing else: of a
// real server, and of clusters in trouble, whose documents have the shapes that the API declares.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import {
    Server,
    answer,
    axe,
    forget,
    forgetLogin,
    freePort,
    launch,
    logIn,
    newFolder,
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

before(async () => {
    folder = newFolder();
    server = await new Server(folder, await freePort(), 'required', []).start();
    admin = server.makeKey('admin');
    analyst = server.makeKey('analyst');
    browser = await launch();
});

after(async () => {
    await browser?.close();
    await server?.stop();
    removeFolder(folder);
});

// A page of somebody who is logged in, before which these documents stand.
function visit(options, key, stand, use) {
    return withPage(browser, server, options, async (page, seen) => {
        await stand(page);
        await logIn(page, server.url, key);
        forgetLogin(seen);
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
        controller: { leads: false, leader: 'gate2', url: 'http://gate2.example.org:8080', term: 7 },
        scale: {
            current: 2,
            desired: 3,
            reason: 'cooldown: average CPU 91.5 % is above 80 %, and the last step up has 12 s left',
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
            forget(seen, /503 \(/);
        }));
}

test('no nodes, nobody who leads and a controller that has not looked are told', () => {
    const controller = { leads: false, leader: null, url: null, term: 0 };
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

test('on a phone each node is a block whose figures bear their names', () =>
    visit(
        { viewport: { width: 360, height: 740 }, hasTouch: true },
        analyst,
        standCluster,
        async (page, seen) => {
            await show(page, server, 'nodes');
            const table = page.locator('[role=region][aria-label="Nodes"]');
            const [wide, label] = await table.evaluate((region) => [
                region.scrollWidth - region.clientWidth,
                getComputedStyle(region.querySelectorAll('td')[2], '::before').content,
            ]);
            assert.ok(wide <= 0, `${wide} px too wide`);
            assert.equal(label, '"CPU"');
            assert.deepEqual(await axe(page), []);
            forget(seen, /503 \(/);
        },
    ));

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
