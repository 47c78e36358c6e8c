// SPDX-License-Identifier: Apache-2.0
// Takes the pictures of docs/pictures from a real server under real traffic.
//
//   node tests/web/pictures.mjs [FOLDER] [SECONDS] [PAGE…]
//
// By default: into docs/pictures, after 120 s of traffic, all pages and the Korean one of the event,
// for which a Korean font is wanted (Debian: fonts-nanum).
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
    Crowd,
    PAGES,
    Receiver,
    Server,
    ROOT,
    freePort,
    launch,
    logIn,
    newFolder,
    removeFolder,
    until,
} from './harness.mjs';

const [target = join(ROOT, 'docs', 'pictures'), seconds = '120', ...named] = process.argv.slice(2);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function shoot(context, server, key, { pages, suffix }) {
    const page = await context.newPage();
    await logIn(page, server.url, key);
    for (const name of pages) {
        await page.goto(`${server.url}/#/${name}`);
        await wait(2500);
        const fullPage = name === 'alerts'; // its journal is what it is about
        await page.screenshot({ path: join(target, `${name}${suffix}.png`), fullPage });
    }
    await page.close();
}

// Beside the rules that are built in, some that fire at such traffic, and somebody who is told.
const rulesOf = (port) => `
[recovery]
verify = 20s

[alert.doors_are_busy]
metric = connections_total
op = >=
threshold = 5
severity = info

[alert.node_is_busy]
metric = node_cpu
op = >=
threshold = 1
for = 5s
action = INVALIDATE_CACHE
cooldown = 1h

[notify.team]
type = webhook
url = http://127.0.0.1:${port}/hook
`;

const folder = newFolder();
const receiver = await new Receiver().start();
const config = join(folder, 'turnout.ini');
writeFileSync(config, rulesOf(receiver.port));
const args = ['--demo', '--config', config];
const server = await new Server(folder, await freePort(), 'required', args).start();
const browser = await launch();
try {
    mkdirSync(target, { recursive: true });
    const key = server.makeKey('admin');
    const silence = { rule: 'doors_are_busy', duration_s: 7200, reason: 'rehearsal until noon' };
    await server.send('POST', '/v1/silences', silence, key);
    const crowd = new Crowd(server, key);
    crowd.start(45);
    await wait(1000 * Number(seconds));
    const isJudged = ({ outcome }) => ['better', 'no effect', 'worse'].includes(outcome);
    await until(async () => {
        const { body } = await server.send('GET', '/v1/actions', undefined, key);
        return body.items.some(isJudged);
    }, 'an action that is judged');
    const size = { viewport: { width: 1280, height: 860 } };
    const light = await browser.newContext({ ...size, colorScheme: 'light', locale: 'en-US' });
    const pages = PAGES.filter((name) => named.length === 0 || named.includes(name));
    await shoot(light, server, key, { pages, suffix: '' });
    if (named.length === 0) {
        const dark = await browser.newContext({ ...size, colorScheme: 'dark', locale: 'ko-KR' });
        await shoot(dark, server, key, { pages: ['event'], suffix: '-ko-dark' });
    }
    await crowd.stop();
} finally {
    await browser.close();
    await server.stop();
    receiver.stop();
    removeFolder(folder);
}
