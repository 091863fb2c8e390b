/**
 * A UDP proxy between browsers and the server that loses what a test wants lost, and notes when a
 * handshake began and ended as it looks from outside.
 */

import dgram from 'node:dgram';
import { once } from 'node:events';

/** @typedef {'client' | 'server'} Side who sends */
/** @typedef {'stun' | 'dtls' | 'srtp' | 'other'} Kind by the first byte (RFC 7983 §7) */

/**
 * What is known of a datagram when its fate is decided.
 *
 * @typedef {object} Passing
 * @property {Side} from
 * @property {Kind} kind
 * @property {number} number of a handshake datagram among those of its sender, from 1; a repeat has
 *   the number of the first one. 0: part of no handshake
 * @property {boolean} repeat
 * @property {boolean} keyed both ends have keys
 */

/** @typedef {(datagram: Passing) => boolean} Loss whether to lose this one */

/** Sockets of browsers per proxy: one connection has one per network interface and address family. */
const FLOWS_MAX = 32;

const CHANGE_CIPHER_SPEC = 20;
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
const RECORD_HEADER_BYTES = 13;
const MESSAGE_HEADER_BYTES = 12;

/** Handshake messages (RFC 5246 §7.4, RFC 6347 §4.3.2). */
const MESSAGES = new Map([
  [1, 'ClientHello'],
  [2, 'ServerHello'],
  [3, 'HelloVerifyRequest'],
  [11, 'Certificate'],
  [12, 'ServerKeyExchange'],
  [13, 'CertificateRequest'],
  [14, 'ServerHelloDone'],
  [15, 'CertificateVerify'],
  [16, 'ClientKeyExchange'],
]);

/** Loses nothing. @returns {Loss} */
export function nothing() {
  return () => false;
}

/** Loses one handshake datagram, once. @param {Side} from @param {number} number @returns {Loss} */
export function single(from, number) {
  return (datagram) => datagram.from === from && datagram.number === number && !datagram.repeat;
}

/**
 * Loses a share of everything, both ways, until both ends have keys.
 *
 * @param {number} share from 0 to 1
 * @param {number} seed
 * @returns {Loss}
 */
export function untilKeys(share, seed) {
  /** @type {Map<string, () => number>} */
  const dice = new Map();
  return ({ from, kind, keyed }) => {
    // Each line of datagrams throws its own dice: how often a browser asks for the path must not
    // change the fate of the handshake.
    const line = `${from} ${kind}`;
    const throwDice = dice.get(line) ?? random(seed + dice.size);
    dice.set(line, throwDice);
    return !keyed && throwDice() < share;
  };
}

/** One client's connection through the proxy, or several at once: they are numbered together. */
export class LossyProxy {
  #front = dgram.createSocket('udp4');
  /** Towards the server, by the client's address. @type {Map<string, import('node:dgram').Socket>} */
  #flows = new Map();
  #server;
  #loss;
  /** Numbers of the handshake datagrams by what they hold. */
  #numbers = { client: new Map(), server: new Map() };
  /** When the first answer to a STUN request was passed on. @type {number | undefined} */
  #answered;
  /** When the client first sent something that takes keys. @type {number | undefined} */
  #keyed;
  /** What was lost, in words. @type {string[]} */
  lost = [];

