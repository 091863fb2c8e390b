/** The page is for everybody: axe-core finds nothing to complain of, and a keyboard alone is enough. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

/** @typedef {import('puppeteer-core').Page} Page */

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PHONE = { width: 360, height: 740 };
const LAPTOP = { width: 1280, height: 800 };

/** What opens by which key or click, and what shows that it has. @type {[string, (page: Page) => Promise<unknown>, string][]} */
const VIEWS = [
  ['chat', async (page) => {
    await page.evaluate(() => globalThis.__sfu.room.chat('{"type":"chat","text":"See https://example.org"}'));
    await page.click('#chat');
  }, '.panel:not([hidden]) .log .text'],
  ['people', (page) => page.click('#people'), '.panel:not([hidden]) .people:not([hidden]) li'],
  ['why this picture', (page) => page.keyboard.press('w'), '.why:not([hidden]) section'],
  ['figures', (page) => page.keyboard.press('d'), '.tile-stats:not([hidden])'],
  ['speaker layout', (page) => page.keyboard.press('l'), '.tile.large'],
  ['shared screen', (page) => page.evaluate(() => globalThis.__sfu.room.share()), '.tile.screen'],
  ['reconnecting', (page) => page.evaluate(() => globalThis.__sfu.room.to('reconnecting', { attempt: 3, retry_ms: 5_000 })), '.banner:not([hidden])'],
  ['menu', (page) => page.click('#more'), '#menu:popover-open'],
  ['settings', async (page) => page.click('#menu-settings'), 'dialog[open] select'],
  ['shortcuts', async (page) => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
  }, 'dialog[open] kbd'],
  ['a connection made worse', async (page) => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('p');
    await page.click('.people button[aria-label^="Make the connection"]');
  }, 'dialog[open] output'],
];

for (const [viewport, theme] of /** @type {const} */ ([[PHONE, 'light'], [LAPTOP, 'dark'], [LAPTOP, 'light']])) {
  scenario(`nothing keeps anybody out, ${viewport.width} wide, ${theme}`, async (stage) => {
    const page = await stage.blank('reader');
    const { url } = await stage.server();
    await page.setViewport(viewport);
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }, { name: 'prefers-reduced-motion', value: 'reduce' }]);

    await page.goto(`${url}/?room=tea`, { waitUntil: 'load' });
    await page.waitForSelector('#join');
    await flawless(page, 'lobby');

    await page.goto(`${url}/test?run`, { waitUntil: 'load' });
    await page.waitForSelector('.verdict:not([hidden])', { timeout: 60_000 });
    await flawless(page, 'diagnostics');

    await page.goto(`${url}/?mock=25&autojoin=1&name=me&publish=video`, { waitUntil: 'load' });
    await page.waitForSelector('.tile.own.live');
    await flawless(page, 'call');
    for (const [name, open, shown] of VIEWS) {
      await open(page);
      await page.waitForSelector(shown);
      await flawless(page, name);
      if (await page.$('dialog[open] output')) continue; // a dialog is over it
      const close = await page.$('.panel:not([hidden]) header .round'); // it covers a phone
      await close?.click();
    }
    await page.evaluate(() => globalThis.__sfu.room.leave());
    await page.waitForSelector('.end');
    await flawless(page, 'end');
  });
}

scenario('a keyboard is enough from lobby to end', async (stage) => {
  const page = await stage.blank('typist');
  const { url } = await stage.server();
  await page.goto(`${url}/?mock=3`, { waitUntil: 'load' });
  await page.waitForSelector('#join');
  await page.keyboard.type('Ada'); // the field has the focus
  await page.keyboard.press('Enter');
  await page.waitForSelector('.tile.own.live');

  const label = () => page.$eval('#mic', (element) => element.getAttribute('aria-label'));
  await page.keyboard.press('m');
  await until('silence', async () => (await label()) === 'Unmute microphone');
  await page.keyboard.down('Space');
  await until('talking while the space bar is held', async () => (await label()) === 'Mute microphone');
  await page.keyboard.up('Space');
  await until('silence again', async () => (await label()) === 'Unmute microphone');

  await tabTo(page, '#chat');
  await page.keyboard.press('Enter');
  await page.keyboard.type('v m'); // a letter in the chat is no shortcut
  assert.equal(await page.$eval('textarea', (element) => /** @type {HTMLTextAreaElement} */ (element).value), 'v m');
  assert.equal(await page.$eval('#camera', (element) => element.getAttribute('aria-label')), 'Turn camera off');
  await page.keyboard.press('Escape');
  await until('the panel to close', () => page.$eval('.panel', (element) => /** @type {HTMLElement} */ (element).hidden));
  assert.equal(await focused(page), 'chat', 'the focus is back where it was');

  await tabTo(page, '#more');
  await page.keyboard.press('Enter');
  await tabTo(page, '#menu-settings');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open] select');
  await page.keyboard.press('Escape');
  await tabTo(page, '#leave');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.end');
});

/** @param {Page} page @param {string} where */
async function flawless(page, where) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
    return violations.map((/** @type {any} */ { id, help, nodes }) => `${id}: ${help}\n${nodes.slice(0, 4).map((/** @type {any} */ { html, failureSummary }) => `  ${html.slice(0, 160)}\n  ${failureSummary}`).join('\n')}`);
  });
  assert.deepEqual(found, [], where);
}

/** @param {Page} page */
const focused = (page) => page.evaluate(() => document.activeElement?.id);

/** @param {Page} page @param {string} selector */
async function tabTo(page, selector) {
  for (let i = 0; i < 60; i++) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`${selector} is not reached by Tab`);
}
