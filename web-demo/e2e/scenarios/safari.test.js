/**
 * A browser that has what Safari 17 on a phone has, and lacks the rest: as far as Chromium can be
 * made to. The page looks for features and never for names, so it has to do with what there is.
 */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

scenario('a browser shaped like Safari calls, and offers nothing that it cannot do', async (stage) => {
  const [safari, bob] = await Promise.all([
    stage.join({ name: 'safari' }, 'chromium', { before: likeSafari }),
    stage.join({ name: 'bob' }),
  ]);
  await Promise.all([safari.meets('bob'), bob.meets('safari')]);

  await safari.press('Mute microphone');
  await bob.observes('the mute', ({ participants: [{ tracks }] }) => tracks.some((/** @type {any} */ { source, muted }) => source === 'microphone' && muted));
  await safari.press('Unmute microphone');
  await bob.hears('safari');
  await safari.press('Turn camera off');
  await safari.press('Turn camera on');
  await bob.sees('safari');
  assert.equal(await safari.page.$('button[aria-label="Share screen"]'), null, 'no button for what there is not');

  const said = safari.page.evaluate(() => new Promise((resolve) => globalThis.__sfu.room.on('data', (/** @type {any} */ { payload }) => resolve(payload))));
  await bob.page.evaluate(() => globalThis.__sfu.room.send('from bob'));
  assert.equal(await said, 'from bob');

  await safari.page.click('#more');
  await safari.page.click('#menu-settings');
  await safari.page.waitForSelector('dialog[open] #device-camera');
  assert.equal(await safari.page.$('dialog[open] #device-speaker'), null, 'no choice of what cannot be chosen');
  await safari.page.keyboard.press('Escape');
  await safari.page.keyboard.press('d');
  await until('the figures', () => safari.page.evaluate(() => /fps|kbit/.test(document.body.innerText)));

  await safari.page.evaluate(() => globalThis.__sfu.room.leave());
  await bob.observes('safari being gone', ({ participants }) => participants.length === 0);
});

/** Runs in the page ahead of its own scripts. */
function likeSafari() {
  /** @type {any} */
  const g = globalThis;
  const remove = (/** @type {any} */ owner, /** @type {string[]} */ ...names) => {
    for (const name of names) if (owner) delete owner[name];
    for (const name of names) if (owner && name in owner) throw new Error(`${name} is still there`);
  };
  remove(g, 'requestIdleCallback', 'cancelIdleCallback', 'scheduler', 'MediaStreamTrackProcessor', 'MediaStreamTrackGenerator', 'documentPictureInPicture');
  remove(g.Iterator?.prototype, 'map', 'filter', 'reduce', 'some', 'every', 'find', 'flatMap', 'forEach', 'take', 'drop', 'toArray');
  remove(Promise, 'try', 'withResolvers');
  remove(RegExp, 'escape');
  remove(RTCRtpReceiver.prototype, 'jitterBufferTarget', 'playoutDelayHint', 'createEncodedStreams');
  remove(RTCRtpSender.prototype, 'createEncodedStreams');
  remove(HTMLMediaElement.prototype, 'setSinkId', 'sinkId', 'captureStream');
  remove(MediaDevices.prototype, 'getDisplayMedia');
  remove(Navigator.prototype, 'connection', 'userAgentData');
  const { isTypeSupported } = MediaRecorder;
  MediaRecorder.isTypeSupported = (type) => !/webm|ogg|matroska/.test(type) && isTypeSupported.call(MediaRecorder, type);
}
