/** What is wanted of the others' tracks: from where they are shown, and from what was asked in words. */

/** @typedef {import('./remote.js').RemoteTrack} RemoteTrack */
/** @typedef {import('./protocol.d.ts').Preference} Preference */

/** Wanting more is said at once, but for what one layout of the page changes together. */
const MORE_MS = 100;
/** Wanting less can wait: a tile that is back by then costs no keyframe. */
const LESS_MS = 600;
/** Pixels are told in steps: dragging a window's edge is no hundred requests. */
const STEP = 16;
/** As many as the server takes. */
const AT_ONCE_MAX = 250;
/** Errors after which the same may be said again. */
const BUSY = /rate_limited|overloaded/;

/** Says to the server what is wanted, when it changes. */
export class Viewing {
  #platform;
  #prefer;
  /** What was said on this connection. @type {WeakMap<RemoteTrack, Preference>} */
  #said = new WeakMap();
  /** @type {Set<RemoteTrack>} */
  #changed = new Set();
  /** @type {any} */
  #timer;
  #soon = false;

  /**
   * @param {import('./platform.js').Platform} platform
   * @param {(preferences: Preference[]) => Promise<unknown>} prefer
   */
  constructor(platform, prefer) {
    this.#platform = platform;
    this.#prefer = prefer;
  }

  /**
   * A new connection knows nothing.
   * @param {Iterable<RemoteTrack>} tracks
   */
  reset(tracks) {
    this.#said = new WeakMap();
    for (const track of tracks) this.look(track);
  }

  /**
   * Something may have changed.
   * @param {RemoteTrack} track
   */
  look(track) {
    const said = this.#said.get(track);
    this.#changed.add(track);
    const soon = !said || area(track.preference()) >= area(said);
    if (this.#timer && (this.#soon || !soon)) return;
    this.#platform.clearTimeout(this.#timer);
    this.#soon = soon;
    this.#timer = this.#platform.setTimeout(() => this.#say(), soon ? MORE_MS : LESS_MS);
  }

  /** All in one request, also what could wait: what one gives up may be what another one needs. */
  #say() {
    this.#timer = null;
    const changed = [...this.#changed].filter((track) => {
      const said = this.#said.get(track) ?? { track: track.id };
      return JSON.stringify(track.preference()) !== JSON.stringify(said);
    });
    this.#changed.clear();
    if (!changed.length) return;
    const tracks = changed.splice(0, AT_ONCE_MAX);
    for (const track of changed) this.look(track);
    const preferences = tracks.map((track) => track.preference());
    tracks.forEach((track, i) => this.#said.set(track, preferences[i]));
    this.#prefer(preferences).catch(({ code }) => {
      // With a connection that is lost, or a server that knows no preferences, there is nothing to do.
      if (!BUSY.test(code)) return;
      for (const track of tracks) {
        this.#said.delete(track);
        this.look(track);
      }
    });
  }
}

/** @param {Preference} preference */
const area = ({ visible, max_width = Infinity, max_height = 1 }) => (visible === false ? 0 : max_width * max_height);

/** Where an element stands on the page. */
export class Place {
  #seen = true;
  #observers;

  /**
   * @param {HTMLElement} element
   * @param {() => void} changed
   */
  constructor(element, changed) {
    this.element = element;
    this.changed = changed;
    const sight = new IntersectionObserver((entries) => {
      this.#seen = entries[entries.length - 1].isIntersecting;
      changed();
    });
    this.#observers = [new ResizeObserver(changed), sight];
    for (const observer of this.#observers) observer.observe(element);
    document.addEventListener('visibilitychange', changed);
  }

  /** Width and height in physical pixels; 0 where nobody sees it. */
  get size() {
    const { element } = this;
    const away = document.hidden && document.pictureInPictureElement !== element;
    return [element.clientWidth, element.clientHeight].map((length) =>
      away || !this.#seen ? 0 : Math.ceil((length * devicePixelRatio) / STEP) * STEP,
    );
  }

  stop() {
    for (const observer of this.#observers) observer.disconnect();
    document.removeEventListener('visibilitychange', this.changed);
  }
}
