/**
 * The browsers of this machine can do what the other tests need. When this fails, the machine or
 * the flags are at fault, not the server.
 */

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { launch } from '../harness/browsers.js';
import { until } from '../harness/until.js';

for (const engine of /** @type {const} */ (['chromium', 'firefox'])) {
  test(`${engine} sends itself its fake camera and microphone`, async () => {
    const blank = await servePage();
    const browser = await launch(engine);
    try {
      const page = await browser.newPage();
      await page.goto(blank.url);
      assert.equal(await page.evaluate(() => isSecureContext), true, 'no camera without it');
      await page.evaluate(callOneself);

      const stats = await until('decoded frames and audio samples', async () => {
        const now = await page.evaluate(readStats);
        return now.frames > 5 && now.samples > 16_000 ? now : null;
      });
      // A name ending in .local would mean that viewers without a camera hide their address.
      assert.ok(stats.addresses.length > 0);
      assert.deepEqual(stats.addresses.filter((address) => address.endsWith('.local')), []);
    } finally {
      await browser.close();
      await blank.close();
    }
  });
}

/** Runs in the page: one peer connection to another. */
async function callOneself() {
  const description = (/** @type {RTCPeerConnection} */ { localDescription }) =>
    localDescription ?? { type: /** @type {const} */ ('rollback') };
  const [caller, callee] = [new RTCPeerConnection(), new RTCPeerConnection()];
  caller.onicecandidate = ({ candidate }) => callee.addIceCandidate(candidate ?? undefined);
  callee.onicecandidate = ({ candidate }) => caller.addIceCandidate(candidate ?? undefined);
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  for (const track of stream.getTracks()) caller.addTrack(track, stream);
  callee.ontrack = ({ streams }) => {
    const video = document.createElement('video');
    video.srcObject = streams[0];
    video.play();
  };
  await caller.setLocalDescription();
  await callee.setRemoteDescription(description(caller));
  await callee.setLocalDescription();
  await caller.setRemoteDescription(description(callee));
  globalThis.__callee = callee;
}

/** Runs in the page. */
async function readStats() {
  /** @type {{frames: number, samples: number, addresses: string[]}} */
  const found = { frames: 0, samples: 0, addresses: [] };
  for (const stat of (await globalThis.__callee.getStats()).values()) {
    if (stat.type === 'inbound-rtp') {
      found.frames += stat.framesDecoded ?? 0;
      found.samples += stat.totalSamplesReceived ?? 0;
    }
    if (stat.type === 'local-candidate' && stat.address) found.addresses.push(stat.address);
  }
  return found;
}

/** An empty page on a secure origin. */
async function servePage() {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>blank</title>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
