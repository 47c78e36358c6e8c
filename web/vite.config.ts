// SPDX-License-Identifier: Apache-2.0
// One script, one style sheet, nothing inline: the page's policy allows no script or style but the
// files of its own site. Names carry their content's hash, so that a browser may keep them for
// ever.
import { defineConfig } from 'vite';

export default defineConfig({
  base: '/',
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none' },
  build: {
    target: 'es2020',
    outDir: 'dist',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
