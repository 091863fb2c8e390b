/** The others: participants, their tracks, and where a track's media shows. */

import { Emitter } from './events.js';
import { Place } from './viewing.js';

/** @typedef {import('./protocol.d.ts').TrackMessage} TrackMessage */
/** @typedef {import('./protocol.d.ts').ParticipantMessage} ParticipantMessage */
/** @typedef {import('./protocol.d.ts').Wish} Wish */
/** @typedef {import('./protocol.d.ts').Layer} Layer */

/** @typedef {object} RemoteTrackEvents
 * @property {Layer} layer what is received from now on
 * @property {{reason: string}} paused the server sends nothing of it, for now
 * @property {{}} resumed
 */

/** Somebody else in the room. */
export class Participant {
  /** @type {Map<string, RemoteTrack>} by id */
  tracks = new Map();

  /**
   * @param {ParticipantMessage} message
   * @param {typeof MediaStream} [Stream]
   */
  constructor(message, Stream = globalThis.MediaStream) {
    this.id = message.id;
    this.name = message.name;
    this.metadata = message.metadata ?? '';
    /** Camera and microphone, whichever is there. */
    this.stream = new Stream();
    /** What is shared, with its sound. */
    this.screen = new Stream();
  }

  /** @param {import('./protocol.d.ts').Source} source */
  track(source) {
    return [...this.tracks.values()].find((track) => track.source === source) ?? null;
  }
}

/**
 * A track of somebody else. It is there before its media is, and may lose and regain that.
 * @extends {Emitter<RemoteTrackEvents>}
 */
export class RemoteTrack extends Emitter {
  #changed;
  /** @type {Map<HTMLMediaElement, Place | null>} */
  #elements = new Map();
  /** What was asked in words. @type {Wish} */
  #wish = {};
  /** Whether size and sight count: not before it was attached anywhere. */
  #placed = false;
  /** What is received, as far as the server has said. @type {Layer | null} */
  layer = null;
  /** Why nothing is received, while the server sends nothing. @type {string | null} */
  paused = null;
  /** @type {string | null} the m-line that carries it */
  mid = null;
  /** @type {MediaStreamTrack | null} */
  mediaStreamTrack = null;
  /** What comes past the server. @type {MediaStreamTrack | null} */
  direct = null;
  /** What the server's connection brings. @type {MediaStreamTrack | null} */
  #served = null;

  /**
   * @param {Participant} participant
   * @param {TrackMessage} message
   * @param {(track: RemoteTrack) => void} [changed] what is wanted of it may be something else
   */
  constructor(participant, message, changed = () => {}) {
    super();
    this.#changed = changed;
    this.participant = participant;
    this.id = message.track;
    this.kind = message.kind;
    this.source = message.source;
    this.name = message.name;
    this.muted = message.muted;
    this.encodings = message.encodings;
  }

  /** The participant's stream that it belongs to. */
  get stream() {
    return this.source.startsWith('screen') ? this.participant.screen : this.participant.stream;
  }

  /**
   * Plays the track in an element, now or as soon as its media is there, and again after a
   * reconnection. No more of it is received than the element shows; nothing while nobody sees it.
   * A video element is silent: sound has elements of its own, so that a page that may
   * not play sound yet still shows pictures.
   * @param {HTMLMediaElement} [element] by default a new `<video>` or `<audio>`
   */
  attach(element = document.createElement(this.kind)) {
    element.autoplay = true;
    if (this.kind === 'video') {
      element.muted = true;
      /** @type {HTMLVideoElement} */ (element).playsInline = true;
    }
    if (!this.#elements.has(element)) {
      this.#placed = this.kind === 'video' && 'IntersectionObserver' in globalThis;
      this.#elements.set(element, this.#placed ? new Place(element, () => this.#changed(this)) : null);
    }
    this.#show(element);
    this.#changed(this);
    return element;
  }

  /**
   * Lets go of an element, or of all.
   * @param {HTMLMediaElement} [element]
   */
  detach(element) {
    for (const each of element ? [element] : this.#elements.keys()) {
      this.#elements.get(each)?.stop();
      if (this.#elements.delete(each)) each.srcObject = null;
    }
    this.#changed(this);
  }

  /**
   * How good it may be; `auto`: as its size and the bandwidth suggest.
   * @param {import('./protocol.d.ts').Quality} quality
   */
  setQuality(quality) {
    this.want({ quality });
  }

  /** Comes before all that is not pinned. @param {boolean} [pinned] */
  pin(pinned = true) {
    this.want({ pinned });
  }

  /** What is wanted beyond its place on the page; what is not named stays. @param {Wish} wish */
  want(wish) {
    Object.assign(this.#wish, wish);
    this.#changed(this);
  }

  /** For the library: all that is wanted. @returns {import('./protocol.d.ts').Preference} */
  preference() {
    const wish = { track: this.id, ...this.#wish };
    if (!this.#placed) return wish;
    const sizes = [...this.#elements.values()].map((place) => place?.size ?? [0, 0]);
    const [max_width, max_height] = sizes.sort((a, b) => b[0] * b[1] - a[0] * a[1])[0] ?? [0, 0];
    return max_width * max_height ? { ...wish, max_width, max_height } : { ...wish, visible: false };
  }

  /**
   * For the library: what the server says of it.
   * @param {Extract<import('./protocol.d.ts').EventMessage, {type: keyof RemoteTrackEvents}>} message
   */
  told(message) {
    this.paused = message.type === 'paused' ? message.reason : null;
    if (message.type !== 'resumed') this.layer = message.type === 'layer' ? message : null;
    this.emit(message.type, message);
  }

  /**
   * For the library: media comes on this m-line.
   * @param {string} mid
   * @param {MediaStreamTrack} media
   */
  start(mid, media) {
    this.mid = mid;
    this.#served = media;
    this.#play();
  }

  /** For the library: it comes no more. */
  end() {
    this.mid = this.#served = null;
    this.#play();
  }

  /** For the library: media comes past the server, or no more. @param {MediaStreamTrack | null} media */
  go(media) {
    this.direct = media;
    this.#play();
  }

  #play() {
    const [before, media] = [this.mediaStreamTrack, this.direct ?? this.#served];
    if (before === media) return;
    this.mediaStreamTrack = media;
    if (media) this.stream.addTrack(media);
    if (before) this.stream.removeTrack(before);
    for (const element of this.#elements.keys()) this.#show(element);
  }

  /** @param {HTMLMediaElement} element */
  #show(element) {
    const media = this.mediaStreamTrack;
    const shown = /** @type {MediaStream | null} */ (element.srcObject);
    const [old] = (media && shown?.getTracks?.()) || [];
    if (media && shown && old) {
      // Within a stream the picture stays until the next one's first frame. In this order: Firefox goes
      // over to another track only when it has none.
      if (old === media) return;
      shown.removeTrack(old);
      return shown.addTrack(media);
    }
    element.srcObject = media && new MediaStream([media]);
    // Not awaited: `attach` must not fail where sound needs a click first. The page asks for one.
    if (media) element.play?.()?.catch?.(() => {});
  }
}