  /** @param {{address: string, port: number}} server @param {Loss} loss */
  constructor(server, loss) {
    this.#server = server;
    this.#loss = loss;
    this.#front.on('message', (bytes, { address, port }) => {
      const flow = this.#flow(address, port);
      if (flow && this.#passes('client', bytes)) flow.send(bytes, server.port, server.address);
    });
  }

  /**
   * Opens a proxy at the server's own address.
   *
   * @param {{address: string, port: number}} server
   * @param {Loss} loss
   */
  static async open(server, loss) {
    const proxy = new LossyProxy(server, loss);
    proxy.#front.bind(0, server.address);
    await once(proxy.#front, 'listening');
    return proxy;
  }

  /** Where clients find it. */
  get place() {
    const { address, port } = this.#front.address();
    return { address, port };
  }

  /** How many different handshake datagrams each side sent. */
  get counts() {
    return { client: this.#numbers.client.size, server: this.#numbers.server.size };
  }

  /**
   * From the first STUN answer passed on to the client's first datagram that takes keys, in ms:
   * the server has them before, so this is when both have.
   */
  get keysAfter() {
    return this.#keyed === undefined || this.#answered === undefined
      ? undefined
      : this.#keyed - this.#answered;
  }

  close() {
    for (const socket of [this.#front, ...this.#flows.values()]) socket.close();
    this.#flows.clear();
  }

  /** @param {string} address @param {number} port of the client */
  #flow(address, port) {
    const client = `${address}:${port}`;
    const known = this.#flows.get(client);
    if (known || this.#flows.size >= FLOWS_MAX) return known;
    const flow = dgram.createSocket('udp4');
    this.#flows.set(client, flow);
    flow.on('message', (bytes) => {
      if (this.#passes('server', bytes)) this.#front.send(bytes, port, address);
    });
    flow.bind(0, this.#server.address);
    return flow;
  }

  /** Notes a datagram and decides its fate. @param {Side} from @param {Buffer} bytes */
  #passes(from, bytes) {
    const kind = kindOf(bytes);
    const records = kind === 'dtls' ? recordsOf(bytes) : [];
    const takesKeys = kind === 'srtp' || records.some(({ type }) => type === APPLICATION_DATA);
    if (takesKeys && from === 'client') this.#keyed ??= performance.now();
    const keyed = this.#keyed !== undefined;

    const isHandshake = !keyed && !takesKeys && records.some(({ type }) => type === HANDSHAKE);
    const [number, repeat] = isHandshake ? this.#numbered(from, records) : [0, false];
    if (this.#loss({ from, kind, number, repeat, keyed })) {
      const what = kind === 'dtls' ? records.map(({ name }) => name).join(', ') : kind;
      this.lost.push(`${from} ${number || ''}: ${what}`);
      return false;
    }
    const isAnswer = from === 'server' && kind === 'stun' && bytes.readUInt16BE(0) === 0x0101;
    if (isAnswer) this.#answered ??= performance.now();
    return true;
  }

  /**
   * The number of a handshake datagram, and whether it had one before. A datagram sent again has
   * other record numbers, but holds the same messages.
   *
   * @param {Side} from
   * @param {Record[]} records
   * @returns {[number, boolean]}
   */
  #numbered(from, records) {
    const numbers = this.#numbers[from];
    const content = records.map(({ content }) => content).join();
    const known = numbers.get(content);
    if (known) return [known, true];
    numbers.set(content, numbers.size + 1);
    return [numbers.size, false];
  }
}

/** @param {Buffer} bytes @returns {Kind} */
function kindOf(bytes) {
  if (bytes.length < 2) return 'other';
  if (bytes[0] <= 3) return 'stun';
  if (bytes[0] >= 20 && bytes[0] <= 63) return 'dtls';
  return bytes[0] >= 128 && bytes[0] <= 191 ? 'srtp' : 'other';
}

/**
 * @typedef {object} Record one DTLS record (RFC 6347 §4.1)
 * @property {number} type
 * @property {string} name for people
 * @property {string} content the same for the same content sent again
 */

/** @param {Buffer} datagram @returns {Record[]} */
function recordsOf(datagram) {
  /** @type {Record[]} */
  const records = [];
  for (let at = 0; at + RECORD_HEADER_BYTES <= datagram.length; ) {
    const start = at + RECORD_HEADER_BYTES;
    const end = start + datagram.readUInt16BE(at + 11);
    const isPlain = datagram.readUInt16BE(at + 3) === 0;
    records.push(describe(datagram[at], isPlain, datagram.subarray(start, end)));
    at = end;
  }
  return records;
}

/** @param {number} type @param {boolean} isPlain @param {Buffer} body @returns {Record} */
function describe(type, isPlain, body) {
  if (type === CHANGE_CIPHER_SPEC) return { type, name: 'ChangeCipherSpec', content: 'change' };
  if (type !== HANDSHAKE) return { type, name: `record ${type}`, content: `record ${type}` };
  // Each side encrypts one message of the handshake; sent again it differs in every byte.
  if (!isPlain || body.length < MESSAGE_HEADER_BYTES) {
    return { type, name: 'Finished', content: 'finished' };
  }
  const [total, sequence] = [body.readUIntBE(1, 3), body.readUInt16BE(4)];
  const [offset, length] = [body.readUIntBE(6, 3), body.readUIntBE(9, 3)];
  const part = length < total ? ` ${offset}–${offset + length} of ${total}` : '';
  const name = `${MESSAGES.get(body[0]) ?? `message ${body[0]}`}${part}`;
  return { type, name, content: `${body[0]} ${sequence} ${offset} ${length}` };
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). @param {number} seed */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
