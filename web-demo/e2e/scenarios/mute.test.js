/** Mute means that nothing is sent on; unmute brings sound and picture back at once. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';

/** @typedef {import('../harness/participant.js').Participant} Participant */

scenario('mute stops sound and picture, unmute brings them back', async (stage) => {
  const [alice, bob] = await Promise.all([stage.join({ name: 'alice' }), stage.join({ name: 'bob' })]);
  await Promise.all([alice.meets('bob'), bob.meets('alice')]);

  for (const source of ['microphone', 'camera']) {
    const kind = source === 'camera' ? 'video' : 'audio';
    await setMuted(alice, source, true);
    await bob.observes(`the mark of a muted ${source}`, ({ received }) => marked(received, source));
    const still = await quiet(bob, kind);
    assert.ok(still, `${source} packets stop when muted`);
    // The other one goes on.
    await (source === 'camera' ? bob.hears('alice') : bob.sees('alice'));

    await setMuted(alice, source, false);
    await bob.observes(`no mark of a muted ${source}`, ({ received }) => !marked(received, source));
    await (source === 'camera' ? bob.sees('alice') : bob.hears('alice'));
  }
});

/** @param {any[]} received @param {string} source */
function marked(received, source) {
  return received.some((track) => track.source === source && track.muted);
}

/** @param {Participant} person @param {string} source @param {boolean} muted */
async function setMuted(person, source, muted) {
  await person.page.evaluate((wanted, mute) => {
    const tracks = [...globalThis.__sfu.room.local.tracks];
    tracks.find((track) => track.source === wanted).setMuted(mute);
  }, source, muted);
}

/**
 * Waits until no packet of a kind arrives between two looks half a second apart.
 *
 * @param {Participant} person
 * @param {import('../harness/participant.js').Kind} kind
 */
async function quiet(person, kind) {
  let last = -1;
  let since = performance.now();
  return person.observes(`silence of ${kind}`, ({ received }) => {
    const packets = received.find((/** @type {any} */ track) => track.kind === kind).packetsReceived;
    if (packets !== last) [last, since] = [packets, performance.now()];
    return performance.now() - since > 500;
  });
}
