/**
 * Pictures of the page with invented people: sizes, numbers of people, light and dark.
 *
 *     npm run shots [-- FILTER]      only those whose name holds FILTER
 */

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { launch } from '../harness/browsers.js';
import { servePage } from '../harness/page-server.js';
import { until } from '../harness/until.js';

/** @typedef {import('puppeteer-core').Page} Page */
/** @typedef {{name: string, query: string, path?: string, scene?: (page: Page) => Promise<unknown>}} Shot */

const FOLDER = fileURLToPath(new URL('../artifacts/shots/', import.meta.url));
const SIZES = { phone: { width: 360, height: 740, isMobile: true, hasTouch: true }, laptop: { width: 1280, height: 800 }, desk: { width: 1920, height: 1080 } };
const FILTER = process.argv[2] ?? '';

/** What happens in a call, besides people being there. @type {Record<string, (page: Page) => Promise<unknown>>} */
const SCENES = {
  screen: (page) => page.evaluate(() => globalThis.__sfu.room.share()),
  speaker: (page) => page.keyboard.press('l'),
  chat: async (page) => {
    await page.evaluate(() => {
      globalThis.__sfu.room.chat('{"type":"chat","text":"Shall we begin? The agenda is at https://example.org/agenda"}');
      globalThis.__sfu.room.chat('{"type":"chat","text":"I will take notes."}');
    });
    await page.click('#chat');
    await page.type('textarea', 'Fine with me\n');
  },
  unread: (page) => page.evaluate(() => globalThis.__sfu.room.chat('{"type":"chat","text":"hello"}')),
  people: async (page) => {
    await page.evaluate(() => globalThis.__sfu.room.raise(2));
    await page.click('#people');
  },
  menu: (page) => page.click('#more'),
  keys: (page) => page.keyboard.press('?'),
  settings: async (page) => {
    await page.click('#more');
    await page.click('#menu-settings');
    await page.waitForSelector('dialog[open]');
  },
  figures: async (page) => {
    await page.keyboard.press('d');
    await until('rates', () => page.evaluate(() => document.querySelector('.tile-stats')?.textContent?.includes('bit/s')));
  },
  why: async (page) => {
    await page.keyboard.press('w');
    await until('graphs', () => page.evaluate(() => (document.querySelector('.graph-line')?.getAttribute('points')?.split(' ').length ?? 0) > 5));
  },
  lost: (page) => page.evaluate(() => globalThis.__sfu.room.to('reconnecting', { attempt: 3, retry_ms: 6_000, error: { message: 'The server could not be reached.' } })),
  left: (page) => page.click('#leave'),
};

/** @type {Shot[]} */
const SHOTS = [
  { name: 'lobby', query: 'room=morning-tea' },
  ...[1, 2, 4, 9, 25, 49].map((count) => ({ name: `call-${count}`, query: `mock=${count}&autojoin=1&name=Me&publish=video` })),
  ...Object.entries(SCENES).map(([name, scene]) => ({ name, scene, query: 'mock=6&autojoin=1&name=Me&publish=video' })),
  { name: 'test', query: 'mock=1', path: 'test' },
];

await mkdir(FOLDER, { recursive: true });
const site = await servePage();
const browser = await launch('chromium');
try {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const theme of ['light', 'dark']) {
      for (const shot of SHOTS) {
        const name = `${shot.name}-${size}-${theme}`;
        if (!name.includes(FILTER)) continue;
        await take(name, shot, viewport, theme);
        console.log(name);
      }
    }
  }
} finally {
  await browser.close();
  site.close();
}

/**
 * @param {string} name
 * @param {Shot} shot
 * @param {import('puppeteer-core').Viewport} viewport
 * @param {string} theme
 */
async function take(name, { query, path = '', scene }, viewport, theme) {
  const context = await browser.createBrowserContext();
  try {
    const page = await context.newPage();
    page.on('pageerror', (error) => console.error(`${name}: ${error}`));
    await page.setViewport(viewport);
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }, { name: 'prefers-reduced-motion', value: 'reduce' }]);
    await page.goto(`${site.url}/${path}?${query}`, { waitUntil: 'load' });
    if (query.includes('autojoin')) await until('pictures', () => page.evaluate(() => document.querySelector('.tile.own.live') !== null));
    else await page.waitForSelector('button');
    await scene?.(page);
    // Pictures fade in, and half a second of silence is what a person would wait too.
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 500)));
    await page.screenshot({ path: `${FOLDER}${name}.png` });
  } finally {
    await context.close();
  }
}
