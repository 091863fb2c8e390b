/** Errors that say which step failed and what to try next. */

/**
 * Where something failed, in the order a call is built up.
 * @typedef {'devices' | 'signalling' | 'negotiation' | 'ice' | 'dtls' | 'media'} Step
 */

/** Others have the server's own title. @type {Record<string, [Step, string, string]>} code → step, message, hint */
const KNOWN = {
  permission_denied: ['devices', 'Camera and microphone are not allowed here.', 'Allow them in the address bar and in the system settings.'],
  device_missing: ['devices', 'No such device was found.', 'Plug one in, choose another, or join without.'],
  device_busy: ['devices', 'The device could not be started.', 'Close other programs that use it, or choose another.'],
  device_unsuitable: ['devices', 'The device cannot do what was asked of it.', 'Choose another.'],
  insecure_page: ['devices', 'Only secure pages get camera and microphone.', 'Open this page by https:// or on localhost.'],
  unsupported_browser: ['devices', 'This browser has no WebRTC.', 'Use a current one.'],

  unreachable: ['signalling', 'The server could not be reached.', 'Check your network.'],
  connection_lost: ['signalling', 'The connection to the server was lost.', 'Check your network.'],
  timeout: ['signalling', 'The server did not answer in time.', 'Check your network.'],
  wrong_protocol: ['signalling', 'The server speaks another protocol version.', 'Reload the page.'],
  unauthorized: ['signalling', 'This link does not let you in.', 'Ask for a new one: links may run out.'],
  forbidden: ['signalling', 'You are not allowed to do this.', 'Ask the host.'],
  room_full: ['signalling', 'The room is full.', 'Use another room.'],
  room_locked: ['signalling', 'The room is locked.', 'Ask somebody inside to let you in.'],
  rate_limited: ['signalling', 'Too many requests.', 'Try again in a moment.'],
  invalid_name: ['signalling', 'The server refused this name.', 'Choose a shorter one.'],
  draining: ['signalling', 'The server is about to stop.', 'Try again in a moment.'],
  server_full: ['signalling', 'The server is full.', 'Try again later.'],
  replaced: ['signalling', 'You joined from somewhere else.', 'Go on there, or join again here.'],
  kicked: ['signalling', 'A moderator removed you from the room.', 'Ask them for a new link.'],
  room_closed: ['signalling', 'The room was closed.', 'Use another room.'],
  message_too_large: ['signalling', 'The message is too large.', 'Send it in parts.'],
  not_connected: ['signalling', 'There is no connection yet.', 'Try again in a moment.'],
  send_buffer_full: ['signalling', 'The network is too slow for all these messages.', 'Wait a moment.'],

  not_accepted: ['negotiation', 'The server did not accept the track.', 'Try another codec.'],
  negotiation_failed: ['negotiation', 'Browser and server could not agree.', 'Leave and join again.'],
  ice_failed: ['ice', 'No media path to the server was found.', 'Try another network, or without VPN.'],
  dtls_failed: ['dtls', 'Encryption could not be set up.', 'Try another network.'],
  unplayable: ['media', 'This browser cannot play what somebody sends.', 'Ask them to use VP8.'],
  no_media: ['media', 'Somebody’s sound or picture does not arrive.', 'Leave and join again.'],
};

/** Other names the same thing goes by: close codes, and what getUserMedia throws. */
const ALIASES = /** @type {Record<string, string>} */ ({
  1001: 'draining', 1008: 'rate_limited', 1013: 'server_full', 4401: 'unauthorized', 4403: 'kicked', overloaded: 'server_full', 4409: 'replaced', 4408: 'timeout', 4410: 'room_closed', 4423: 'room_locked',
  NotAllowedError: 'permission_denied', SecurityError: 'permission_denied',
  NotFoundError: 'device_missing', NotReadableError: 'device_busy', AbortError: 'device_busy',
  OverconstrainedError: 'device_unsuitable', TypeError: 'insecure_page',
  sdp_malformed: 'negotiation_failed', sdp_too_large: 'negotiation_failed', sdp_unsupported: 'negotiation_failed',
});

/** What every failure of this library is. */
export class SfuError extends Error {
  /**
   * @param {string} code a stable name
   * @param {{message?: string, detail?: string, cause?: unknown}} [more] `message`: of a code that is not known here
   */
  constructor(code, { message = 'Something failed.', detail, cause } = {}) {
    const [step, text, hint] = KNOWN[code] ?? KNOWN[ALIASES[code]] ?? ['signalling', message, 'Try again.'];
    super(text, { cause });
    this.name = 'SfuError';
    this.code = code;
    /** @type {Step} */
    this.step = step;
    /** What to try, in words for people; may be empty. */
    this.hint = hint;
    /** What the server or the browser said, for bug reports. */
    this.detail = detail ?? (cause instanceof Error ? cause.message : '');
  }

  toJSON() {
    const { code, step, message, hint, detail } = this;
    return { code, step, message, hint, detail };
  }
}

/**
 * The server's `error` reply.
 * @param {{code?: string, title?: string, detail?: string}} reply
 */
export function fromReply({ code = 'internal', title, detail }) {
  return new SfuError(code, { message: title, detail: detail ?? title });
}

/**
 * A WebSocket's close code.
 * @param {number} code
 * @param {string} [reason]
 */
export function fromClose(code, reason) {
  return new SfuError(ALIASES[code] ?? 'connection_lost', { detail: `${code} ${reason ?? ''}`.trim() });
}

/**
 * What getUserMedia, getDisplayMedia or enumerateDevices threw.
 * @param {unknown} cause
 */
export function fromDevices(cause) {
  if (cause instanceof SfuError) return cause;
  const name = cause instanceof Error ? cause.name : '';
  return new SfuError(ALIASES[name] ?? 'device_busy', { cause });
}

/**
 * Anything thrown while offer and answer were exchanged.
 * @param {unknown} cause
 */
export function fromNegotiation(cause) {
  return cause instanceof SfuError ? cause : new SfuError('negotiation_failed', { cause });
}

/** Close codes after which joining again is pointless. */
const FINAL = new Set([1000, 1003, 1007, 1009, 4401, 4403, 4409, 4410, 4423]);

/** @param {number} code */
export const isFinalClose = (code) => FINAL.has(code);
