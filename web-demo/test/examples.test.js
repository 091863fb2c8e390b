/** The examples compile against the declarations that the package is published with. */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { examples } from './examples.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TSC = join(ROOT, 'node_modules/.bin/tsc');

/** @param {string[]} codes */
function compile(codes) {
  const folder = mkdtempSync(join(tmpdir(), 'examples-'));
  try {
    codes.forEach((code, i) => writeFileSync(join(folder, `example-${i}.js`), code));
    const paths = { 'sfu-client': [join(ROOT, 'sdk/types/index.d.ts')], 'sfu-client/whip': [join(ROOT, 'sdk/types/whip.d.ts')] };
    const compilerOptions = {
      allowJs: true, checkJs: true, strict: true, noEmit: true, target: 'es2022', module: 'es2022', moduleResolution: 'bundler',
      lib: ['es2023', 'dom', 'dom.iterable'], types: [], paths,
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.js'] }));
    return spawnSync(TSC, ['-p', folder], { encoding: 'utf8' });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('every example of the documentation compiles, and one with a mistake does not', () => {
  execFileSync('npm', ['run', '--silent', 'types'], { cwd: ROOT });
  const all = examples();
  assert.ok(all.length >= 7);
  const { status, stdout } = compile(all);
  assert.equal(status, 0, stdout);
  assert.match(compile([all[0].replace("room: 'tea'", 'room: 7')]).stdout, /not assignable/);
});
