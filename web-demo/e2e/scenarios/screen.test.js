/** A shared screen is a second picture beside the camera, and goes when sharing ends. */

import { scenario } from '../harness/scenario.js';

scenario('a screen share starts, stops and starts again', async (stage) => {
  const [alice, bob] = await Promise.all([stage.join({ name: 'alice' }), stage.join({ name: 'bob' })]);
  await Promise.all([alice.meets('bob'), bob.meets('alice')]);

  for (let round = 0; round < 2; round++) {
    await alice.page.evaluate(async () => {
      const capture = await navigator.mediaDevices.getDisplayMedia({ video: true });
      const [track] = capture.getVideoTracks();
      globalThis.__share = globalThis.__sfu.room.publish(track, { source: 'screen' });
      // A still screen makes hardly a frame a second.
      const clock = document.body.appendChild(document.createElement('output'));
      globalThis.__clock = setInterval(() => (clock.textContent = String(performance.now())), 40);
      await globalThis.__share.ready;
    });
    await bob.sees('alice', { source: 'screen' });
    await bob.sees('alice', { source: 'camera' });

    await alice.page.evaluate(() => {
      clearInterval(globalThis.__clock);
      globalThis.__share.mediaStreamTrack.stop();
      globalThis.__share.stop();
    });
    await bob.observes('that the screen is gone', ({ received }) => {
      return !received.some((/** @type {any} */ track) => track.source === 'screen');
    }, { within: 5_000 });
    await bob.sees('alice', { source: 'camera' });
  }
});
