// SPDX-License-Identifier: Apache-2.0
// Runs the unit tests of the page's logic: esbuild (which Vite brings) makes each *.test.ts a
// module, Node's own test runner runs them. Arguments go to `node --test`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = mkdtempSync(join(tmpdir(), 'turnout-web-unit-'));
let status = 1;
try {
    const names = readdirSync(here).filter((name) => name.endsWith('.test.ts'));
    await build({
        entryPoints: names.map((name) => join(here, name)),
        outdir: out,
        outExtension: { '.js': '.mjs' },
        bundle: true,
        format: 'esm',
        platform: 'node',
        jsx: 'automatic',
        jsxImportSource: 'preact',
        logLevel: 'warning',
    });
    const files = names.map((name) => join(out, name.replace(/\.ts$/, '.mjs')));
    const command = ['--test', '--test-reporter=tap', ...process.argv.slice(2), ...files];
    const env = { ...process.env, TURNOUT_SOURCES: join(here, '../../src') };
    status = spawnSync(process.execPath, command, { stdio: 'inherit', env }).status ?? 1;
} finally {
    rmSync(out, { recursive: true, force: true });
}
process.exit(status);
