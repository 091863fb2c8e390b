/**
 * A viewer receives what it has a place for, and a publisher sends what somebody receives: sizes of
 * tiles, words and hidden tiles go all the way to the encoder and back.
 */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

/** @typedef {import('../harness/participant.js').Participant} Participant */

/** The least for which Chromium makes three sizes of one picture: 240, 480 and 960 wide. */
const SENT = { publish: 'video', simulcast: '1', width: 960, height: 540 };
const LARGE = { width: 1280, height: 800 };
/** Of two tiles in it each is filled by the middle size, of three by the smallest. */
const SMALL = { width: 400, height: 420 };
const NARROW = { width: 360, height: 740 };
/** From a tile that shrank to an encoder that stopped, in ms: the server waits whether it is for good. */
const STOP_MS_MAX = 20_000;
const START_MS_MAX = 2_000;

scenario('an encoding that nobody looks at stops, and starts again with its first viewer', async (stage) => {
  const sender = await stage.join({ name: 'sender', ...SENT });
  const viewer = await stage.join({ name: 'viewer', publish: '0', viewport: LARGE });
  await width(viewer, 960, 40_000);

  await viewer.page.setViewport(SMALL);
  await until('the largest encoding to stop', async () => !(await sends(sender, 'f')), { within: STOP_MS_MAX });
  assert.ok(await sends(sender, 'h'), 'the one that is looked at goes on');
  const { frameWidth } = await viewer.sees('sender');
  assert.equal(frameWidth, 480);

  const framesBefore = await frames(sender, 'f');
  await viewer.page.setViewport(LARGE);
  const since = performance.now();
  await until('the largest encoding to start', async () => (await frames(sender, 'f')) > framesBefore, { within: START_MS_MAX, every: 50 });
  console.log(`  the encoder started ${Math.round(performance.now() - since)} ms after the window grew`);
  await width(viewer, 960, 10_000);
});

scenario('a smaller tile gets a smaller picture, and a larger one a larger', async (stage) => {
  const [viewer] = await Promise.all([
    stage.join({ name: 'viewer', publish: '0', viewport: LARGE }),
    stage.join({ name: 'sender', ...SENT }),
    // Somebody who looks at all of it, so that everything is always sent.
    stage.join({ name: 'other', publish: '0', viewport: LARGE }),
  ]);
  await width(viewer, 960, 40_000);
  for (const [viewport, wide] of /** @type {const} */ ([[SMALL, 240], [LARGE, 960]])) {
    await viewer.page.setViewport(viewport);
    await width(viewer, wide, 10_000);
    await viewer.sees('sender');
  }
});

for (const engine of /** @type {const} */ (['chromium', 'firefox'])) {
  scenario(`${engine}: what is turned off or out of sight is not sent, and the tile says why`, async (stage) => {
    const [viewer] = await Promise.all([
      stage.join({ name: 'viewer', publish: '0', viewport: NARROW }, engine),
      stage.join({ name: 'sender', ...SENT, codec: 'vp8' }),
    ]);
    await viewer.sees('sender');

    const note = () => viewer.page.$eval('.tile:not(.own) .tile-note', (element) => element.textContent);
    const choose = (/** @type {string} */ word) => viewer.page.select('.tile:not(.own) select', word);
    await choose('off');
    await until('the tile to say why', async () => (await note()) === 'You turned this picture off', { within: 5_000 });
    await stands(viewer);
    await choose('low');
    await until('the tile to be itself', async () => (await note()) === '', { within: 5_000 });
    const { frameWidth } = await viewer.sees('sender');
    assert.equal(frameWidth, 240);

    await choose('auto');
    await viewer.press('Chat'); // covers a phone
    await stands(viewer);
    await viewer.press('Close');
    await viewer.sees('sender');
  });
}

scenario('the page says why it shows what it shows', async (stage) => {
  const [viewer] = await Promise.all([
    stage.join({ name: 'viewer', publish: '0', viewport: LARGE }),
    stage.join({ name: 'sender', ...SENT }),
  ]);
  await viewer.sees('sender');
  await viewer.press('Enlarge sender');
  await viewer.page.keyboard.press('w');
  await until('the account of the picture', async () => {
    const text = await viewer.page.$eval('.why', (element) => /** @type {HTMLElement} */ (element).innerText);
    return /Your connection carries about \d/.test(text) && /sender\s+Asked for: Auto, \d+×\d+, pinned\s+Granted: \d+×\d+/.test(text);
  }, { within: 10_000, describe: () => viewer.page.$eval('.why', (element) => element.textContent) });
});

/** Waits for a picture of a width. @param {Participant} viewer @param {number} wanted @param {number} within */
async function width(viewer, wanted, within) {
  await viewer.observes(`a picture ${wanted} wide`, ({ received }) => {
    return received.some((/** @type {any} */ { frameWidth }) => frameWidth === wanted);
  }, { within });
}

/** Waits until no more frames come. @param {Participant} viewer */
async function stands(viewer) {
  let before = -1;
  await until('the picture to stand', async () => {
    const now = (await viewer.received({ kind: 'video' }))?.framesDecoded ?? 0;
    const same = now === before;
    before = now;
    return same;
  }, { every: 1_500 });
}

/** Frames sent so far of one encoding. @param {Participant} sender @param {string} rid */
async function frames(sender, rid) {
  const { sent } = await sender.snapshot();
  return sent.find((/** @type {any} */ row) => row.rid === rid)?.framesSent ?? 0;
}

/** Whether an encoding goes out, looked at for a second. @param {Participant} sender @param {string} rid */
async function sends(sender, rid) {
  const before = await frames(sender, rid);
  const since = performance.now();
  await until('a second to pass', () => performance.now() - since > 1_000);
  return (await frames(sender, rid)) > before;
}
