/**
 * Person to person: in a room of two media goes past the server and comes back to it without a gap
 * in the picture, in both directions.
 */

import assert from 'node:assert/strict';
import { shownFrames, watchFrames } from '../harness/frames.js';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

/** @typedef {import('../harness/participant.js').Participant} Participant */
/** @typedef {import('../harness/scenario.js').Stage} Stage */

/** The longest time without a new frame, in ms. */
const GAP_MAX = 300;
/** On a machine that stands still for longer, so many times as long as their own pictures did. */
const STALLS = 3;
/** After a change of path, in ms: what it would break is broken by then. */
const AFTER = 1_500;

for (const engines of /** @type {const} */ ([['chromium', 'chromium'], ['chromium', 'firefox']])) {
  const [first, second] = engines;

  scenario(`two in ${first} and ${second} go past the server, and back when a third one comes`, async (stage) => {
    const [alice, bob] = await meet(stage, engines);
    await unbroken('to direct', alice, bob, () => path(alice, bob, 'direct'));

    await until('the server is sent no video any more', async () => (await rates(stage)).in < 150, { within: 20_000 });
    const { in: taken, out } = await rates(stage);
    console.log(`while direct the server takes ${taken} packets a second and forwards ${out}`);
    assert.equal(out, 0, 'nothing is forwarded');
    assert.ok(taken > 20, 'who speaks is still heard');
    await Promise.all([alice.meets('bob'), bob.meets('alice'), plays(alice), plays(bob)]);

    const carol = await unbroken('to the server', alice, bob, async () => {
      const third = await stage.join({ name: 'carol' }, 'chromium');
      await path(alice, bob, 'server');
      return third;
    });
    await Promise.all([alice.meets('carol'), carol.meets('alice'), carol.meets('bob'), alice.meets('bob'), plays(alice), plays(bob)]);

    await carol.close();
    await unbroken('to direct again', alice, bob, () => path(alice, bob, 'direct'));
  });

  scenario(`two in ${first} and ${second} fall back when their direct path breaks`, async (stage) => {
    const [alice, bob] = await meet(stage, engines);
    await path(alice, bob, 'direct');
    await Promise.all([alice.meets('bob'), bob.meets('alice')]);
    await watch(alice, bob);
    await bob.page.evaluate(() => globalThis.__sfu.room.directPc.close());
    await path(alice, bob, 'server');
    await passed(AFTER);
    for (const { gap, stood } of await tell('after a broken path', alice, bob)) assert.ok(gap <= Math.max(2 * GAP_MAX, 2 * STALLS * stood), `${gap} ms`);
    await Promise.all([alice.meets('bob'), bob.meets('alice')]);
  });
}

scenario('mute, another camera, a shared screen and messages work while media goes directly', async (stage) => {
  const [alice, bob] = await meet(stage, ['chromium', 'chromium']);
  await path(alice, bob, 'direct');
  await alice.press('Mute microphone');
  await bob.observes('alice being muted', ({ participants: [{ tracks }] }) =>
    tracks.some((/** @type {any} */ track) => track.source === 'microphone' && track.muted));
  await alice.press('Unmute microphone');
  await bob.hears('alice');
  await alice.press('Turn camera off');
  await alice.press('Turn camera on');
  await bob.sees('alice');
  await alice.press('Share screen');
  await bob.sees('alice', { source: 'screen' });
  assert.match((await bob.received({ from: 'alice', kind: 'video', source: 'screen' }))?.mid ?? '', /^direct /);
  const heard = bob.page.evaluate(() => new Promise((resolve) => globalThis.__sfu.room.on('data', (/** @type {any} */ { payload }) => resolve(payload))));
  await alice.page.evaluate(() => globalThis.__sfu.room.send('past it all'));
  assert.equal(await heard, 'past it all');
  assert.equal((await rates(stage)).out, 0, 'nothing is forwarded');
});

/** Two in a room that lets them, who see each other. @param {Stage} stage @param {readonly ('chromium' | 'firefox')[]} engines */
async function meet(stage, [first, second]) {
  const [alice, bob] = await Promise.all([
    stage.join({ name: 'alice', direct: 1 }, first),
    stage.join({ name: 'bob', direct: 1 }, second),
  ]);
  await Promise.all([alice.sees('bob', { frames: 1 }), bob.sees('alice', { frames: 1 })]);
  return [alice, bob];
}

/** @param {Participant} alice @param {Participant} bob */
async function watch(alice, bob) {
  await Promise.all([watchFrames(alice, 'bob'), watchFrames(bob, 'alice')]);
}

/**
 * Both pictures go on during a change of path.
 *
 * @template T
 * @param {string} what
 * @param {Participant} alice
 * @param {Participant} bob
 * @param {() => Promise<T>} change
 */
async function unbroken(what, alice, bob, change) {
  await watch(alice, bob);
  const changed = await change();
  await passed(AFTER);
  for (const { gap, stood } of await tell(what, alice, bob)) {
    assert.ok(gap <= Math.max(GAP_MAX, STALLS * stood), `${what}: ${gap} ms without a frame, ${stood} without one of one's own`);
  }
  return changed;
}

/**
 * The longest time that each saw no new frame of the other, and that either's own picture stood.
 *
 * @param {string} what
 * @param {Participant} alice
 * @param {Participant} bob
 */
async function tell(what, alice, bob) {
  const shown = await Promise.all([shownFrames(alice), shownFrames(bob)]);
  console.log(`${what}: ${shown.map(({ count, gap, own }) => `${count} frames, longest gap ${gap} ms (own picture ${own} ms)`).join('; ')}`);
  for (const { count } of shown) assert.ok(count > 10, `${what}: ${count} frames`);
  const stood = Math.max(...shown.map(({ own }) => own));
  return shown.map(({ gap }) => ({ gap, stood }));
}

/** @param {Participant} alice @param {Participant} bob @param {'direct' | 'server'} way */
async function path(alice, bob, way) {
  const takes = (/** @type {Participant} */ each) => each.observes(`the path being ${way}`, (snapshot) => snapshot.path === way);
  await Promise.all([takes(alice), takes(bob)]);
}

/** The elements that play sound go on playing. @param {Participant} viewer */
async function plays(viewer) {
  const times = () => viewer.page.evaluate(() => [...document.querySelectorAll('audio')].map(({ paused, ended, currentTime }) => (paused || ended ? -1 : currentTime)));
  const before = await times();
  assert.ok(before.length > 0, 'there is sound');
  await until(`${viewer.name} playing sound`, async () => (await times()).every((time, i) => time > (before[i] ?? 0)));
}

/** Media packets a second at the server. @param {Stage} stage */
async function rates(stage) {
  const { url } = await stage.server();
  const read = async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const value = (/** @type {string} */ dir) => Number(text.match(RegExp(`sfu_rtp_packets_total\\{(?=[^}]*dir="${dir}")(?=[^}]*kind="media")[^}]*\\} (\\d+)`))?.[1] ?? NaN);
    return { in: value('in'), out: value('out') };
  };
  const before = await read();
  await passed(1_000);
  const after = await read();
  return { in: after.in - before.in, out: after.out - before.out };
}

/** @param {number} ms */
function passed(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
