/** What people do with their devices during a call: unplug, exchange, mute a hundred times. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

const ROUNDS = 100;

/** Chromium only: Firefox lets no script say that a device has gone. */
scenario('a camera that is unplugged is told, and another one takes its place', async (stage) => {
  const [alice, bob] = await Promise.all([stage.join({ name: 'alice' }), stage.join({ name: 'bob', publish: '0' })]);
  await bob.sees('alice');
  const label = () => alice.page.$eval('#camera', (element) => element.getAttribute('aria-label'));
  await alice.page.evaluate(() => {
    const track = globalThis.__sfu.media.tracks.camera;
    track.dispatchEvent(new Event('ended')); // as the browser does when a device goes
  });
  await until('alice to be told', () => alice.page.$eval('#toasts', (element) => element.textContent?.includes('Camera disconnected')));
  await until('the button to know', async () => (await label()) === 'Turn camera on');
  await bob.observes('that the camera is off', ({ participants }) => {
    const camera = participants[0]?.tracks.find((/** @type {any} */ { source }) => source === 'camera');
    return !camera || camera.muted;
  });
  await alice.press('Turn camera on');
  await bob.sees('alice');
});

/** Chromium only: Firefox has one fake camera. */
scenario('another camera is chosen during the call, and its picture takes the place of the first', async (stage) => {
  const [alice, bob, fox] = await Promise.all([
    stage.join({ name: 'alice', codec: 'vp8' }),
    stage.join({ name: 'bob', publish: '0' }),
    stage.join({ name: 'fox', publish: '0' }, 'firefox'),
  ]);
  await Promise.all([bob.sees('alice'), fox.sees('alice')]);
  const inUse = () => alice.page.evaluate(() => globalThis.__sfu.media.tracks.camera.getSettings().deviceId);
  const before = { device: await inUse(), track: (await bob.received({ kind: 'video' }))?.track };
  await alice.page.click('#more');
  await alice.page.click('#menu-settings');
  const cameras = await alice.page.$$eval('dialog[open] #device-camera option', (options) => options.map(({ value }) => value));
  const [other] = cameras.filter((camera) => camera !== before.device).slice(-1);
  assert.ok(other, `${cameras.length} cameras`);
  await alice.page.select('dialog[open] #device-camera', other);
  await until('the other camera to be in use', async () => (await inUse()) === other);
  await Promise.all([bob.sees('alice'), fox.sees('alice')]);
  assert.equal((await bob.received({ kind: 'video' }))?.track, before.track, 'the same track for the others');
});

for (const engine of /** @type {const} */ (['chromium', 'firefox'])) {
  scenario(`${engine}: after ${ROUNDS} mutes nothing is left over`, async (stage) => {
    const [alice, bob] = await Promise.all([stage.join({ name: 'alice' }, engine), stage.join({ name: 'bob', publish: '0' })]);
    await bob.meets('alice');
    const lines = () => alice.page.evaluate(() => globalThis.__sfu.room.pc.getTransceivers().length);
    const before = await lines();
    await alice.page.evaluate(async (rounds) => {
      const click = async (/** @type {string} */ id, /** @type {string} */ wanted) => {
        const button = /** @type {HTMLElement} */ (document.getElementById(id));
        button.click();
        for (let i = 0; i < 1000 && !button.getAttribute('aria-label')?.startsWith(wanted); i++) await new Promise((resolve) => setTimeout(resolve, 10));
      };
      for (let i = 0; i < rounds; i++) {
        await click('mic', 'Unmute');
        await click('mic', 'Mute');
      }
    }, ROUNDS);
    assert.equal(await lines(), before, 'm-lines');
    assert.equal((await bob.snapshot()).participants[0].tracks.length, 2, 'tracks as others know them');
    await bob.hears('alice');
  });
}
