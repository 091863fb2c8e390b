/** The others: participants, their tracks, and where a track's media shows. */

/** @typedef {import('./protocol.d.ts').TrackMessage} TrackMessage */
/** @typedef {import('./protocol.d.ts').ParticipantMessage} ParticipantMessage */

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

/** A track of somebody else. It is there before its media is, and may lose and regain that. */
export class RemoteTrack {
  /** @type {Set<HTMLMediaElement>} */
  #elements = new Set();
  /** @type {string | null} the m-line that carries it */
  mid = null;
  /** @type {MediaStreamTrack | null} */
  mediaStreamTrack = null;

  /**
   * @param {Participant} participant
   * @param {TrackMessage} message
   */
  constructor(participant, message) {
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
   * reconnection. A video element is silent: sound has elements of its own, so that a page that may
   * not play sound yet still shows pictures.
   * @param {HTMLMediaElement} [element] by default a new `<video>` or `<audio>`
   */
  attach(element = document.createElement(this.kind)) {
    element.autoplay = true;
    if (this.kind === 'video') {
      element.muted = true;
      /** @type {HTMLVideoElement} */ (element).playsInline = true;
    }
    this.#elements.add(element);
    this.#show(element);
    return element;
  }

  /**
   * Lets go of an element, or of all.
   * @param {HTMLMediaElement} [element]
   */
  detach(element) {
    for (const each of element ? [element] : this.#elements) {
      if (this.#elements.delete(each)) each.srcObject = null;
    }
  }

  /**
   * For the library: media comes on this m-line.
   * @param {string} mid
   * @param {MediaStreamTrack} media
   */
  start(mid, media) {
    this.mid = mid;
    this.mediaStreamTrack = media;
    this.stream.addTrack(media);
    for (const element of this.#elements) this.#show(element);
  }

  /** For the library: it comes no more. */
  end() {
    if (this.mediaStreamTrack) this.stream.removeTrack(this.mediaStreamTrack);
    this.mid = this.mediaStreamTrack = null;
    for (const element of this.#elements) element.srcObject = null;
  }

  /** @param {HTMLMediaElement} element */
  #show(element) {
    if (!this.mediaStreamTrack) return;
    element.srcObject = new MediaStream([this.mediaStreamTrack]);
    // Not awaited: `attach` must not fail where sound needs a click first. The page asks for one.
    element.play?.()?.catch?.(() => {});
  }
}
