/** The examples of the library's documentation do what they say. */

import assert from 'node:assert/strict';
import { examples } from '../../test/examples.js';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

/** As it stands, but for where the library is. @param {string} code */
const runnable = (code) => `(async () => {
${code.replace(/^import (\{.*\}) from '(.*)';$/gm, (_, names, from) => `const ${names} = await import('/sdk/${from.endsWith('whip') ? 'whip' : 'index'}.js');`)}
})()`;

scenario('each example of the documentation runs', async (stage) => {
  const page = await stage.blank('reader');
  for (const code of examples()) {
    /** @type {string[]} */
    const said = [];
    const note = (/** @type {import('puppeteer-core').ConsoleMessage} */ message) => said.push(message.text());
    page.on('console', note);
    await page.evaluate(runnable(code));
    page.off('console', note);
    assert.ok(!said.some((line) => / failed: /.test(line)), said.join('\n'));
  }
});

scenario('two who run the first example see each other', async (stage) => {
  const pages = await Promise.all([stage.blank('one'), stage.blank('two')]);
  const [first] = examples();
  await Promise.all(pages.map((page) => page.evaluate(runnable(first))));
  for (const page of pages) {
    await until('a moving picture', () => page.evaluate(() => {
      const video = document.querySelector('video');
      return video && video.getVideoPlaybackQuality().totalVideoFrames > 10;
    }));
  }
});
