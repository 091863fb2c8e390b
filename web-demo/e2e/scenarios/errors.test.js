/** Whatever ends a call has a page that says what failed and what to try: every code there is. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { scenario } from '../harness/scenario.js';

const read = (/** @type {string} */ path) => readFile(new URL(`../../../${path}`, import.meta.url), 'utf8');

/** Codes of the library, and those that the protocol's page lists. */
async function codes() {
  const known = /const KNOWN = \{(.*?)\n\};/s.exec(await read('web-demo/sdk/errors.js'))?.[1] ?? '';
  const table = /\| code \| \|\n(.*?)\n\n/s.exec(await read('docs/protocol.md'))?.[1] ?? '';
  const listed = table.split('\n').flatMap((row) => [...row.split('|')[1].matchAll(/`(\w+)`/g)]);
  const all = [...known.matchAll(/^ {2}(\w+):/gm), ...listed].map(([, code]) => code);
  assert.ok(known && table && all.length > 35, `${all.length} codes`);
  return [...new Set(all)];
}

for (const engine of /** @type {const} */ (['chromium', 'firefox'])) {
  scenario(`${engine}: every error code has a page that names the next step`, async (stage) => {
    const page = await stage.blank('reader', engine);
    const { url } = await stage.server();
    await page.goto(`${url}/?mock=2&autojoin=1&name=me&publish=0`, { waitUntil: 'load' });
    await page.waitForSelector('.tile.own');
    for (const code of await codes()) {
      const said = await page.evaluate(async (failed) => {
        const { SfuError } = await import(/** @type {any} */ ('/sdk/index.js'));
        globalThis.__sfu.room.to('closed', { reason: failed, error: new SfuError(failed, { message: 'As the server says it.' }) });
        const text = (/** @type {string} */ selector) => document.querySelector(`.end ${selector}`)?.textContent ?? '';
        return { title: text('h1'), lead: text('.lead'), hint: text('.lead + p:not(.faint)'), step: text('.faint'), buttons: document.querySelectorAll('.end button').length };
      }, code);
      assert.ok(said.title && said.lead, `${code} says what happened`);
      assert.ok(said.hint.length > 5, `${code} names the next step: ${JSON.stringify(said)}`);
      assert.ok(said.step.includes('What failed') && said.step.includes(code), `${code} names the step that failed`);
      assert.ok(said.buttons >= 3, `${code} offers to try again`);
    }
  });
}
