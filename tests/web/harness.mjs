// SPDX-License-Identifier: Apache-2.0
// What the browser tests stand on: a real server with the demo event, real scans, a real Chromium.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, createWriteStream, readFileSync, existsSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = resolve(fileURLToPath(import.meta.url), '../../..');
export const BIN = process.env.TURNOUT_BIN ?? join(ROOT, 'build', 'turnout');
const fromWeb = createRequire(join(ROOT, 'web', 'package.json'));
const { chromium } = fromWeb('playwright-core');
export const AXE = readFileSync(fromWeb.resolve('axe-core/axe.min.js'), 'utf8');

export const PAGES = ['kpi', 'event', 'api', 'database', 'cache', 'nodes', 'alerts', 'suggestions'];

export const WAIT_MS = 60000; // the machine may be busy
const START_MS = 60000;
const STOP_MS = 20000;
const CHROMIUMS = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'];

export function newFolder() {
    return mkdtempSync(join(tmpdir(), 'turnout-web-'));
}

export function removeFolder(folder) {
    rmSync(folder, { recursive: true, force: true });
}

// A port that is free now, so that a server can come back where it was.
export function freePort() {
    return new Promise((done, failed) => {
        const server = createServer();
        server.on('error', failed);
        server.listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => done(port));
        });
    });
}

export class Server {
    constructor(folder, port, auth = 'required', args = ['--demo']) {
        this.store = `sqlite:${join(folder, 'turnout.db')}`;
        this.log = join(folder, 'server.log');
        this.port = port;
        this.url = `http://127.0.0.1:${port}`;
        this.auth = auth;
        this.args = args;
    }

    async start() {
        const log = createWriteStream(this.log, { flags: 'a' });
        this.process = spawn(
            BIN,
            [
                'serve',
                '--listen',
                `127.0.0.1:${this.port}`,
                '--store',
                this.store,
                '--auth',
                this.auth,
                ...this.args,
            ],
            { stdio: ['ignore', 'pipe', 'pipe'] },
        );
        this.ended = new Promise((done) => this.process.once('exit', done));
        this.process.stderr.pipe(log);
        await new Promise((done, failed) => {
            const timer = setTimeout(
                () => failed(new Error(`not ready: ${this.logTail()}`)),
                START_MS,
            );
            let said = '';
            this.process.stdout.on('data', (piece) => {
                said += piece;
                if (said.includes('ready url=')) {
                    clearTimeout(timer);
                    done();
                }
            });
            this.process.once('exit', (code) =>
                failed(new Error(`ended with ${code}: ${this.logTail()}`)),
            );
        });
        return this;
    }

