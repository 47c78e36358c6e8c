// SPDX-License-Identifier: Apache-2.0
// Goal: the dashboard of a real server, in a real browser, does what docs/monitoring.md says.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import {
    Crowd,
    PAGES,
    Server,
    WAIT_MS,
    axe,
    forgetLogin,
    freePort,
    launch,
    logIn,
    newFolder,
    removeFolder,
    rowsOf,
    show as showPage,
    until,
    weigh,
    withPage as openPage,
} from './harness.mjs';

const CHARTS = { event: 1, api: 3, database: 2, nodes: 3 };
const EVIL = '<img src=x onerror="window.evil=1">';

let folder;
let server;
let browser;
let crowd;
let admin;
let analyst;

before(async () => {
    folder = newFolder();
    server = await new Server(folder, await freePort()).start();
    admin = server.makeKey('admin');
    analyst = server.makeKey('analyst');
    await server.send('POST', '/v1/events/demo/participants', { token: 'evil', name: EVIL }, admin);
    crowd = new Crowd(server, admin);
    await crowd.scans(200);
    crowd.start(20);
    browser = await launch();
});

after(async () => {
    await crowd?.stop();
    await browser?.close();
    await server?.stop();
    removeFolder(folder);
});

const withPage = (options, use) => openPage(browser, server, options, use);
const show = (page, name) => showPage(page, server, name);

test('a login shows the key figures with the worst first, and no secret stays in the page', () =>
    withPage({}, async (page, seen) => {
        await logIn(page, server.url, analyst);
        forgetLogin(seen);
        await page.waitForFunction(() => document.querySelectorAll('.kpi').length === 7);
        await page.waitForSelector('[data-link=live]');
        const order = await page.$$eval('.kpi:not(.load)', (all) =>
            all.map((one) => one.dataset.status),
        );
        const ranks = order.map((status) =>
            ['missed', 'at_risk', 'unknown', 'met'].indexOf(status),
        );
        assert.deepEqual(ranks, [...ranks].sort());
        const shown = await page.textContent('[data-key=api_response_ms] .value');
        assert.match(shown, /^[\d.,]+ m?s$/);
        const stored = await page.evaluate(() =>
            JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]),
        );
        assert.ok(!stored.includes(analyst.split('.')[1]) && stored.includes('""'));
    }));

test('a wrong key is told and shows nothing', () =>
    withPage({}, async (page, seen) => {
        await page.goto(server.url);
        await page.fill('#key', 'tk_0000000000000000.wrong');
        await page.keyboard.press('Enter');
        await page.waitForSelector('.note.bad');
        assert.match(await page.textContent('.note.bad'), /not valid/);
        assert.equal(await page.$('nav.tabs'), null);
        forgetLogin(seen);
    }));

test('a logout and a revoked key both end at the login', () =>
    withPage({}, async (page, seen) => {
        const key = server.makeKey('analyst');
        await logIn(page, server.url, key);
        await page.click('text=Log out');
        await page.waitForSelector('#key');
        await page.reload();
        await page.waitForSelector('#key');
        await logIn(page, server.url, key);
        server.revoke(key);
        await page.waitForSelector('text=Your session has ended');
        assert.equal(await page.$('nav.tabs'), null);
        forgetLogin(seen);
    }));

