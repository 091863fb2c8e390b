/**
 * Connections that break: the path of media for some seconds, or the signalling alone. The page says
 * so, mends it by itself, and pictures move again.
 */

import assert from 'node:assert/strict';
import { shownFrames, watchFrames } from '../harness/frames.js';
import { scenario } from '../harness/scenario.js';
import { TcpProxy } from '../harness/tcp-proxy.js';
import { until } from '../harness/until.js';

/** @typedef {import('../harness/participant.js').Participant} Participant */

const CUT_S = 20;
/** The longest time without a new frame while only signalling is broken, in ms … */
const GAP_MAX = 300;
/** … or, on a machine that stands still for longer, so many times what their own pictures stood. */
const STALLS = 3;
/** A machine may still stand in the wrong moment, but not so many times. */
const ROUNDS = 3;
const IMPAIRABLE = { flags: ['--set', 'media.impairments=true'] };

for (const engine of /** @type {const} */ (['chromium', 'firefox'])) {
  scenario(`${engine}: a path that is cut for ${CUT_S} s is told and mended`, async (stage) => {
    await stage.server(IMPAIRABLE);
    const [viewer, sender] = await Promise.all([stage.join({ name: 'viewer', publish: '0' }, engine), stage.join({ name: 'sender', codec: 'vp8' })]);
    await viewer.sees('sender');
    assert.equal(await viewer.page.evaluate(() => globalThis.__sfu.room.settings.impairments), true);
    await viewer.page.evaluate((cut_seconds) => {
      const { room } = globalThis.__sfu;
      return room.impair(room.local.id, { downlink: { cut_seconds }, uplink: { cut_seconds } });
    }, CUT_S);
    await until('the banner', () => viewer.page.$eval('.banner', (element) => !(/** @type {HTMLElement} */ (element).hidden)), { within: 30_000 });
    await viewer.observes('being connected again', ({ state }) => state === 'connected', { within: 40_000 });
    await viewer.sees('sender');
    assert.ok(await viewer.page.$eval('.banner', (element) => /** @type {HTMLElement} */ (element).hidden), 'the banner is gone');
    await sender.connected();
  });

  scenario(`${engine}: signalling that breaks alone is renewed, and neither picture nor the others notice`, async (stage) => {
    const { url } = await stage.server();
    const proxy = await TcpProxy.before(url);
    try {
      const [viewer, sender] = await Promise.all([
        stage.join({ name: 'viewer' }, engine, { by: proxy.url }),
        stage.join({ name: 'sender', codec: 'vp8' }),
      ]);
      await Promise.all([viewer.sees('sender'), sender.sees('viewer')]);
      await sender.page.evaluate(() => {
        const heard = (globalThis.__heard = /** @type {string[]} */ ([]));
        for (const type of ['participantjoined', 'participantleft', 'trackunpublished', 'trackpublished']) {
          globalThis.__sfu.room.on(type, () => heard.push(type));
        }
      });
      await viewer.page.evaluate(() => {
        const { room } = globalThis.__sfu;
        globalThis.__before = { pc: room.pc, id: room.local.id };
        globalThis.__steps = [];
        room.on('state', (/** @type {any} */ { state, step }) => globalThis.__steps.push(step ?? state));
      });
      // A machine that stands still makes a gap now and then; renewed signalling would make one each time.
      let smooth = false;
      for (let round = 0; round < ROUNDS && !smooth; round++) smooth = await withoutSignalling(viewer, sender, proxy, round % 2 === 0);
      assert.ok(smooth, `${ROUNDS} times a picture stood`);

      const after = await viewer.page.evaluate(() => {
        const { room } = globalThis.__sfu;
        return { steps: globalThis.__steps, same: room.pc === globalThis.__before.pc && room.local.id === globalThis.__before.id };
      });
      assert.ok(after.same, 'the same visit over the same connection');
      assert.deepEqual([...new Set(after.steps)], ['resume', 'connected']);
      assert.deepEqual(await sender.page.evaluate(() => globalThis.__heard), [], 'nobody left or came');
      await Promise.all([viewer.sees('sender'), sender.sees('viewer')]);
    } finally {
      proxy.close();
    }
  });
}

/**
 * Breaks the viewer's signalling; two attempts are in vain, and something is asked meanwhile. Tells
 * whether the pictures of both went on.
 *
 * @param {Participant} viewer
 * @param {Participant} sender
 * @param {TcpProxy} proxy
 * @param {boolean} mutes or unmutes
 */
async function withoutSignalling(viewer, sender, proxy, mutes) {
  await Promise.all([watchFrames(viewer, 'sender'), watchFrames(sender, 'viewer')]);
  proxy.refuses = true;
  proxy.breakAll();
  await viewer.observes('the loss', ({ state }) => state === 'reconnecting');
  await viewer.page.evaluate((change) => [...globalThis.__sfu.room.local.tracks].find(({ kind }) => kind === 'audio')[change](), mutes ? 'mute' : 'unmute');
  await until('the banner', () => viewer.page.$eval('.banner', (element) => element.textContent?.includes('Attempt')));
  proxy.refuses = false;
  await viewer.observes('being connected again', ({ state }) => state === 'connected');
  await until('the mute to arrive', () => sender.page.evaluate((muted) => [...globalThis.__sfu.room.participants.values()][0].track('microphone')?.muted === muted, mutes));

  const shown = await Promise.all([shownFrames(viewer), shownFrames(sender)]);
  const stood = Math.max(GAP_MAX, STALLS * Math.max(...shown.map(({ own }) => own)));
  console.log(`without signalling: ${shown.map(({ count, gap, own }) => `${count} frames shown, longest gap ${gap} ms (own picture ${own} ms)`).join('; ')}`);
  return shown.every(({ count, gap }) => count > 5 && gap <= stood);
}

scenario('sliders of the page make a connection worse and as it was', async (stage) => {
  await stage.server(IMPAIRABLE);
  const [host, guest] = await Promise.all([stage.join({ name: 'host', publish: '0' }), stage.join({ name: 'guest', publish: '0' })]);
  await host.observes('guest', ({ participants }) => participants.length === 1);
  await host.page.keyboard.press('p');
  await host.press('Make the connection of guest worse');
  await host.page.waitForSelector('dialog[open] #downlink-loss_percent');
  await host.page.focus('#downlink-loss_percent');
  await host.page.keyboard.press('ArrowRight');
  await host.page.keyboard.press('ArrowRight');
  await until('the guest to be told', () => guest.page.$eval('#toasts', (element) => element.textContent?.includes('made worse for a test')));
  assert.equal(await host.page.$eval('#downlink-loss_percent + output', (element) => element.textContent), '2 %');
  const set = () => host.page.evaluate(async () => {
    const { name, participants } = globalThis.__sfu.room;
    const [id] = participants.keys();
    return (await fetch(`/api/v1/rooms/${name}/participants/${id}/impairment`)).json();
  });
  await until('the server to do it', async () => (await set()).downlink?.loss_percent === 2, { describe: set });
  const buttons = await host.page.$$('dialog[open] .row button');
  await buttons[1].click();
  await until('the server to undo it', async () => !(await set()).downlink?.loss_percent, { describe: set });
});
