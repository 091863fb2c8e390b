/** The WebSocket: requests with their replies, events, and noticing that it is dead. */

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

/**
 * @typedef {object} SignallingEvents
 * @property {EventMessage} message
 * @property {{code: number, reason: string}} close once, unless `close()` was called
 */

/** @extends {Emitter<SignallingEvents>} */
export class Signalling extends Emitter {
  #platform;
  /** @type {WebSocket | null} */
  #socket = null;
  #next = 1;
  /** @type {Map<number, {resolve: (reply: any) => void, reject: (error: SfuError) => void, timer: any}>} */
  #waiting = new Map();
  /** @type {any} */
  #pinger;
  /** @type {Extract<EventMessage, {type: 'hello'}> | null} */
  hello = null;

  /** @param {Platform} platform */
  constructor(platform) {
    super();
    this.#platform = platform;
  }

  /** Whether requests can be sent. */
  get open() {
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
      const timer = this.#platform.setTimeout(() => this.#lost(4000, 'no greeting'), OPEN_MS_MAX);
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
        reject(code === 1006 || code === 4000 ? new SfuError('unreachable', { detail: `${code} ${reason}` }) : fromClose(code, reason));
      };
      socket.onmessage = (event) => this.#receive(String(event.data));
      socket.onclose = (event) => this.#lost(event.code, event.reason);
    });
  }

  /**
   * @template {keyof Requests} Type
   * @param {Type} type
   * @param {Requests[Type]['fields']} fields
   * @param {number} [ms] the longest wait
   * @returns {Promise<Requests[Type]['reply']>}
   */
  request(type, fields, ms = REPLY_MS_MAX) {
    const socket = this.#socket;
    if (!socket || !this.open) return Promise.reject(new SfuError('not_connected'));
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const timer = this.#platform.setTimeout(() => {
        this.#waiting.delete(id);
        reject(new SfuError('timeout', { detail: type }));
      }, ms);
      this.#waiting.set(id, { resolve, reject, timer });
      socket.send(JSON.stringify({ id, type, ...fields }));
    });
  }

  /** Closes for good; no `close` event follows. */
  close() {
    this.#lost(1000, '', false);
  }

  /** The browser knows of a new network, or woke up: see at once whether this one still works. */
  probe() {
    if (this.open) this.#ping();
  }

  /** @type {(hello: Extract<EventMessage, {type: 'hello'}>) => void} */
  #onHello = () => {};
  /** @type {(code: number, reason: string) => void} */
  #onLost = () => {};

  /** @param {string} text */
  #receive(text) {
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
      if (message.type === 'error') waiting.reject(fromReply(message));
      else waiting.resolve(message);
    } else if (message.type === 'hello') {
      if (!this.hello) this.#onHello(message);
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
    this.request('ping', {}, PONG_MS_MAX).then(
      () => this.#schedulePing(),
      // An error reply is an answer too; only silence means that the line is dead.
      (error) => (error.code === 'timeout' ? this.#lost(4000, 'no pong') : this.#schedulePing()),
    );
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} [tell]
   */
  #lost(code, reason, tell = true) {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onmessage = socket.onclose = null;
    if (socket.readyState < 2) socket.close(1000);
    this.#platform.clearTimeout(this.#pinger);
    const greeted = this.hello !== null;
    this.#onLost(code, reason);
    for (const { reject, timer } of this.#waiting.values()) {
      this.#platform.clearTimeout(timer);
      reject(fromClose(code, reason));
    }
    this.#waiting.clear();
    if (tell && greeted) this.emit('close', { code, reason });
  }
}
