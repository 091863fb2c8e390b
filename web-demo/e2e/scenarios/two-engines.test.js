/** Chromium and Firefox understand each other, both ways, in each codec that both can send. */

import { scenario } from '../harness/scenario.js';

scenario('Chromium and Firefox see and hear each other', async (stage) => {
  const [alice, bob] = await Promise.all([
    stage.join({ name: 'alice' }, 'chromium'),
    stage.join({ name: 'bob' }, 'firefox'),
  ]);
  await Promise.all([alice.meets('bob'), bob.meets('alice')]);
});

scenario('Chromium and Firefox see each other in VP9', async (stage) => {
  const [alice, bob] = await Promise.all([
    stage.join({ name: 'alice', publish: 'video', codec: 'vp9' }, 'chromium'),
    stage.join({ name: 'bob', publish: 'video', codec: 'vp9' }, 'firefox'),
  ]);
  await Promise.all([alice.sees('bob'), bob.sees('alice')]);
});
