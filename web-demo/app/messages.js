/** What pages say to each other by data messages: chat, reactions, raised hands, who records. */

import { Emitter } from '../sdk/events.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/index.js').Room} Room */
/** @typedef {import('../sdk/index.js').Participant} Participant */

/** What holds until it is taken back, and is told to whoever comes later. @typedef {'hand' | 'recording'} Sign */

/** @extends {Emitter<{chat: {from: Participant | null, known: boolean, text: string}, reaction: {from: Participant, emoji: string}, sign: {from: Participant, sign: Sign, on: boolean}}>} */
export class Messages extends Emitter {
  /** One's own. @type {Set<Sign>} */
  #own = new Set();
  /** Of others, by participant's id. @type {Map<string, Set<Sign>>} */
  #others = new Map();
  #room;
  /** @type {(() => void)[]} */
  #offs;

  /** @param {Room} room */
  constructor(room) {
    super();
    this.#room = room;
    this.#offs = [
      room.on('data', ({ participant, from, payload }) => this.#receive(participant, from !== null, payload)),
      room.on('participantjoined', ({ participant }) => this.#greet(participant.id)),
      room.on('participantleft', ({ participant }) => this.#others.delete(participant.id)),
    ];
  }

  close() {
    for (const off of this.#offs) off();
  }

  /** @param {string} text */
  say(text) {
    return this.#room.send(JSON.stringify({ type: 'chat', text }));
  }

  /** @param {string} emoji */
  react(emoji) {
    return this.#room.send(JSON.stringify({ type: 'reaction', emoji }));
  }

  /** @param {Sign} sign @param {boolean} on */
  show(sign, on) {
    if (on) this.#own.add(sign);
    else this.#own.delete(sign);
    return this.#room.send(JSON.stringify({ type: sign, on }));
  }

  /** @param {Sign} sign @param {string} [id] a participant; oneself without it */
  shows(sign, id) {
    return (id === undefined ? this.#own : this.#others.get(id))?.has(sign) ?? false;
  }

  /** @param {string} id */
  #greet(id) {
    // Nothing is lost if it fails: the next change tells them.
    for (const sign of this.#own) this.#room.send(JSON.stringify({ type: sign, on: true }), { to: [id] }).catch(() => {});
  }

  /**
   * @param {Participant | null} from
   * @param {boolean} known whether somebody sent it, not the server
   * @param {string | Uint8Array} payload
   */
  #receive(from, known, payload) {
    const message = parse(payload);
    if (message?.type === 'chat') return this.emit('chat', { from, known, text: message.text });
    if (!message || !from) return;
    if (message.type === 'reaction') return this.emit('reaction', { from, emoji: message.emoji });
    const { type: sign, on } = message;
    const signs = this.#others.get(from.id) ?? new Set();
    if (signs.has(sign) === on) return;
    if (on) signs.add(sign);
    else signs.delete(sign);
    this.#others.set(from.id, signs);
    this.emit('sign', { from, sign, on });
  }
}

/**
 * Our JSON, or any other text as a line of chat; `null`: not for people.
 * @param {string | Uint8Array} payload
 * @returns {{type: 'chat', text: string} | {type: 'reaction', emoji: string} | {type: Sign, on: boolean} | null}
 */
export function parse(payload) {
  if (typeof payload !== 'string') return null;
  try {
    const message = JSON.parse(payload);
    if (typeof message === 'object' && message !== null) {
      const { type, text, on, emoji } = message;
      if (type === 'reaction') return Object.hasOwn(strings.reactions, emoji) ? { type, emoji } : null;
      if (type === 'chat' && typeof text === 'string') return { type, text };
      return (type === 'hand' || type === 'recording') && typeof on === 'boolean' ? { type, on } : null;
    }
  } catch {
    // plain text
  }
  return { type: 'chat', text: payload };
}
