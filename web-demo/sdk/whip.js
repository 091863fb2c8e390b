/** WHIP (RFC 9725) and WHEP (draft): one peer connection with one HTTP exchange; usable alone. */

import { SfuError, fromNegotiation } from './errors.js';

/**
 * @typedef {object} HttpOptions
 * @property {string} [token] sent as a bearer token
 * @property {AbortSignal} [signal] ends the attempt
 * @property {RTCIceServer[]} [iceServers]
 * @property {number} [gather_ms] how long to wait for own candidates; an ICE-lite server needs none (default 0)
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
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: options.iceServers ?? [] });
  for (const track of stream.getTracks()) {
    const encodings = track.kind === 'video' && options.sendEncodings ? { sendEncodings: options.sendEncodings } : {};
    pc.addTransceiver(track, { direction: 'sendonly', streams: [stream], ...encodings });
  }
  return exchange(pc, url, stream, options);
}

/**
 * Plays what is published there.
 * @param {string | URL} url
 * @param {HttpOptions} [options]
 * @returns {Promise<HttpSession>}
 */
export function whepPlay(url, options = {}) {
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: options.iceServers ?? [] });
  const stream = new MediaStream();
  for (const kind of ['audio', 'video']) {
    stream.addTrack(pc.addTransceiver(kind, { direction: 'recvonly' }).receiver.track);
  }
  return exchange(pc, url, stream, options);
}

/**
 * @param {RTCPeerConnection} pc
 * @param {string | URL} url
 * @param {MediaStream} stream
 * @param {HttpOptions} options
 * @returns {Promise<HttpSession>}
 */
async function exchange(pc, url, stream, { token, signal, gather_ms = 0 }) {
  /** @type {Record<string, string>} */
  const authorization = token ? { Authorization: `Bearer ${token}` } : {};
  try {
    await pc.setLocalDescription(await pc.createOffer());
    await gathered(pc, gather_ms);
    const response = await post(url, pc.localDescription?.sdp ?? '', authorization, signal);
    // Relative to where the answer came from, which a 307 may have changed (RFC 9725 §4.5).
    const location = response.headers.get('Location');
    const resource = location && new URL(location, response.url || url);
    await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    const stop = async () => {
      pc.close();
      if (resource) await fetch(resource, { method: 'DELETE', headers: authorization, keepalive: true }).catch(() => {});
    };
    return { pc, stream, stop };
  } catch (error) {
    pc.close();
    if (signal?.aborted) throw signal.reason;
    throw fromNegotiation(error);
  }
}

/**
 * @param {string | URL} url
 * @param {string} sdp
 * @param {Record<string, string>} headers
 * @param {AbortSignal} [signal]
 */
async function post(url, sdp, headers, signal) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp', ...headers }, body: sdp, signal: signal ?? null });
  } catch (cause) {
    throw new SfuError('unreachable', { cause });
  }
  if (response.status === 201) return response;
  const problem = await response.json().catch(() => ({})); // problem+json (RFC 9457), if it says so
  const detail = [response.status, problem.title, problem.detail].filter(Boolean).join(' ');
  const code = { 409: 'no_publisher', 429: 'rate_limited', 503: 'server_full' }[response.status] ?? 'refused';
  throw new SfuError(code, {
    step: response.status === 400 || response.status === 422 ? 'negotiation' : 'signalling',
    ...(code === 'refused' ? { message: `The server refused: ${detail}`, hint: 'Check the address and the token.' } : {}),
    ...(code === 'no_publisher' ? { message: 'Nobody is publishing there.', hint: 'Try again when somebody does.' } : {}),
    detail,
  });
}

/**
 * @param {RTCPeerConnection} pc
 * @param {number} ms
 * @returns {Promise<void>}
 */
function gathered(pc, ms) {
  return new Promise((resolve) => {
    if (!ms || pc.iceGatheringState === 'complete') return resolve();
    const timer = setTimeout(resolve, ms);
    pc.addEventListener('icegatheringstatechange', () => {
      if (pc.iceGatheringState !== 'complete') return;
      clearTimeout(timer);
      resolve();
    });
  });
}
