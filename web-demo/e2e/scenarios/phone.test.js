/** The page fits a phone: nothing sticks out sideways, in the lobby and in a call. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

const NARROW = { width: 360, height: 740 };
const PHONE = { ...NARROW, isMobile: true, hasTouch: true };

for (const [engine, viewport] of /** @type {const} */ ([['chromium', PHONE], ['firefox', NARROW]])) {
  scenario(`${engine}: the page fits 360 × 740 pixels`, async (stage) => {
    const [phone] = await Promise.all([
      stage.join({ name: 'phone', viewport, codec: 'vp8' }, engine),
      stage.join({ name: 'bob', codec: 'vp8' }),
      stage.join({ name: 'carol', codec: 'vp8' }),
    ]);
    await Promise.all([phone.meets('bob'), phone.meets('carol')]);
    await fits(phone.page);

    const { url } = await stage.server();
    await phone.page.goto(`${url}/?room=e2e`, { waitUntil: 'load' });
    await fits(phone.page);
  });
}

scenario('25 people fit a phone and a desk', async (stage) => {
  for (const viewport of [PHONE, { width: 1280, height: 800 }]) {
    // Invented ones, as the page offers for looking at its layout: no machine here encodes 24.
    const wishes = { name: 'me', publish: '0', mock: 24 };
    const { page } = await stage.join({ ...wishes, viewport });
    await until('25 tiles', () => page.evaluate(() => document.querySelectorAll('.tile').length >= 24));
    await fits(page);
  }
});

/** @param {import('puppeteer-core').Page} page */
async function fits(page) {
  const found = await page.evaluate(async () => {
    // Tiles take a moment to where they belong.
    const moving = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
    await Promise.allSettled(moving.map(({ finished }) => finished));
    const { scrollWidth, clientWidth } = document.documentElement;
    const outside = [...document.querySelectorAll('button, input, select, textarea, a[href]')]
      .map((element) => ({ element, box: element.getBoundingClientRect() }))
      .filter(({ element, box }) => element.checkVisibility() && box.width > 0)
      .filter(({ box }) => box.left < 0 || box.right > clientWidth)
      .map(({ element }) => element.outerHTML.slice(0, 100));
    return { overflow: scrollWidth - clientWidth, outside };
  });
  assert.deepEqual(found, { overflow: 0, outside: [] });
}
