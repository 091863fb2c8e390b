/** WHIP (RFC 9725) and WHEP (draft): one peer connection with one HTTP exchange; usable alone. */

import { SfuError, fromNegotiation } from './errors.js';
import { takeLayers } from './extensions.js';

/**
 * @typedef {object} HttpOptions
 * @property {string} [token] sent as a bearer token
 * @property {AbortSignal} [signal] ends the attempt
 * @property {RTCIceServer[]} [iceServers]
 */

/**
 * @typedef {object} HttpSession
 * @property {RTCPeerConnection} pc watch its `connectionState`
 * @property {MediaStream} stream what is sent, or what is received
 * @property {() => Promise<void>} stop ends it on both sides
 */

/**
 * Publishes a stream's tracks.
 * @param {string | URL} url
 * @param {MediaStream} stream
 * @param {HttpOptions & {sendEncodings?: RTCRtpEncodingParameters[]}} [options] `sendEncodings`: of the video, for simulcast
 * @returns {Promise<HttpSession>}
 */
export function whipPublish(url, stream, options = {}) {
  return exchange(url, stream, options, (pc) => {
    for (const track of stream.getTracks()) {
      const sendEncodings = (track.kind === 'video' && options.sendEncodings) || [];
      pc.addTransceiver(track, { direction: 'sendonly', streams: [stream], sendEncodings });
    }
  });
}

/**
 * Plays what is published there.
 * @param {string | URL} url
 * @param {HttpOptions} [options]
 * @returns {Promise<HttpSession>}
 */
export function whepPlay(url, options = {}) {
  const stream = new MediaStream();
  return exchange(url, stream, options, (pc) => {
    for (const kind of ['audio', 'video']) {
      const transceiver = pc.addTransceiver(kind, { direction: 'recvonly' });
      takeLayers(transceiver);
      stream.addTrack(transceiver.receiver.track);
    }
  });
}

/** What a status means, where it is not `refused`. @type {Record<number, string>} */
const CODES = { 400: 'negotiation_failed', 409: 'no_publisher', 422: 'negotiation_failed', 429: 'rate_limited', 503: 'server_full' };
/** What the rest of the library has no words for. @type {Record<string, string>} */
const MESSAGES = { no_publisher: 'Nobody is publishing there.', refused: 'The server refused: check address and token.' };

/**
 * One offer, one answer: the server's holds all its candidates, and needs none of ours.
 * @param {string | URL} url
 * @param {MediaStream} stream
 * @param {HttpOptions} options
 * @param {(pc: RTCPeerConnection) => void} fill
 * @returns {Promise<HttpSession>}
 */
async function exchange(url, stream, { token, signal, iceServers = [] }, fill) {
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers });
  /** @type {Record<string, string>} */
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  try {
    fill(pc);
    await pc.setLocalDescription();
    const init = { method: 'POST', headers: { 'Content-Type': 'application/sdp', ...headers }, body: pc.localDescription?.sdp ?? '', signal: signal ?? null };
    const response = await fetch(url, init).catch((cause) => {
      throw new SfuError('unreachable', { cause });
    });
    const { status } = response;
    if (status !== 201) {
      const { title, detail } = await response.json().catch(() => ({})); // problem+json (RFC 9457), if it says so
      const code = CODES[status] ?? 'refused';
      throw new SfuError(code, { message: MESSAGES[code], detail: [status, title, detail].filter(Boolean).join(' ') });
    }
    // Relative to where the answer came from, which a 307 may have changed (RFC 9725 §4.5).
    const location = response.headers.get('Location');
    const resource = location && new URL(location, response.url || url);
    await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    const stop = async () => {
      pc.close();
      if (resource) await fetch(resource, { method: 'DELETE', headers, keepalive: true }).catch(() => {});
    };
    return { pc, stream, stop };
  } catch (error) {
    pc.close();
    if (signal?.aborted) throw signal.reason;
    throw fromNegotiation(error);
  }
}
