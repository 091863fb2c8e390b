/** The diagnostics page finds what works, against a real server, and says so in one JSON. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

scenario('the diagnostics page calls itself through the server', async (stage) => {
  const page = await stage.blank('checker');
  const { url } = await stage.server();
  await page.goto(`${url}/test?run`, { waitUntil: 'load' });
  const { results } = await until('all checks', () => page.evaluate(() => {
    const done = document.querySelector('.verdict:not([hidden])');
    return done && globalThis.__check.report();
  }), { within: 60_000, describe: () => page.$eval('#app', (element) => /** @type {HTMLElement} */ (element).innerText) });

  for (const key of ['codecs', 'server', 'paths', 'devices', 'data', 'recorder']) assert.equal(results[key].state, 'ok', JSON.stringify(results[key]));
  assert.ok(results.paths.figures.udp.ms > 0, 'media by UDP');
  const { first_ms, video_ms, audio_ms, frames, loss } = results.echo.figures;
  // A slow machine shows few frames; that the delays are read off pictures and beeps is what matters.
  assert.ok(first_ms > 0 && video_ms > 0 && video_ms < 3_000 && frames > 10, JSON.stringify(results.echo));
  assert.ok(audio_ms > 0 && audio_ms < 1_000, JSON.stringify(results.echo));
  assert.ok(loss < 0.5);
  assert.ok(results.data.figures.reliable_ms > 0);
});
