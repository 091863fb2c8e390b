/**
 * Plays scenarios again and again and prints which of them failed how often.
 *
 *     npm run repeat -- TIMES [FILE…]      all files without one
 */

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import os from 'node:os';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

const [times = '10', ...files] = process.argv.slice(2);
const FOLDER = fileURLToPath(new URL('../scenarios/', import.meta.url));
const PLAYED = files.length ? files : readdirSync(FOLDER).filter((file) => file.endsWith('.test.js')).map((file) => FOLDER + file);

/** @type {Map<string, {passed: number, failed: number, ms: number, why: string}>} */
const table = new Map();
for (let round = 1; round <= Number(times); round++) {
  for (const file of PLAYED) {
    for (const { name, ok, ms, why } of await play(file)) {
      const key = `${basename(file, '.test.js')}: ${name}`;
      const row = table.get(key) ?? { passed: 0, failed: 0, ms: 0, why: '' };
      table.set(key, { passed: row.passed + Number(ok), failed: row.failed + Number(!ok), ms: Math.max(row.ms, ms), why: row.why || why });
      if (!ok) console.log(`round ${round}, ${key}: ${why}`);
    }
  }
  console.log(`round ${round} of ${times}, load ${os.loadavg()[0].toFixed(1)}`);
}
for (const [name, { passed, failed, ms, why }] of table) {
  console.log(`${String(passed).padStart(3)} of ${passed + failed}  ${(ms / 1000).toFixed(1).padStart(6)} s at most  ${name}${failed ? `  ← ${why}` : ''}`);
}
process.exitCode = [...table.values()].some(({ failed }) => failed) ? 1 : 0;

/** Results of one file. @param {string} file @returns {Promise<{name: string, ok: boolean, ms: number, why: string}[]>} */
async function play(file) {
  const child = spawn(process.execPath, ['--test', '--test-timeout=300000', '--test-reporter=tap', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part) => (text += part));
  await new Promise((resolve) => child.once('close', resolve));
  const found = [...text.matchAll(/^(not )?ok \d+ - (.*)\n {2}---\n {2}duration_ms: ([\d.]+)\n((?: {2}.*\n)*)/gm)];
  return found.map(([, not, name, ms, rest]) => ({ name, ok: !not, ms: Number(ms), why: /error: (?:\|-\n)?\s*'?(.*)/.exec(rest)?.[1] ?? '' }));
}
