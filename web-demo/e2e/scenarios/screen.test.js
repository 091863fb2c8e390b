/** A shared screen is a second picture beside the camera, and goes when sharing ends. */

import { scenario } from '../harness/scenario.js';

scenario('a screen share starts, stops and starts again', async (stage) => {
  const [alice, bob] = await Promise.all([stage.join({ name: 'alice' }), stage.join({ name: 'bob' })]);
  await Promise.all([alice.meets('bob'), bob.meets('alice')]);
  // A screen on which nothing moves makes hardly a frame a second.
  await alice.page.evaluate(() => {
    const clock = document.body.appendChild(document.createElement('output'));
    setInterval(() => (clock.textContent = String(performance.now())), 40);
  });

  for (let round = 0; round < 2; round++) {
    await alice.press('Share screen');
    await bob.sees('alice', { source: 'screen' });
    await bob.sees('alice', { source: 'camera' });

    await alice.press('Stop sharing');
    await bob.observes('that the screen is gone', ({ received }) => {
      return !received.some((/** @type {any} */ track) => track.source === 'screen');
    }, { within: 5_000 });
    await bob.sees('alice', { source: 'camera' });
  }
});
