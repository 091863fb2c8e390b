/** What the library takes from its surroundings, so that tests can put in their own. */

/**
 * @typedef {object} Platform
 * @property {typeof globalThis.RTCPeerConnection} RTCPeerConnection
 * @property {typeof globalThis.WebSocket} WebSocket
 * @property {typeof globalThis.MediaStream} MediaStream
 * @property {(callback: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} now milliseconds of the wall clock, for reports
 * @property {() => number} random 0 ≤ x < 1, spreads reconnections
 */

/**
 * @param {Partial<Platform>} own
 * @returns {Platform}
 */
export function platform(own) {
  const g = globalThis;
  return {
    RTCPeerConnection: g.RTCPeerConnection,
    WebSocket: g.WebSocket,
    MediaStream: g.MediaStream,
    setTimeout: g.setTimeout.bind(g),
    clearTimeout: g.clearTimeout.bind(g),
    now: Date.now,
    random: Math.random,
    ...own,
  };
}
