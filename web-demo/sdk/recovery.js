/**
 * How a room mends its connection, step by step: an ICE restart while the WebSocket lives; else
 * another WebSocket for the same session; else a new session, again and again.
 */

import { SfuError } from './errors.js';
import { transportError } from './session.js';

/** A new path for the media; a new WebSocket for the same visit; a new visit. @typedef {'ice_restart' | 'resume' | 'rejoin'} Step */

/** The room, as far as it is mended. @typedef {object} Patient
 * @property {() => import('./session.js').Session | null} session
 * @property {() => import('./room.js').State} state
 * @property {(state: 'connected' | 'reconnecting', more?: {step: Step, attempt: number, retry_ms?: number, error?: SfuError}) => void} setState
 * @property {() => Promise<void>} connect one attempt at a new session
 * @property {(error: SfuError) => void} fail ends it
 */

/** A path that is silent for so long is renewed by an ICE restart… */
const SILENCE_MS = 3_000;
/** …and given up for a new connection after this. */
const RESTART_MS_MAX = 8_000;
/** Longer than a server keeps one whose WebSocket broke. */
const RESUME_MS_MAX = 16_000;
const BACKOFF_MS = { first: 300, base: 500, max: 10_000 };
const RECONNECT_MS_MAX = 5 * 60_000;

/** What a new attempt would meet again. */
const FINAL_ERRORS = new Set(['unauthorized', 'forbidden', 'replaced', 'kicked', 'room_closed', 'room_locked', 'invalid_name', 'wrong_protocol', 'unsupported_browser']);

export class Recovery {
  #platform;
  #room;
  /** The attempts under way, by which abandoned ones know that they are. @type {object | null} */
  #rejoining = null;
  #restarting = false;
  /** Silence, restart or back-off, whichever is under way. @type {any} */
  #timer = null;
  /** @type {() => void} */
  #wake = () => {};

  /**
   * @param {import('./platform.js').Platform} platform
   * @param {Patient} room
   */
  constructor(platform, room) {
    this.#platform = platform;
    this.#room = room;
  }

  /** Takes the next attempt at once; false if there is none to take. */
  hurry() {
    this.#wake();
    return this.#rejoining !== null;
  }

  /** What the browser says of its connection. @param {RTCPeerConnectionState} state */
  transport(state) {
    if (this.#rejoining || this.#room.state() === 'connecting') return; // Session.start is waiting for it
    if (state === 'connected') {
      this.#clearTimer();
      this.#restarting = false;
      this.#room.setState('connected');
    } else if (state === 'disconnected' && !this.#restarting) {
      this.#startTimer(SILENCE_MS, () => this.#restartIce());
    } else if (state === 'failed' && !this.#restarting) {
      this.#restartIce();
    }
  }

  /**
   * What the server says of its end.
   * @param {string} state
   * @param {string} reason
   */
  serverTransport(state, reason) {
    const session = this.#room.session();
    // A restart that the server asked for may leave the browser's own state as it was.
    if (state === 'connected' && this.#restarting) return this.transport('connected');
    if (state !== 'failed' || !session) return;
    if (this.#rejoining || this.#room.state() === 'connecting') session.fail(transportError(session.peer.pc, reason));
    else if (/ice|consent/.test(reason)) this.#restartIce();
    else void this.rejoin(transportError(session.peer.pc, reason));
  }

  #restartIce() {
    const session = this.#room.session();
    if (!session || this.#restarting) return;
    this.#restarting = true;
    this.#room.setState('reconnecting', { step: 'ice_restart', attempt: 0 });
    const giveUp = () => session === this.#room.session() && void this.rejoin(transportError(session.peer.pc));
    this.#startTimer(RESTART_MS_MAX, giveUp);
    session.peer.restartIce().catch(giveUp);
  }

  /** Tries, until it is connected again or nothing more is to be hoped for. @param {SfuError} cause */
  async rejoin(cause) {
    const room = this.#room;
    if (this.#rejoining || room.state() === 'closed') return;
    const mine = (this.#rejoining = {});
    this.#restarting = false;
    const since = this.#platform.now();
    let error = cause;
    for (let attempt = 1; this.#platform.now() - since < RECONNECT_MS_MAX; attempt++) {
      const { first, base, max } = BACKOFF_MS;
      // Spread, so that a restarted server is not met by all at once.
      const retry_ms = (attempt === 1 ? first : Math.min(max, base * 2 ** (attempt - 1))) * (0.5 + this.#platform.random() / 2);
      const session = room.session();
      if (this.#platform.now() - since > RESUME_MS_MAX) session?.signalling.close();
      const resumes = session?.signalling.resumable;
      room.setState('reconnecting', { step: resumes ? 'resume' : 'rejoin', attempt, error, retry_ms });
      await this.#pause(retry_ms);
      if (this.#rejoining !== mine) return;
      try {
        await (resumes ? session?.resume() : room.connect());
        if (this.#rejoining !== mine) return;
        this.#rejoining = null;
        // The network that took the WebSocket may have taken the path of media too.
        return resumes && session?.peer.pc.connectionState !== 'connected' ? this.#restartIce() : room.setState('connected');
      } catch (failure) {
        if (this.#rejoining !== mine) return;
        error = failure instanceof SfuError ? failure : new SfuError('connection_lost', { cause: failure });
        if (FINAL_ERRORS.has(error.code)) break;
      }
    }
    room.fail(error);
  }

  /** Nothing more is tried. */
  end() {
    this.#clearTimer();
    this.#rejoining = null;
    this.#restarting = false;
    this.#wake();
  }

  /** Waits before an attempt, or until somebody wants it now. @param {number} ms @returns {Promise<void>} */
  #pause(ms) {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#startTimer(ms, resolve);
    });
  }

  /**
   * @param {number} ms
   * @param {() => void} then
   */
  #startTimer(ms, then) {
    this.#clearTimer();
    this.#timer = this.#platform.setTimeout(then, ms);
  }

  #clearTimer() {
    this.#platform.clearTimeout(this.#timer);
  }
}
