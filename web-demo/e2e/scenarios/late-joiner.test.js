/**
 * Who joins after a publisher's sequence numbers have wrapped sees and decrypts as who was there
 * from the start: every outgoing stream counts for itself (RFC 3711 §3.3.1).
 */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

/** @typedef {import('puppeteer-core').Page} Page */

/** More than the 65,536 numbers there are. */
const PACKETS = 70_000;

scenario(`late joiners see a picture that ${PACKETS} packets went before`, async (stage) => {
  const [publisher, early] = await Promise.all([
    stage.blank('publisher'),
    stage.join({ name: 'early', publish: '0' }, 'chromium'),
  ]);
  await publisher.evaluate(publishNoise);
  await early.sees(undefined);

  const sent = () => publisher.evaluate(packetsSent);
  // A browser on a small machine makes 4,000 packets of noise a second.
  await until(`${PACKETS} packets`, async () => (await sent()) > PACKETS, {
    within: 120_000,
    describe: async () => `${await sent()} packets were sent`,
  });
  await publisher.evaluate(() => globalThis.__calm());

  const late = await Promise.all([
    stage.join({ name: 'late', publish: '0' }, 'chromium'),
    stage.join({ name: 'fox', publish: '0' }, 'firefox'),
  ]);
  await Promise.all([early, ...late].map((viewer) => viewer.sees(undefined)));
  const seen = await late[0].received({ kind: 'video' });
  assert.ok(seen && seen.packetsReceived < PACKETS, 'the late one did not get the past');
});

/**
 * Runs in the page. Noise hardly compresses, so a small picture of it makes many packets; the hints
 * in the answer make Chromium send at that rate at once. `__calm` ends the flood, not the stream.
 */
async function publishNoise() {
  const [width, height, fps] = [640, 360, 30];
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const picture = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const noise = Array.from({ length: 4 }, () => {
    const image = picture.createImageData(width, height);
    for (let i = 0; i < image.data.length; i++) image.data[i] = i % 4 === 3 ? 255 : Math.random() * 256;
    return image;
  });
  let frame = 0;
  let calm = false;
  setInterval(() => {
    frame += 1;
    if (!calm) return picture.putImageData(noise[frame % noise.length], 0, 0);
    picture.fillStyle = `hsl(${frame % 360} 50% 50%)`;
    picture.fillRect(0, 0, width, height);
  }, 1000 / fps);

  const connection = new RTCPeerConnection();
  const [track] = canvas.captureStream(fps).getVideoTracks();
  const sendEncodings = [{ maxBitrate: 60_000_000 }];
  const transceiver = connection.addTransceiver(track, { direction: 'sendonly', sendEncodings });
  const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
  transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => /VP8|rtx/i.test(mimeType)));
  await connection.setLocalDescription();
  const response = await fetch('/whip/e2e', {
    method: 'POST',
    headers: { 'content-type': 'application/sdp' },
    body: connection.localDescription?.sdp,
  });
  if (response.status !== 201) throw new Error(`WHIP: ${response.status} ${await response.text()}`);

  const kilobits = 40_000;
  const hints = `x-google-start-bitrate=${kilobits};x-google-min-bitrate=${kilobits};x-google-max-bitrate=60000`;
  const sdp = (await response.text()).replace(/a=rtpmap:(\d+) VP8\/90000\r\n/, `$&a=fmtp:$1 ${hints}\r\n`);
  await connection.setRemoteDescription({ type: 'answer', sdp });
  globalThis.__http = connection;
  globalThis.__calm = async () => {
    calm = true;
    const parameters = transceiver.sender.getParameters();
    parameters.encodings[0].maxBitrate = 500_000;
    await transceiver.sender.setParameters(parameters);
  };
}

/** Runs in the page. @returns {Promise<number>} */
async function packetsSent() {
  const stats = [...(await globalThis.__http.getStats()).values()];
  return stats.find(({ type }) => type === 'outbound-rtp')?.packetsSent ?? 0;
}
