/** People leave and come back, politely or not; the m-lines they leave are used again. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';

/** @typedef {import('../harness/participant.js').Participant} Participant */

scenario('a participant leaves and comes back', async (stage) => {
  let [alice, bob] = await Promise.all([stage.join({ name: 'alice' }), stage.join({ name: 'bob' })]);
  await Promise.all([alice.meets('bob'), bob.meets('alice')]);
  const before = await sections(alice);

  for (const goodbye of [leave, closeTab, leave]) {
    await goodbye(bob);
    await alice.observes('that bob is gone', ({ received }) => received.length === 0, {
      within: 5_000,
    });
    bob = await stage.join({ name: 'bob' });
    await Promise.all([alice.meets('bob'), bob.meets('alice')]);
  }
  assert.equal(await sections(alice), before, 'm-lines are used again, not added');
});

/** @param {Participant} person */
async function leave(person) {
  await person.page.evaluate(() => globalThis.__sfu.room.leave());
  await person.close();
}

/** No goodbye from the page: the socket just ends. @param {Participant} person */
async function closeTab(person) {
  await person.close();
}

/** m-lines of a participant's connection. @param {Participant} person @returns {Promise<number>} */
async function sections(person) {
  return person.page.evaluate(() => globalThis.__sfu.room.pc.getTransceivers().length);
}
