// SPDX-License-Identifier: Apache-2.0
// Opens the dashboard of a node on loopback in a browser that has nothing cached, several times.
//
//   TURNOUT_BIN=build/turnout node bench/first_paint.mjs [ROUNDS]     default: 5
//
// Prints one JSON document: milliseconds from the navigation to the first paint of content and to
// the key figures, of each round, and the bytes of all files as they were sent, compressed.
import {
    Server,
    freePort,
    launch,
    newFolder,
    removeFolder,
} from '../tests/web/harness.mjs';

const rounds = Number(process.argv[2] ?? 5);

// In the page: what the browser itself has measured.
function measured() {
    const [navigation] = performance.getEntriesByType('navigation');
    const files = performance
        .getEntriesByType('resource')
        .filter((one) => !new URL(one.name).pathname.startsWith('/v1/'));
    const paint = performance.getEntriesByName('first-contentful-paint')[0];
    return {
        paint_ms: paint.startTime,
        files: 1 + files.length,
        bytes: files.reduce((sum, one) => sum + one.encodedBodySize, navigation.encodedBodySize),
    };
}

async function open(browser, url) {
    const context = await browser.newContext({ locale: 'en-US' });
    try {
        const page = await context.newPage();
        await page.goto(url);
        await page.waitForSelector('.kpi .value');
        const figures = await page.evaluate(() => performance.now());
        await page.waitForFunction(
            () => performance.getEntriesByName('first-contentful-paint').length > 0,
        );
        return { ...(await page.evaluate(measured)), figures_ms: figures };
    } finally {
        await context.close();
    }
}

const folder = newFolder();
const server = await new Server(folder, await freePort(), 'off', []).start();
const browser = await launch();
try {
    await open(browser, server.url); // the browser's own start
    const seen = [];
    for (let round = 0; round < rounds; round++) {
        seen.push(await open(browser, server.url));
    }
    console.log(JSON.stringify(seen));
} finally {
    await browser.close();
    await server.stop();
    removeFolder(folder);
}
