// SPDX-License-Identifier: Apache-2.0
// Takes the pictures of docs/pictures from a real server under real traffic.
//
//   node tests/web/pictures.mjs [FOLDER] [SECONDS]     default: docs/pictures, 120 s of traffic first
//
// A Korean font is wanted for the Korean one (Debian: fonts-nanum).
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import {
    Crowd,
    PAGES,
    Server,
    ROOT,
    freePort,
    launch,
    logIn,
    newFolder,
    removeFolder,
} from './harness.mjs';

const [target = join(ROOT, 'docs', 'pictures'), seconds = '120'] = process.argv.slice(2);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function shoot(context, server, key, { pages, suffix }) {
    const page = await context.newPage();
    await logIn(page, server.url, key);
    for (const name of pages) {
        await page.goto(`${server.url}/#/${name}`);
        await wait(2500);
        await page.screenshot({ path: join(target, `${name}${suffix}.png`) });
    }
    await page.close();
}

const folder = newFolder();
const server = await new Server(folder, await freePort()).start();
const browser = await launch();
try {
    mkdirSync(target, { recursive: true });
    const key = server.makeKey('admin');
    const crowd = new Crowd(server, key);
    crowd.start(45);
    await wait(1000 * Number(seconds));
    const size = { viewport: { width: 1280, height: 860 } };
    const light = await browser.newContext({ ...size, colorScheme: 'light', locale: 'en-US' });
    await shoot(light, server, key, { pages: PAGES, suffix: '' });
    const dark = await browser.newContext({ ...size, colorScheme: 'dark', locale: 'ko-KR' });
    await shoot(dark, server, key, { pages: ['event'], suffix: '-ko-dark' });
    await crowd.stop();
} finally {
    await browser.close();
    await server.stop();
    removeFolder(folder);
}
