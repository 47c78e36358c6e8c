// SPDX-License-Identifier: Apache-2.0
// Leaves the dashboard open for an hour on a real server under real traffic, each of its pages in a
// window of its own, and weighs them each minute, garbage collected.
//
//   node tests/web/hour.mjs [MINUTES]     default: 60
//
// Prints a line a minute: megabytes of JavaScript's heap, elements, listeners of each page. Ends with
// 1 when the last quarter's median is more than a megabyte or 200 elements above the second's.
import {
    Crowd,
    PAGES,
    Server,
    freePort,
    launch,
    logIn,
    newFolder,
    removeFolder,
    weigh,
} from './harness.mjs';

const minutes = Number(process.argv[2] ?? 60);
const MOST = { heap: 1e6, nodes: 200, listeners: 20 };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

function median(values) {
    return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

// Of one page's weights, what has grown beyond its measure.
function grown(name, weights) {
    const quarter = Math.floor(weights.length / 4);
    return Object.entries(MOST).flatMap(([what, most]) => {
        const before = median(weights.slice(quarter, 2 * quarter).map((one) => one[what]));
        const after = median(weights.slice(-quarter).map((one) => one[what]));
        return after - before > most ? [`${name}: ${what} from ${before} to ${after}`] : [];
    });
}

// A context each, and so a stream each: pages of one browser share theirs.
async function openAll(browser, server, key) {
    const pages = {};
    for (const name of PAGES) {
        const context = await browser.newContext({ locale: 'en-US' });
        pages[name] = await context.newPage();
        await logIn(pages[name], server.url, key);
        await pages[name].goto(`${server.url}/#/${name}`);
        await pages[name].locator(`main.page-${name} h1`).waitFor();
    }
    return pages;
}

const folder = newFolder();
const server = await new Server(folder, await freePort()).start();
const browser = await launch();
try {
    const key = server.makeKey('admin');
    const crowd = new Crowd(server, key);
    crowd.start(20);
    const pages = await openAll(browser, server, key);
    const weights = Object.fromEntries(PAGES.map((name) => [name, []]));
    for (let minute = 1; minute <= minutes; minute++) {
        await wait(60000);
        const told = [];
        for (const name of PAGES) {
            const one = await weigh(pages[name]);
            weights[name].push(one);
            told.push(`${name} ${(one.heap / 1e6).toFixed(2)} ${one.nodes} ${one.listeners}`);
        }
        console.log(`${minute} min: ${told.join(', ')}`);
    }
    await crowd.stop();
    const found = PAGES.flatMap((name) => grown(name, weights[name]));
    console.log(found.length === 0 ? 'nothing has grown' : found.join('\n'));
    process.exitCode = found.length === 0 ? 0 : 1;
} finally {
    await browser.close();
    await server.stop();
    removeFolder(folder);
}
