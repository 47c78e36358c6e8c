// SPDX-License-Identifier: Apache-2.0
// Goal: what is committed in dist is what the sources make. Builds into a temporary folder and
// compares every byte. Prints one line of TAP.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'vite';

const web = resolve(fileURLToPath(import.meta.url), '../..');
const made = mkdtempSync(join(tmpdir(), 'turnout-web-dist-'));

function filesOf(folder, below = '') {
    return readdirSync(join(folder, below), { withFileTypes: true }).flatMap((entry) => {
        const path = join(below, entry.name);
        return entry.isDirectory() ? filesOf(folder, path) : [path];
    });
}

function differences(a, b) {
    const names = [...new Set([...filesOf(a), ...filesOf(b)])].sort();
    return names.filter((name) => {
        try {
            return !readFileSync(join(a, name)).equals(readFileSync(join(b, name)));
        } catch {
            return true;
        }
    });
}

let wrong;
try {
    const out = { outDir: made, emptyOutDir: true };
    await build({ root: web, logLevel: 'error', build: out });
    wrong = differences(join(web, 'dist'), made);
} finally {
    rmSync(made, { recursive: true, force: true });
}
const claim = 'the committed files are what the sources make';
if (wrong.length === 0) {
    console.log(`ok 1 - ${claim}\n# pass 1\n# fail 0`);
} else {
    console.log(`not ok 1 - ${claim}: differs: ${wrong.join(', ')}; run tools/build-web`);
    console.log('# pass 0\n# fail 1');
    process.exitCode = 1;
}
