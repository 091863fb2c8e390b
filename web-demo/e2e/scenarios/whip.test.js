/** WHIP and WHEP are doors into the same room as the WebSocket. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

/** @typedef {import('puppeteer-core').Page} Page */

const LIBRARY = '/sdk/whip.js';

for (const engine of /** @type {const} */ (['chromium', 'firefox'])) {
  scenario(`WHIP from ${engine} reaches a participant and a WHEP viewer`, async (stage) => {
    const [publisher, viewer, watcher] = await Promise.all([
      stage.blank('publisher', engine),
      stage.blank('viewer', engine),
      stage.join({ name: 'watcher', publish: '0' }),
    ]);
    await publish(publisher, '/whip/e2e');
    await watcher.meets();

    await play(viewer, '/whep/e2e');
    await flows(viewer);

    // DELETE is the goodbye: nobody has to wait for a timeout.
    await publisher.evaluate(() => globalThis.__http.stop());
    await watcher.observes('that the publisher left', ({ received }) => received.length === 0, {
      within: 5_000,
    });
  });
}

scenario('a WHEP viewer sees and hears a participant of the room', async (stage) => {
  const [viewer, sender] = await Promise.all([
    stage.blank('viewer'),
    stage.join({ name: 'sender' }),
  ]);
  await sender.connected();
  const id = await sender.page.evaluate(() => globalThis.__sfu.room.local.id);
  await play(viewer, `/whep/e2e/${id}`);
  await flows(viewer);
});

scenario('a WHIP resource is gone after DELETE', async (stage) => {
  const publisher = await stage.blank('publisher');
  const answers = await publisher.evaluate(async () => {
    const connection = new RTCPeerConnection();
    connection.addTransceiver('video', { direction: 'sendonly' });
    await connection.setLocalDescription();
    const body = connection.localDescription?.sdp ?? '';
    const headers = { 'content-type': 'application/sdp' };
    const created = await fetch('/whip/e2e', { method: 'POST', headers, body });
    const location = created.headers.get('location') ?? '';
    const first = await fetch(location, { method: 'DELETE' });
    const second = await fetch(location, { method: 'DELETE' });
    connection.close();
    const type = created.headers.get('content-type');
    return { created: created.status, type, first: first.status, second: second.status };
  });
  assert.deepEqual(answers, { created: 201, type: 'application/sdp', first: 200, second: 404 });
});

/** Sends fake camera and microphone. @param {Page} page @param {string} path */
async function publish(page, path) {
  await page.evaluate(async (url, library) => {
    const { whipPublish } = await import(library);
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    globalThis.__http = await whipPublish(url, stream);
  }, path, LIBRARY);
}

/** @param {Page} page @param {string} path */
async function play(page, path) {
  await page.evaluate(async (url, library) => {
    const { whepPlay } = await import(library);
    globalThis.__http = await whepPlay(url);
    // Browsers decode only what is played, sound included.
    const video = document.createElement('video');
    video.srcObject = globalThis.__http.stream;
    document.body.append(video);
    await video.play();
  }, path, LIBRARY);
}

/** Waits for pictures and sound. @param {Page} page */
async function flows(page) {
  const inbound = () => page.evaluate(async () => {
    const stats = [...(await globalThis.__http.pc.getStats()).values()];
    return stats.filter(({ type }) => type === 'inbound-rtp');
  });
  await until('pictures and sound over WHEP', async () => {
    const received = await inbound();
    const sees = received.some(({ framesDecoded }) => framesDecoded > 10);
    const hears = received.some(({ totalSamplesReceived, concealedSamples, totalAudioEnergy }) => {
      return totalSamplesReceived - concealedSamples > 24_000 && totalAudioEnergy > 0;
    });
    return sees && hears;
  }, {
    describe: async () => (await inbound()).map(({ kind, packetsReceived, framesDecoded, totalAudioEnergy }) => {
      return { kind, packetsReceived, framesDecoded, totalAudioEnergy };
    }),
  });
}
