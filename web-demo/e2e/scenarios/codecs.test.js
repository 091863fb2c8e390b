/** Each video codec goes through as itself: the server never transcodes. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';

scenario('VP8, H.264, VP9 and AV1 are seen as what was sent', async (stage) => {
  const viewer = await stage.join({ name: 'viewer', publish: '0' });
  for (const codec of ['vp8', 'h264', 'vp9', 'av1']) {
    // One after the other: a small machine cannot encode four pictures at once.
    const sender = await stage.join({ name: codec, publish: 'video', codec, simulcast: '0' });
    const seen = await viewer.sees(codec);
    assert.equal(seen.codec, codec);
    await sender.close();
  }
});

scenario('a simulcast picture arrives in its largest size where there is a place for it', async (stage) => {
  const size = { width: 1280, height: 720 };
  const [, viewer] = await Promise.all([
    stage.join({ name: 'sender', publish: 'video', simulcast: '1', ...size }),
    stage.join({ name: 'viewer', publish: '0', viewport: { width: 1600, height: 1000 } }),
  ]);
  await viewer.sees('sender');
  // The encoder sends the small ones first, until it trusts the path.
  await viewer.observes('the full width', ({ received }) => {
    return received.some((/** @type {any} */ track) => track.frameWidth === size.width);
  }, { within: 40_000 });
  await viewer.sees('sender');
});
