/** The WebSocket: requests with their replies, events, noticing that it is dead, and going on over another. */

import { Emitter } from './events.js';
import { SfuError, fromClose, fromReply } from './errors.js';

/** @typedef {import('./protocol.d.ts').Requests} Requests */
/** @typedef {import('./protocol.d.ts').EventMessage} EventMessage */
/** @typedef {import('./platform.js').Platform} Platform */

const OPEN_MS_MAX = 10_000;
const REPLY_MS_MAX = 15_000;
const PING_S_DEFAULT = 15;
/** A ping unanswered for this long means that the network is gone, whatever TCP believes. */
const PONG_MS_MAX = 8_000;
/** A close code of ours: this WebSocket is of no use any more, which is no farewell. */
const GIVEN_UP = 4000;
/** Closed by nobody's decision about us: another WebSocket may go on. */
const BROKEN = new Set([1006, 1012, 1014, GIVEN_UP, 4408]);

/**
 * @typedef {object} SignallingEvents
 * @property {EventMessage} message
 * @property {{code: number, reason: string}} close unless `close()` was called; `resumable` says whether that was the end
 */

/** @extends {Emitter<SignallingEvents>} */
export class Signalling extends Emitter {
  #platform;
  /** @type {WebSocket | null} */
  #socket = null;
  #next = 1;
  /** Requests without a reply; those with a `text` outlive their WebSocket. @type {Map<number, {text: string, resolve: (reply: any) => void, reject: (error: SfuError) => void, timer: any}>} */
  #waiting = new Map();
  /** What the server needs to know to go on. @type {string | undefined} */
  #key;
  /** Messages that came, over all WebSockets, but for greetings of later ones. */
  #received = 0;
  #counts = true;
  /** Whether a WebSocket broke and none goes on yet. */
  resumable = false;
  /** @type {any} */
  #pinger;
  /** @type {Extract<EventMessage, {type: 'hello'}> | null} */
  hello = null;

  /** @param {Platform} platform */
  constructor(platform) {
    super();
    this.#platform = platform;
  }

  /** Whether requests can be sent, now or as soon as another WebSocket goes on. */
  get open() {
    return this.resumable || this.#live;
  }