for (const [colorScheme, locale] of [
    ['light', 'en-US'],
    ['dark', 'ko-KR'],
]) {
    test(`every page shows real figures and passes axe-core: ${colorScheme}, ${locale}`, () =>
        withPage({ colorScheme, locale }, async (page, seen) => {
            await logIn(page, server.url, admin);
            assert.equal(await page.getAttribute('html', 'lang'), locale.slice(0, 2));
            assert.equal(await page.getAttribute('html', 'data-theme'), colorScheme);
            for (const name of PAGES) {
                await show(page, name);
                assert.equal(await page.$$eval('[aria-current=page]', (all) => all.length), 1);
                if (CHARTS[name]) {
                    await page.waitForFunction(
                        (n) => document.querySelectorAll('.plot canvas').length >= n,
                        CHARTS[name],
                    );
                }
                assert.deepEqual(await axe(page), [], name);
            }
            // A route that this node does not have is a sentence, not an error of the page.
            const kept = seen.filter((one) => !/40[14] \(/.test(one));
            seen.splice(0, seen.length, ...kept);
        }));
}

test('the login itself passes axe-core in both themes', async () => {
    for (const colorScheme of ['light', 'dark']) {
        await withPage({ colorScheme }, async (page, seen) => {
            await page.goto(server.url);
            await page.waitForSelector('#key');
            assert.deepEqual(await axe(page), []);
            forgetLogin(seen);
        });
    }
});

test('the figures of the event are those of the server', () =>
    withPage({}, async (page, seen) => {
        await logIn(page, server.url, analyst);
        forgetLogin(seen);
        await show(page, 'event');
        const number = async () =>
            Number((await page.textContent('.tiles .tile:nth-child(4) dd')).replace(/\D/g, ''));
        const low = (await server.send('GET', '/v1/events/demo/stats', undefined, analyst)).body
            .scans;
        await page.waitForFunction(
            (least) =>
                Number(
                    (
                        document.querySelector('.tiles .tile:nth-child(4) dd')?.textContent ?? ''
                    ).replace(/\D/g, ''),
                ) >= least,
            low,
        );
        const shown = await number();
        const high = (await server.send('GET', '/v1/events/demo/stats', undefined, analyst)).body
            .scans;
        assert.ok(low <= shown && shown <= high, `${low} ${shown} ${high}`);
        await page.waitForSelector('text=Already used');
        await page.waitForFunction(
            () => document.querySelectorAll('[aria-label="Latest scans"] tbody tr').length === 8,
        );
    }));

// What stands behind this label in the card of this title.
async function factOf(page, title, label) {
    const card = page.locator('.card', { has: page.locator(`h2:text-is("${title}")`) });
    return card
        .locator('.facts div', { has: page.locator(`dt:text-is("${label}")`) })
        .locator('dd')
        .textContent();
}

test('the cache page shows the counters of the server, class by class', () =>
    withPage({}, async (page, seen) => {
        const read = async () =>
            (await server.send('GET', '/v1/cache', undefined, analyst)).body;
        const number = (text) => Number(text.replace(/\D/g, ''));
        await logIn(page, server.url, analyst);
        forgetLogin(seen);
        const low = await read();
        await show(page, 'cache');
        const rows = await rowsOf(page, 'Classes of keys');
        const hits = await factOf(page, 'L1, in the process', 'Hits');
        const entries = await factOf(page, 'L1, in the process', 'Entries');
        const sizes = await rowsOf(page, 'L1 at other sizes');
        const causes = await page.$$eval('[aria-label="Why L1 missed"] tr', (all) => all.length);
        const left = await page.$$eval('[aria-label="Why entries left L1"] tr', (a) => a.length);
        const high = await read();
        assert.deepEqual(
            rows.map(([prefix]) => prefix),
            low.classes.map((one) => one.prefix),
        );
        rows.forEach((cells, i) => {
            const [least, most] = [low.classes[i].l1_hits, high.classes[i].l1_hits];
            assert.ok(least <= number(cells[2]) && number(cells[2]) <= most, cells.join(' '));
        });
        assert.ok(high.classes.some((one) => one.l1_hits > 0));
        assert.ok(low.l1.hits <= number(hits) && number(hits) <= high.l1.hits);
        assert.equal(number(entries.split('/')[1]), low.l1.capacity);
        assert.equal(causes, Object.keys(low.l1.misses_by_cause).length);
        assert.equal(left, Object.keys(low.l1.left_by_cause).length);
        assert.deepEqual(
            sizes.map(([size]) => number(size)),
            low.estimates.map((one) => one.entries),
        );
        assert.equal(sizes.filter(([size]) => size.includes('(now)')).length, 1);
        assert.equal(await factOf(page, 'L2, Redis Cluster', 'State'), 'off');
        await page.waitForSelector('text=Nothing so far: there was no reason.');
    }));

// The server's own document, with trouble written into it.
function inTrouble(document) {
    document.l2 = { ...document.l2, state: 'open', nodes: 6, nodes_open: 2, breaker_opened: 3 };
    document.channel = { ...document.channel, state: 'silent', heard_ms: 4200, pending: 7 };
    document.mark = { state: 'doubt', looked_ms: 90, drops: 2, turns: 5 };
    document.estimates = document.estimates.map((one) => ({ ...one, hit_rate: 0.875 }));
    const act = { at: document.at, act: 'trim', text: '', entries: 10, hit_rate_before: 0.5 };
    document.management.acts = [
        { ...act, hit_rate_after: null },
        { ...act, act: 'renew', hit_rate_after: 0.625 },
    ];
    document.management.rests = true;
    document.warming.state = 'running';
    return document;
}

for (const [locale, words] of [
    ['en-US', ['does not answer', 'silent', 'moved', 'Read the hottest keys anew', 'rests for a while']],
    ['ko-KR', ['응답하지 않음', '조용함', '움직임', '가장 뜨거운 키를 새로 읽음', '잠시 쉽니다']],
]) {
    test(`breakers, the channel and the last acts of the cache are told: ${locale}`, () =>
        withPage({ locale }, async (page, seen) => {
            await page.route('**/v1/cache', async (route) => {
                const answer = await route.fetch();
                await route.fulfill({ response: answer, json: inTrouble(await answer.json()) });
            });
            await logIn(page, server.url, analyst);
            forgetLogin(seen);
            await show(page, 'cache');
            const text = await page.textContent('main');
            for (const shown of [...words, '2 / 6', '4,200 ms', '87.5 %', '50.0 %', '62.5 %']) {
                assert.ok(text.includes(shown), shown);
            }
            const names = text.replace(/event_config|active_gates/g, ''); // as keys have them
            assert.doesNotMatch(names, /[a-z0-9]_[a-z]|NaN|undefined/);
            assert.deepEqual(await axe(page), []);
        }));
}

test('nodes, alerts and the reports of the database are those of the routes', () =>
    withPage({}, async (page, seen) => {
        const items = async (path) =>
            (await server.send('GET', path, undefined, analyst)).body.items;
        await logIn(page, server.url, analyst);
        forgetLogin(seen);
        await show(page, 'nodes');
        const [node] = await items('/v1/nodes');
        const [cells] = await rowsOf(page, 'Nodes');
        assert.ok(cells[0].startsWith(node.id) && cells[0].endsWith(node.version), cells[0]);
        assert.match(cells[1], /^healthy/);
        await show(page, 'alerts');
        const rules = (await items('/v1/alerts')).map((rule) => rule.rule);
        assert.deepEqual((await rowsOf(page, 'Rules')).map((row) => row[1]).sort(), rules.sort());
        await show(page, 'database');
        for (const [title, path] of [
            ['Critical queries', '/v1/database/queries'],
            ['Indexes', '/v1/database/indexes'],
            ['Partitions', '/v1/database/partitions'],
        ]) {
            const names = (await items(path)).map((one) => one.name);
            const shown = (await rowsOf(page, title)).map((row) => row[1]);
            assert.deepEqual(shown.sort(), names.sort(), path);
        }
    }));

test('a name that is markup shows as text', () =>
    withPage({}, async (page, seen) => {
        await logIn(page, server.url, analyst);
        forgetLogin(seen);
        await crowd.stop();
        const scan = { token: 'evil', gate: 'g01' };
        assert.equal(
            (await server.send('POST', '/v1/events/demo/checkins', scan, admin)).status,
            200,
        );
        await show(page, 'event');
        await page.waitForFunction(
            (name) =>
                [...document.querySelectorAll('.person')].some((one) => one.textContent === name),
            EVIL,
        );
        assert.equal(await page.$('.person img'), null);
        assert.equal(await page.evaluate(() => window.evil), undefined);
        crowd.start(20);
    }));

test('language and theme are switched and stay after a reload', () =>
    withPage({ colorScheme: 'light' }, async (page, seen) => {
        await logIn(page, server.url, analyst);
        forgetLogin(seen);
        await page.selectOption('.settings select:nth-of-type(1)', 'ko');
        await page.waitForSelector('text=핵심 지표');
        await page.selectOption('.settings select:nth-of-type(2)', 'dark');
        assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
        await page.reload();
        await page.waitForSelector('text=핵심 지표');
        assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
        assert.equal(await page.getAttribute('html', 'lang'), 'ko');
        await show(page, 'suggestions');
    }));

test('charts share the moment under the cursor, zoom by dragging and by keys', () =>
    withPage({}, async (page, seen) => {
        await logIn(page, server.url, analyst);
        forgetLogin(seen);
        await show(page, 'api');
        await page.waitForFunction(() => document.querySelectorAll('.plot canvas').length === 3);
        const moments = () => page.$$eval('.moment', (all) => all.map((one) => one.textContent));
        const box = await (await page.$('.plot .u-over')).boundingBox();
        await page.mouse.move(box.x + 0.9 * box.width, box.y + 60);
        await page.waitForFunction(() =>
            /\d\d:\d\d:\d\d/.test(document.querySelector('.moment').textContent),
        );
        const [one, two, three] = await moments();
        assert.ok(one === two && two === three, `${one} ${two} ${three}`);
        await page.mouse.move(box.x + 0.5 * box.width, box.y + 60);
        await page.mouse.down();
        await page.mouse.move(box.x + 0.8 * box.width, box.y + 60, { steps: 4 });
        await page.mouse.up();
        await page.waitForSelector('text=Show all');
        await page.click('text=Show all');
        await page.waitForSelector('text=Show all', { state: 'detached' });
        await page.focus('.plot');
        await page.keyboard.press('ArrowLeft');
        await page.waitForFunction(() =>
            /\d\d:\d\d:\d\d/.test(document.querySelector('.moment').textContent),
        );
        await page.keyboard.press('+');
        await page.waitForSelector('text=Show all');
        await page.keyboard.press('Escape');
        await page.waitForSelector('text=Show all', { state: 'detached' });
        await page.click('text=24 hours');
        await page.waitForSelector('[aria-pressed=true]:has-text("24 hours")');
    }));

test('the keyboard alone reaches every page', () =>
    withPage({}, async (page, seen) => {
        await page.goto(server.url);
        await page.waitForSelector('#key:focus');
        await page.keyboard.type(analyst);
        await page.keyboard.press('Enter');
        await page.waitForSelector('nav.tabs');
        forgetLogin(seen);
        const reached = new Set();
        await page.evaluate(() => document.activeElement.blur());
        for (let i = 0; i < 40 && reached.size < PAGES.length; i++) {
            await page.keyboard.press('Tab');
            const [hash, ring] = await page.evaluate(() => [
                document.activeElement.closest('.tabs a')?.getAttribute('href') ?? null,
                getComputedStyle(document.activeElement).outlineStyle,
            ]);
            if (hash !== null) {
                assert.notEqual(ring, 'none');
                reached.add(hash);
                await page.keyboard.press('Enter');
                await page.waitForSelector(`main.page-${hash.slice(2)}`);
            }
        }
        assert.deepEqual([...reached].sort(), PAGES.map((name) => `#/${name}`).sort());
        seen.splice(0, seen.length, ...seen.filter((one) => !/404 \(/.test(one)));
    }));

test('on a phone nothing is wider than the screen', () =>
    withPage({ viewport: { width: 360, height: 740 }, hasTouch: true }, async (page, seen) => {
        await logIn(page, server.url, admin);
        forgetLogin(seen);
        for (const name of PAGES) {
            await show(page, name);
            const wide = await page.evaluate(
                () => document.documentElement.scrollWidth - innerWidth,
            );
            assert.ok(wide <= 0, `${name} is ${wide} px too wide`);
        }
        seen.splice(0, seen.length, ...seen.filter((one) => !/404 \(/.test(one)));
    }));

test('a scanner key sees the event and is told why it sees no more', () =>
    withPage({}, async (page, seen) => {
        const key = server.makeKey('scanner', '--event', 'demo');
        await logIn(page, server.url, key);
        await page.waitForSelector('text=bound to the event demo');
        await page.goto(`${server.url}/#/event`);
        await page.waitForSelector('text=Inside now');
        await page.waitForSelector('.note:has-text("bound to the event demo")');
        seen.splice(0, seen.length, ...seen.filter((one) => !/40[13] \(/.test(one)));
    }));

test('without keys there is no login', async () => {
    const own = newFolder();
    const open = await new Server(own, await freePort(), 'off', []).start();
    try {
        const page = await browser.newPage();
        await page.goto(open.url);
        await page.waitForSelector('.kpi');
        assert.equal(await page.$('text=Log out'), null);
        await page.goto(`${open.url}/#/event`);
        await page.waitForSelector('text=There are no events yet');
        await page.close();
    } finally {
        await open.stop();
        removeFolder(own);
    }
});

// Two equal stretches behind a first one, in which caches fill: the second adds next to nothing.
function assertFlat([, before, after], heapMost) {
    const told = JSON.stringify({ before, after });
    assert.ok(after.heap - before.heap < heapMost, told);
    assert.ok(after.nodes - before.nodes < 200, told);
    assert.ok(after.listeners - before.listeners < 20, told);
}

test('two hours of figures leave the page no larger than five minutes of them', () =>
    withPage({}, async (page, seen) => {
        await page.addInitScript(() => {
            delete window.SharedWorker; // as on a phone: the page's own stream
            const Real = window.EventSource;
            window.streams = [];
            window.EventSource = class extends Real {
                constructor(...args) {
                    super(...args);
                    window.streams.push(this);
                    this.fed = [];
                }

                addEventListener(name, fn) {
                    this.fed.push(fn);
                    super.addEventListener(name, fn);
                }
            };
        });
        await logIn(page, server.url, analyst);
        forgetLogin(seen);
        await show(page, 'api');
        await page.waitForFunction(() => document.querySelectorAll('.plot canvas').length === 3);
        const feed = (from, to) =>
            page.evaluate(
                async ([first, last]) => {
                    const figures = await (await fetch('/v1/performance')).json();
                    const start = Date.now() + 60000;
                    const stream = window.streams.at(-1);
                    for (let i = first; i < last; i++) {
                        figures.second.at = new Date(start + 1000 * i).toISOString();
                        figures.second.requests = i % 97;
                        const data = JSON.stringify(figures);
                        stream.fed.forEach((fn) => fn({ data }));
                        if (i % 60 === 0) {
                            await new Promise((done) => setTimeout(done, 0));
                        }
                    }
                    for (let frame = 0; frame < 2; frame++) {
                        await new Promise(requestAnimationFrame); // what was fed is drawn
                    }
                },
                [from, to],
            );
        const weights = [];
        for (const [from, to] of [[0, 600], [600, 3900], [3900, 7200]]) {
            await feed(from, to);
            weights.push(await weigh(page));
        }
        assertFlat(weights, 500_000); // 150 bytes a second would be more
        assert.equal(await page.evaluate(() => window.turnoutRows()), 300);
    }));

test('twelve hundred polls of the event leave its page no larger', () =>
    withPage({}, async (page, seen) => {
        await page.addInitScript(() => {
            const wait = window.setTimeout;
            const ask = window.fetch;
            window.asked = 0;
            window.setTimeout = (fn, ms, ...more) => wait(fn, ms >= 500 ? ms / 100 : ms, ...more);
            window.fetch = (...what) => {
                window.asked++;
                return ask(...what);
            };
        });
        await logIn(page, server.url, analyst);
        forgetLogin(seen);
        await show(page, 'event');
        const weights = [];
        for (const polls of [600, 1200, 1800]) {
            await page.waitForFunction((many) => window.asked >= many, polls, {
                timeout: 2 * WAIT_MS,
            });
            weights.push(await weigh(page));
        }
        assertFlat(weights, 500_000);
    }));

test('pages that are opened and left again leave nothing behind', () =>
    withPage({}, async (page, seen) => {
        await logIn(page, server.url, admin);
        forgetLogin(seen);
        const weights = [];
        for (let stretch = 0; stretch < 3; stretch++) {
            for (let round = 0; round < 3; round++) {
                for (const name of PAGES) {
                    await show(page, name);
                }
            }
            weights.push(await weigh(page));
        }
        assertFlat(weights, 1_000_000); // a page that stayed behind would add 24 times its own
    }));

test('seven tabs of one browser share one stream, and all are live', () =>
    withPage({}, async (page, seen) => {
        await logIn(page, server.url, admin);
        forgetLogin(seen);
        const tabs = [page];
        while (tabs.length < 7) {
            tabs.push(await page.context().newPage());
            await tabs.at(-1).goto(server.url);
        }
        for (const tab of tabs) {
            await tab.waitForSelector('[data-link=live]');
        }
        await until(async () => (await server.streams(admin)) === 1, 'one stream');
        for (const tab of tabs.slice(0, 6)) {
            await tab.close();
        }
        const last = tabs.at(-1);
        await last.evaluate(() => fetch('/v1/session').then((answer) => answer.json()));
        assert.equal(await last.getAttribute('[data-link]', 'data-link'), 'live');
        assert.equal(await server.streams(admin), 1);
        await last.close();
        await until(async () => (await server.streams(admin)) === 0, 'no stream');
    }));

test('a tab that is hidden lets go of the stream until it is looked at', () =>
    withPage({}, async (page, seen) => {
        await page.addInitScript(() => {
            const wait = window.setTimeout;
            window.setTimeout = (fn, ms, ...more) => wait(fn, ms >= 30000 ? 10 : ms, ...more);
            let isHidden = false;
            Object.defineProperty(document, 'hidden', { get: () => isHidden });
            window.hide = (isNow) => {
                isHidden = isNow;
                document.dispatchEvent(new Event('visibilitychange'));
            };
        });
        await logIn(page, server.url, admin);
        forgetLogin(seen);
        await page.waitForSelector('[data-link=live]');
        await until(async () => (await server.streams(admin)) === 1, 'a stream');
        await page.evaluate(() => window.hide(true));
        await until(async () => (await server.streams(admin)) === 0, 'no stream');
        await page.evaluate(() => window.hide(false));
        await until(async () => (await server.streams(admin)) === 1, 'a stream again');
        await page.waitForSelector('.link.good');
    }));

test('a server that goes away and comes back finds its page again', () =>
    withPage({}, async (page, seen) => {
        await logIn(page, server.url, analyst);
        await page.waitForSelector('[data-link=live]');
        await page.waitForFunction(() => document.querySelectorAll('.kpi').length === 7);
        await crowd.stop();
        await server.stop();
        await page.waitForSelector('[data-link=lost]');
        await page.waitForSelector('.banner:has-text("No connection to the node")');
        assert.equal(await page.$$eval('.kpi', (all) => all.length), 7); // the last figures stay
        await server.start();
        await page.waitForSelector('[data-link=live]');
        await page.waitForSelector('.banner', { state: 'detached' });
        assert.equal(await page.$('#key'), null); // the session outlives the process
        seen.length = 0; // requests that could not be answered
    }));
