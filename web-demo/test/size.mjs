/**
 * How much a visitor loads, gzipped file by file, and that it stays within the budgets. Comments and
 * JSDoc types are counted apart: they are a third of the bytes and a server may strip them.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BUDGET = { sdk: 15_000, page: 40_000 };
/** Loaded only for `?mock=…`. */
const NOT_LOADED = new Set(['mock.js']);

const stripped = mkdtempSync(join(tmpdir(), 'size-'));
execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', ROOT, '--noEmit', 'false', '--removeComments', '--rootDir', ROOT, '--outDir', stripped]);

/** @param {string} root @param {string} folder */
const scripts = (root, folder) =>
  readdirSync(join(root, folder)).filter((name) => name.endsWith('.js') && !NOT_LOADED.has(name)).map((name) => join(root, folder, name));
/** @param {string[]} files */
const bytes = (files) => files.reduce((sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length, 0);
const rest = ['index.html', 'style.css', 'favicon.svg'].map((name) => join(ROOT, name));

const figures = { code: stripped, source: ROOT };
for (const [what, root] of Object.entries(figures)) {
  const sdk = bytes(scripts(root, 'sdk'));
  const page = sdk + bytes(scripts(root, 'app')) + bytes(rest);
  const text = what === 'code' ? 'without comments' : 'as it lies here';
  console.log(`${text}: library ${(sdk / 1000).toFixed(1)} kB, whole page ${(page / 1000).toFixed(1)} kB`);
  if (what === 'code' && (sdk > BUDGET.sdk || page > BUDGET.page)) {
    console.error(`over budget: ${JSON.stringify(BUDGET)}`);
    process.exitCode = 1;
  }
}
rmSync(stripped, { recursive: true });
