/**
 * How much a visitor loads, and that it stays within the budgets: what the server really sends,
 * body by body, to a browser that takes gzip. `SFU_BINARY` names another server than
 * `target/release/sfu`.
 */

import http from 'node:http';
import { Server } from '../e2e/harness/server.js';

const BUDGET = { library: 15_000, page: 40_000 };

const server = await Server.start();
try {
  const library = await load(['/sdk/index.js']);
  const page = await load(['/']);
  const later = await load([...page.later], new Map(page.seen));
  const check = await load(['/test']);
  print('library', library.seen, BUDGET.library);
  print('page', page.seen, BUDGET.page);
  print('person to person, where a room wants it', later.fresh);
  print('diagnostics', check.seen);
} finally {
  await server.stop();
}

/**
 * Loads as a browser would: what markup names, what scripts import.
 * @param {string[]} paths
 * @param {Map<string, number>} [seen] loaded before: bytes by path
 */
async function load(paths, seen = new Map()) {
  const waiting = [...paths];
  const [fresh, later] = [new Map(), new Set()];
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    if (seen.has(path)) continue;
    const { bytes, text, type } = await get(path);
    seen.set(path, bytes);
    fresh.set(path, bytes);
    const follow = (/** @type {string} */ to) => new URL(to, `http://page${path}`).pathname;
    if (type.includes('html')) for (const [, to] of text.matchAll(/(?:src|href)="([^"]+)"/g)) waiting.push(follow(to));
    if (!type.includes('javascript')) continue;
    for (const [, to] of text.matchAll(/(?:^|;)(?:import|export)\b[^;]*?from ?['"]([^'"]+)['"]/gm)) waiting.push(follow(to));
    // What only tests and invented participants need is loaded by nobody who calls.
    for (const [, to] of text.matchAll(/import\(['"`]([^'"`]+)['"`]\)/g)) if (!/rig/.test(to)) later.add(follow(to));
  }
  return { seen, fresh, later };
}

/** @param {string} path @returns {Promise<{bytes: number, text: string, type: string}>} */
async function get(path) {
  const text = await (await fetch(server.url + path)).text();
  return new Promise((resolve, reject) => {
    http.get(server.url + path, { headers: { 'Accept-Encoding': 'gzip' } }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`${path}: ${answer.statusCode}`));
      let bytes = 0;
      answer.on('data', (part) => (bytes += part.length));
      answer.on('end', () => resolve({ bytes, text, type: answer.headers['content-type'] ?? '' }));
    }).on('error', reject);
  });
}

/** @param {string} what @param {Map<string, number>} files @param {number} [budget] */
function print(what, files, budget) {
  const sum = [...files.values()].reduce((a, b) => a + b, 0);
  const list = [...files].map(([path, bytes]) => `${path} ${kB(bytes)}`).join(', ');
  console.log(`${what}: ${kB(sum)}${budget ? ` of ${kB(budget)}` : ''} (${list})`);
  if (budget && sum > budget) {
    console.error(`over budget: ${what}`);
    process.exitCode = 1;
  }
}

/** @param {number} n */
function kB(n) {
  return `${(n / 1000).toFixed(1)} kB`;
}
