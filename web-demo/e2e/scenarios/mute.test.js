/** Mute means that nothing is sent on; unmute brings sound and picture back at once. */

import { scenario } from '../harness/scenario.js';

/** @typedef {import('../harness/participant.js').Participant} Participant */

const BUTTONS = [
  { source: 'microphone', kind: 'audio', mute: 'Mute microphone', unmute: 'Unmute microphone' },
  { source: 'camera', kind: 'video', mute: 'Turn camera off', unmute: 'Turn camera on' },
];

scenario('mute stops sound and picture, unmute brings them back', async (stage) => {
  const [alice, bob] = await Promise.all([stage.join({ name: 'alice' }), stage.join({ name: 'bob' })]);
  await Promise.all([alice.meets('bob'), bob.meets('alice')]);

  for (const { source, kind, mute, unmute } of BUTTONS) {
    const perceives = () => (kind === 'video' ? bob.sees('alice') : bob.hears('alice'));
    const perceivesOther = () => (kind === 'video' ? bob.hears('alice') : bob.sees('alice'));
    await alice.press(mute);
    await bob.observes(`the mark of a muted ${source}`, (snapshot) => isMuted(snapshot, source));
    await silence(bob, kind);
    await perceivesOther();

    await alice.press(unmute);
    await bob.observes(`no mark of a muted ${source}`, (snapshot) => !isMuted(snapshot, source));
    await perceives();
  }
});

/** @param {any} snapshot @param {string} source */
function isMuted({ received }, source) {
  return received.some((/** @type {any} */ track) => track.source === source && track.muted);
}

/**
 * Waits until no packet of a kind has arrived for half a second.
 *
 * @param {Participant} person
 * @param {string} kind
 */
async function silence(person, kind) {
  let last = -1;
  let since = performance.now();
  await person.observes(`silence of ${kind}`, ({ received }) => {
    const packets = received.find((/** @type {any} */ track) => track.kind === kind)?.packetsReceived ?? 0;
    if (packets !== last) [last, since] = [packets, performance.now()];
    return performance.now() - since > 500;
  });
}
