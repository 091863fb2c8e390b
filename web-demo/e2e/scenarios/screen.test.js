/** A shared screen is a second picture beside the camera, and goes when sharing ends. */

import { scenario } from '../harness/scenario.js';

/** Chromium shares: Firefox has no screen to share without a display. */
scenario('a screen share starts, stops and starts again', async (stage) => {
  const [alice, ...viewers] = await Promise.all([
    stage.join({ name: 'alice', codec: 'vp8' }),
    stage.join({ name: 'bob' }),
    stage.join({ name: 'fox', publish: '0' }, 'firefox'),
  ]);
  await Promise.all([alice.meets('bob'), ...viewers.map((viewer) => viewer.meets('alice'))]);
  // A screen on which nothing moves makes hardly a frame a second.
  await alice.page.evaluate(() => {
    const clock = document.body.appendChild(document.createElement('output'));
    setInterval(() => (clock.textContent = String(performance.now())), 40);
  });

  for (let round = 0; round < 2; round++) {
    await alice.press('Share screen');
    await Promise.all(viewers.flatMap((viewer) => ['screen', 'camera'].map((source) => viewer.sees('alice', { source }))));

    await alice.press('Stop sharing');
    await Promise.all(viewers.map(async (viewer) => {
      await viewer.observes('that the screen is gone', ({ received }) => {
        return !received.some((/** @type {any} */ track) => track.source === 'screen');
      }, { within: 5_000 });
      await viewer.sees('alice', { source: 'camera' });
    }));
  }
});
