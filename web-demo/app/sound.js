/** The others' sound: one element a track, on the chosen speaker; asks for a click where it must. */

import { h, icon } from './dom.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/index.js').RemoteTrack} RemoteTrack */
/** @typedef {import('./media.js').Media} Media */

export class Sound {
  /** @type {Map<RemoteTrack, HTMLAudioElement>} */
  #elements = new Map();
  #media;
  #off;
  #ask = h('button', { type: 'button', class: 'hear primary', hidden: true, onclick: () => this.#playAll() }, icon('sound'), strings.hear);
  element = h('div', { class: 'sound' }, this.#ask);

  /** @param {Media} media */
  constructor(media) {
    this.#media = media;
    this.#off = media.on('sink', () => {
      for (const element of this.#elements.values()) this.#route(element);
    });
  }

  /** @param {RemoteTrack} track */
  add(track) {
    if (this.#elements.has(track)) return;
    const element = /** @type {HTMLAudioElement} */ (track.attach());
    this.#elements.set(track, element);
    this.element.append(element);
    this.#route(element);
    if (track.mediaStreamTrack) this.play(track);
  }

  /** @param {RemoteTrack} track */
  remove(track) {
    this.#elements.get(track)?.remove();
    this.#elements.delete(track);
  }

  /** Browsers refuse sound to a page nobody has clicked yet. @param {RemoteTrack} track */
  play(track) {
    this.#elements.get(track)?.play().catch((error) => {
      if (error.name === 'NotAllowedError') this.#ask.hidden = false;
    });
  }

  close() {
    this.#off();
    for (const [track, element] of this.#elements) track.detach(element);
    this.#elements.clear();
  }

  #playAll() {
    this.#ask.hidden = true;
    for (const track of this.#elements.keys()) this.play(track);
  }

  /** @param {HTMLAudioElement} element */
  #route(element) {
    const id = this.#media.chosen('speaker');
    // A speaker that is gone: the default one goes on playing.
    if (id && 'setSinkId' in element) element.setSinkId(id).catch(() => {});
  }
}