  get #live() {
    return this.hello !== null && this.#socket?.readyState === 1;
  }

  /**
   * Connects and waits for the server's greeting.
   * @param {string} url ws: or wss:
   * @returns {Promise<void>}
   */
  connect(url) {
    return new Promise((resolve, reject) => {
      const socket = new this.#platform.WebSocket(url, 'sfu.v1');
      this.#socket = socket;
      const timer = this.#platform.setTimeout(() => this.#lost(GIVEN_UP, 'no greeting'), OPEN_MS_MAX);
      const settle = () => this.#platform.clearTimeout(timer);
      this.#onHello = (hello) => {
        settle();
        if (hello.protocol !== 'sfu.v1') {
          reject(new SfuError('wrong_protocol', { detail: hello.protocol }));
          return this.close();
        }
        this.hello = hello;
        this.#schedulePing();
        resolve();
      };
      this.#onLost = (code, reason) => {
        settle();
        reject(code === 1006 || code === GIVEN_UP ? new SfuError('unreachable', { detail: `${code} ${reason}` }) : fromClose(code, reason));
      };
      socket.onmessage = (event) => this.#receive(String(event.data));
      socket.onclose = (event) => this.#lost(event.code, event.reason);
    });
  }

  /** From now on another WebSocket may go on where this one breaks. @param {string} [key] of `joined` */
  keep(key) {
    this.#key = key;
  }

  /**
   * Goes on over a new WebSocket: what was sent to us and did not come follows, what was asked and
   * not carried out is asked again. May be tried again, but for errors of the server.
   * @param {string} url
   */
  async resume(url) {
    this.#counts = false;
    await this.connect(url);
    try {
      const fields = { key: /** @type {string} */ (this.#key), received: this.#received };
      const { last_request } = await this.#ask('resume', fields, false, PONG_MS_MAX);
      this.resumable = false;
      for (const [id, { text }] of this.#waiting) if (text && id > (last_request ?? 0)) this.#socket?.send(text);
    } catch (error) {
      // Unless this one broke as well, there is nothing to go on from any more.
      if (this.#socket) this.close();
      throw error;
    }
  }

  /**
   * @template {keyof Requests} Type
   * @param {Type} type
   * @param {Requests[Type]['fields']} fields
   * @param {number} [ms] the longest wait
   * @returns {Promise<Requests[Type]['reply']>}
   */
  request(type, fields, ms) {
    return this.open ? this.#ask(type, fields, true, ms) : Promise.reject(new SfuError('not_connected'));
  }

  /**
   * @template {keyof Requests} Type
   * @param {Type} type
   * @param {Requests[Type]['fields']} fields
   * @param {boolean} lasts whether it outlives its WebSocket
   * @param {number} [ms]
   * @returns {Promise<Requests[Type]['reply']>}
   */
  #ask(type, fields, lasts, ms = REPLY_MS_MAX) {
    const id = this.#next++;
    const text = JSON.stringify({ id, type, ...fields });
    return new Promise((resolve, reject) => {
      const timer = this.#platform.setTimeout(() => {
        this.#waiting.delete(id);
        reject(new SfuError('timeout', { detail: type }));
      }, ms);
      this.#waiting.set(id, { text: lasts ? text : '', resolve, reject, timer });
      if (!lasts || !this.resumable) this.#socket?.send(text);
    });
  }

  /** Closes for good; no `close` event follows. */
  close() {
    this.#lost(1000, '', false);
  }

  /** The browser knows of a new network, or woke up: see at once whether this one still works. */
  probe() {
    if (this.#live) this.#ping();
  }

  /** @type {(hello: Extract<EventMessage, {type: 'hello'}>) => void} */
  #onHello = () => {};
  /** @type {(code: number, reason: string) => void} */
  #onLost = () => {};

  /** @param {string} text */
  #receive(text) {
    if (this.#counts) this.#received++;
    /** @type {any} */
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // not ours to repair; the request it may have answered times out
    }
    if (message.re !== undefined) {
      const waiting = this.#waiting.get(message.re);
      if (!waiting) return;
      this.#waiting.delete(message.re);
      this.#platform.clearTimeout(waiting.timer);
      if (message.type === 'resumed') this.#counts = true;
      if (message.type === 'error') waiting.reject(fromReply(message));
      else waiting.resolve(message);
    } else if (message.type === 'hello') {
      this.#onHello(message);
    } else {
      this.emit('message', message);
    }
  }

  #schedulePing() {
    this.#platform.clearTimeout(this.#pinger);
    const seconds = this.hello?.ping_interval || PING_S_DEFAULT;
    this.#pinger = this.#platform.setTimeout(() => this.#ping(), seconds * 1000);
  }

  #ping() {
    const socket = this.#socket;
    this.#ask('ping', {}, false, PONG_MS_MAX).catch((error) => error.code).then((code) => {
      if (socket !== this.#socket) return;
      // An error reply is an answer too; only silence means that the line is dead.
      if (code === 'timeout') this.#lost(GIVEN_UP, 'no pong');
      else this.#schedulePing();
    });
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} [tell]
   */
  #lost(code, reason, tell = true) {
    const socket = this.#socket;
    const greeted = this.hello !== null;
    const resuming = this.resumable;
    this.resumable = tell && this.#key !== undefined && (resuming || BROKEN.has(code));
    this.#socket = null;
    this.#platform.clearTimeout(this.#pinger);
    for (const [id, { text, reject, timer }] of this.#waiting) {
      if (text && this.resumable) continue;
      this.#platform.clearTimeout(timer);
      this.#waiting.delete(id);
      reject(fromClose(code, reason));
    }
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    if (socket.readyState < 2) socket.close(code === GIVEN_UP ? GIVEN_UP : 1000);
    this.#onLost(code, reason);
    // While another one is tried, whoever tries it is told.
    if (tell && greeted && !resuming) this.emit('close', { code, reason });
  }
}
