/** A server that comes back finds its calls again: everybody sees everybody, each time. */

import { allMeet, restart } from '../harness/rounds.js';
import { scenario } from '../harness/scenario.js';

/** `npm run restarts` does more of them. */
const ROUNDS = 3;

scenario('three people see each other again after each restart of the server', async (stage) => {
  const people = await Promise.all([
    stage.join({ name: 'alice' }),
    stage.join({ name: 'bob' }),
    stage.join({ name: 'fox', codec: 'vp8' }, 'firefox'),
  ]);
  await allMeet(people);
  for (let round = 0; round < ROUNDS; round++) {
    const took = await restart(stage, people, round % 2 ? 'SIGKILL' : 'SIGTERM');
    console.log(`  back ${Math.round(took)} ms after the server`);
  }
});
