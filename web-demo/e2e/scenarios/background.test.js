/** A tab in the background receives no pictures for a minute, and all of them at once when it is looked at. */

import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

const HIDDEN_MS = 60_000;

for (const engine of /** @type {const} */ (['chromium', 'firefox'])) {
  scenario(`${engine}: a minute in the background, then foreground`, async (stage) => {
    const [viewer] = await Promise.all([stage.join({ name: 'viewer', publish: '0' }, engine), stage.join({ name: 'sender', codec: 'vp8' })]);
    await viewer.meets('sender');
    await hide(true);
    let before = -1;
    await until('pictures to stop', async () => {
      const now = (await viewer.received({ kind: 'video' }))?.framesDecoded ?? 0;
      const same = now === before;
      before = now;
      return same;
    }, { every: 1_500 });
    const since = performance.now();
    await viewer.hears('sender');
    await until('a minute to pass', () => performance.now() - since > HIDDEN_MS, { within: HIDDEN_MS + 10_000, every: 1_000 });
    await hide(false);
    await viewer.meets('sender', { within: 5_000 });

    /** Headless browsers show all their tabs: the page is told otherwise. @param {boolean} hidden */
    async function hide(hidden) {
      await viewer.page.evaluate((value) => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
        Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => (value ? 'hidden' : 'visible') });
        document.dispatchEvent(new Event('visibilitychange'));
      }, hidden);
    }
  });
}