    async stop() {
        if (this.process?.exitCode === null && this.process.signalCode === null) {
            this.process.kill('SIGTERM');
            const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_MS);
            await this.ended;
            clearTimeout(timer);
        }
    }

    logTail() {
        return existsSync(this.log) ? readFileSync(this.log, 'utf8').slice(-3000) : '';
    }

    run(...args) {
        return execFileSync(BIN, [...args, '--store', this.store], {
            encoding: 'utf8',
            stdio: ['ignore', 'pipe', 'ignore'],
        });
    }

    makeKey(scope, ...more) {
        return this.run(
            'key',
            'create',
            '--name',
            `web-${scope}`,
            '--scope',
            scope,
            ...more,
        ).trim();
    }

    revoke(key) {
        this.run('key', 'revoke', key.slice(3).split('.')[0]);
    }

    async send(method, path, body, key) {
        const response = await fetch(this.url + path, {
            method,
            headers: {
                'content-type': 'application/json',
                ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
            },
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const text = await response.text();
        return { status: response.status, body: text === '' ? null : JSON.parse(text) };
    }

    // Event streams that are open.
    async streams(key) {
        const headers = { authorization: `Bearer ${key}` };
        const text = await (await fetch(`${this.url}/metrics`, { headers })).text();
        return Number(/^turnout_http_streams (\d+)$/m.exec(text)[1]);
    }
}

// Somebody to tell, who takes everything.
export class Receiver {
    async start() {
        this.server = createHttpServer((request, response) => {
            request.resume();
            request.on('end', () => response.end());
        });
        await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
        this.port = this.server.address().port;
        return this;
    }

    stop() {
        this.server.close();
        this.server.closeAllConnections?.();
    }
}

// Scans as at doors that open: busy gates, a few refusals of several kinds, some who leave.
export class Crowd {
    constructor(server, key) {
        this.server = server;
        this.key = key;
        this.next = 1;
        this.isOn = false;
    }

    scanOf(n) {
        const gate = `g${String(1 + Math.floor(12 * ((n * 0.618034) % 1) ** 2)).padStart(2, '0')}`;
        const token =
            n % 17 === 0
                ? `stranger-${n}`
                : `demo-${String(n % 11 === 0 ? n - 5 : n).padStart(6, '0')}`;
        return { token, gate, method: n % 5 === 0 ? 'nfc' : 'qr' };
    }

    // What the screens at the doors ask for beside: the event, its gates, one of them, its figures.
    async look(n) {
        const gate = `gates/${this.scanOf(n).gate}`;
        for (const path of ['', '/gates', `/${gate}`, '/stats']) {
            await this.server
                .send('GET', `/v1/events/demo${path}`, undefined, this.key)
                .catch(() => null);
        }
    }

    async scan() {
        const n = this.next++;
        const path = '/v1/events/demo/checkins';
        const scan = this.scanOf(n);
        const answer = await this.server.send('POST', path, scan, this.key).catch(() => null);
        await this.look(n);
        if (n % 6 === 0) {
            await this.server
                .send('POST', path, { ...scan, direction: 'exit' }, this.key)
                .catch(() => null);
        }
        return answer;
    }

    async scans(count) {
        for (let i = 0; i < count; i += 8) {
            await Promise.all(Array.from({ length: Math.min(8, count - i) }, () => this.scan()));
        }
    }

    // About `rate` scans a second, uneven as people are, until stop().
    start(rate) {
        this.isOn = true;
        let beat = 0;
        const turn = async () => {
            while (this.isOn) {
                const wave = 1 + 0.5 * Math.sin(beat++ / 9) + 0.35 * Math.sin(beat / 3.1);
                await Promise.all([
                    this.scans(Math.max(1, Math.round((rate * wave) / 4))),
                    new Promise((done) => setTimeout(done, 250)),
                ]);
            }
        };
        this.turns = turn();
    }

    async stop() {
        this.isOn = false;
        await this.turns;
    }
}

export function launch() {
    const executablePath = CHROMIUMS.find((path) => path && existsSync(path));
    if (executablePath === undefined) {
        throw new Error('no Chromium: run tools/setup test, or set CHROMIUM');
    }
    return chromium.launch({
        executablePath,
        headless: true,
        args: [
            ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
            '--disable-dev-shm-usage',
            '--disable-gpu',
        ],
    });
}

// Everything that should never happen on a page: errors, requests that leave the node, violations
// of its policy. `expected` takes what a test provokes.
export function watch(page, url) {
    const seen = [];
    page.on('pageerror', (error) => seen.push(`error: ${error.message}`));
    page.on('console', (message) => {
        if (message.type() === 'error' || /Content Security Policy/.test(message.text())) {
            seen.push(`console: ${message.text()}`);
        }
    });
    page.on('request', (request) => {
        if (!request.url().startsWith(url)) {
            seen.push(`request: ${request.url()}`);
        }
    });
    return seen;
}

// A page of its own with its own cookies, closed at the end. `seen` must be empty by then.
export async function withPage(browser, server, options, use) {
    const context = await browser.newContext({
        locale: 'en-US',
        viewport: { width: 1280, height: 900 },
        ...options,
    });
    context.setDefaultTimeout(WAIT_MS);
    const page = await context.newPage();
    const seen = watch(page, server.url);
    try {
        await use(page, seen);
        assert.deepEqual(seen, []);
    } finally {
        await context.close();
    }
}

export async function phone(page) {
    await page.setViewportSize({ width: 360, height: 740 });
    return page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}

// The 401 that tells that nobody is logged in yet is part of a login.
export function forgetLogin(seen) {
    forget(seen, /401 \(Unauthorized\)/);
}

// What a test provoked itself.
export function forget(seen, pattern) {
    seen.splice(0, seen.length, ...seen.filter((one) => !pattern.test(one)));
}

export async function show(page, server, name) {
    await page.goto(`${server.url}/#/${name}`);
    await page.locator(`main.page-${name} h1`).waitFor(); // no handle, which would keep the page
    await page.waitForFunction(() => !/Loading…|불러오는 중…/.test(document.body.innerText));
}

export async function axe(page) {
    await page.evaluate(AXE);
    const found = await page.evaluate(() =>
        globalThis.axe.run(document, {
            runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
        }),
    );
    return found.violations.map(
        (one) => `${one.id}: ${one.nodes.map((node) => node.target).join(' ')}`,
    );
}

// The rows of the table of this name, as texts.
export function rowsOf(page, label) {
    return page.$$eval(`[role=region][aria-label="${label}"] tbody tr`, (rows) =>
        rows.map((row) => [...row.cells].map((cell) => cell.textContent)),
    );
}

// Answers a path of the API with a document of the test's own, which has the shape that the API
// declares for it.
export async function answer(page, path, document, { schema, items, status = 200 } = {}) {
    if (schema !== undefined) {
        assert.deepEqual(misshapen(document, SCHEMAS[schema], schema), []);
    }
    if (items !== undefined) {
        const list = { type: 'array', items: SCHEMAS[items] };
        assert.deepEqual(misshapen(document.items, list, items), []);
    }
    await page.route(
        (url) => url.pathname + url.search === path,
        (route) => route.fulfill({ status, json: document }),
    );
}

const SCHEMAS = JSON.parse(readFileSync(join(ROOT, 'src', 'api', 'openapi.json'), 'utf8'))
    .components.schemas;

function typeOf(value) {
    return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

// Where a value is not what its schema says. Members may be missing: documents grow.
function misshapen(value, schema, place) {
    if (schema.$ref !== undefined) {
        return misshapen(value, SCHEMAS[schema.$ref.split('/').at(-1)], place);
    }
    if (schema.oneOf !== undefined) {
        const each = schema.oneOf.map((one) => misshapen(value, one, place));
        return each.find((wrong) => wrong.length === 0) ?? each[0];
    }
    const types = [schema.type ?? []].flat().map((one) => (one === 'integer' ? 'number' : one));
    if (types.length > 0 && !types.includes(typeOf(value))) {
        return [`${place} is ${typeOf(value)}`];
    }
    if (schema.enum !== undefined && !schema.enum.includes(value)) {
        return [`${place} is ${value}`];
    }
    if (typeOf(value) === 'array') {
        return value.flatMap((one, i) => misshapen(one, schema.items ?? {}, `${place}[${i}]`));
    }
    if (typeOf(value) !== 'object' || schema.properties === undefined) {
        return [];
    }
    return Object.entries(value).flatMap(([name, one]) =>
        name in schema.properties
            ? misshapen(one, schema.properties[name], `${place}.${name}`)
            : [`${place}.${name} is unknown`],
    );
}

export async function logIn(page, url, key, hash = '') {
    await page.goto(`${url}/${hash}`);
    await page.fill('#key', key);
    await page.click('button[type=submit]');
    await page.waitForSelector('nav.tabs');
}

// Asks again and again until it is so.
export async function until(isSo, what) {
    const lastMs = Date.now() + WAIT_MS;
    while (!(await isSo())) {
        assert.ok(Date.now() < lastMs, `not within ${WAIT_MS} ms: ${what}`);
        await new Promise((done) => setTimeout(done, 100));
    }
}

// What a page holds once all garbage is gone.
export async function weigh(page) {
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('HeapProfiler.collectGarbage');
    const { usedSize } = await devtools.send('Runtime.getHeapUsage');
    const { nodes, jsEventListeners } = await devtools.send('Memory.getDOMCounters');
    await devtools.detach();
    return { heap: usedSize, nodes, listeners: jsEventListeners };
}
