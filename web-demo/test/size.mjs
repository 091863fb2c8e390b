/**
 * How much a visitor loads, and that the code in it stays within the budgets: without comments and
 * JSDoc types, in one gzip stream. What lies here, comments included, is printed beside it, in one
 * stream and file by file as a server without further ado would send it. The library is what
 * sdk/index.js brings with it; WHIP and WHEP are loaded by who uses them.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BUDGET = { sdk: 15_000, page: 40_000 };
/** Loaded only for `?mock=…`, and by nobody who loads the library. */
const NOT_LOADED = new Set(['mock.js', 'whip.js']);

const stripped = mkdtempSync(join(tmpdir(), 'size-'));
execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', ROOT, '--noEmit', 'false', '--removeComments', '--rootDir', ROOT, '--outDir', stripped]);

/** @param {string} root @param {string} folder */
const scripts = (root, folder) =>
  readdirSync(join(root, folder)).filter((name) => name.endsWith('.js') && !NOT_LOADED.has(name)).map((name) => join(root, folder, name));
/** The compiler indents by four what we indent by two. @param {string} file */
const read = (file) => {
  const text = readFileSync(file, 'utf8');
  return Buffer.from(file.startsWith(stripped) ? text.replace(/^ +/gm, (spaces) => spaces.slice(spaces.length / 2)) : text);
};
/** @param {Buffer[]} parts */
const gzipped = (parts) => parts.reduce((sum, part) => sum + gzipSync(part, { level: 9 }).length, 0);
/** @param {number} n */
const kB = (n) => `${(n / 1000).toFixed(1)} kB`;

for (const root of [stripped, ROOT]) {
  const library = scripts(root, 'sdk').map(read);
  const rest = ['index.html', 'style.css', 'favicon.svg'].map((name) => readFileSync(join(ROOT, name)));
  const page = [...library, ...scripts(root, 'app').map(read), ...rest];
  const [sdk, all] = [gzipped([Buffer.concat(library)]), gzipped([Buffer.concat(page)])];
  const what = root === ROOT ? 'with comments' : 'code only';
  console.log(`${what}: library ${kB(sdk)}, whole page ${kB(all)}; file by file ${kB(gzipped(library))}, ${kB(gzipped(page))}`);
  if (root === stripped && (sdk > BUDGET.sdk || all > BUDGET.page)) {
    console.error(`over budget: ${JSON.stringify(BUDGET)}`);
    process.exitCode = 1;
  }
}
rmSync(stripped, { recursive: true });
