/** The picture area: one tile per participant or shared screen, sized to fill what there is. */

import { h, icon, iconButton, setButton } from './dom.js';
import { strings } from './strings.js';

const GAP = 10;
const RATIO_MAX = 16 / 9;
/** On a tall window tiles may be nearly square, or upright when there are few. */
const RATIO_MIN = 0.8;
const RATIO_MIN_FEW = 0.62;
const FEW = 6;
/** Narrower tiles than this show nobody: the grid scrolls instead. */
const WIDTH_MIN = 100;

/** @typedef {import('../sdk/protocol.d.ts').Quality} Quality */

export class Tile {
  /**
   * @param {{key: string, name: string, label?: string, own?: boolean, screen?: boolean, pin: (key: string) => void, quality: (word: Quality) => void}} what
   */
  constructor({ key, name, label = name, own = false, screen = false, pin, quality }) {
    this.key = key;
    this.own = own;
    this.screen = screen;
    this.label = label;
    this.video = h('video', { muted: true, autoplay: true, playsInline: true, disablePictureInPicture: false });
    this.video.tabIndex = -1;
    for (const type of ['loadeddata', 'emptied', 'resize']) this.video.addEventListener(type, () => this.#update());
    this.#mute = h('span', { class: 'tile-mute' }, icon('micOff'));
    this.#pin = iconButton('pin', strings.controls.pin(label), () => pin(key), { class: 'round' });
    const choice = h(
      'select',
      { 'aria-label': strings.controls.quality(label), title: strings.controls.quality(label), onchange: () => quality(/** @type {Quality} */ (choice.value)) },
      ...Object.entries(strings.quality).map(([value, word]) => h('option', { value }, word)),
    );
    this.element = h(
      'article',
      { class: `tile${own ? ' own' : ''}${screen ? ' screen' : ''}`, 'data-key': key, ondblclick: () => pin(key) },
      h('div', { class: 'avatar', 'aria-hidden': 'true' }, screen ? icon('screen') : initials(name)),
      this.video,
      this.#note,
      h('footer', {}, this.#mute, h('span', { class: 'tile-name' }, label), this.#size),
      h('div', { class: 'tile-tools', ondblclick: (/** @type {Event} */ event) => event.stopPropagation() }, own ? null : choice, this.#pin),
    );
    this.element.style.setProperty('--hue', String(hue(name)));
    this.#mute.hidden = true;
    const count = () => {
      this.#frames++;
      this.video.requestVideoFrameCallback?.(count);
    };
    count();
    this.#update();
  }

  #mute;
  #pin;
  #note = h('p', { class: 'tile-note', hidden: true });
  #size = h('span', { class: 'tile-size' });
  #frames = 0;
  #wanted = false;
  #speaking = false;

  /** Whether there is a picture to show; until its first frame has come the initials stay. @param {boolean} wanted */
  setVideo(wanted) {
    this.#wanted = wanted;
    this.#update();
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.#mute.hidden = !muted;
    this.#update();
  }

  /** Why no picture comes; empty: it does. @param {string} reason */
  setPaused(reason) {
    this.#note.textContent = reason;
    this.#note.hidden = !reason;
    this.element.classList.toggle('paused', reason !== '');
    this.#update();
  }

  /** Once a second: what is shown, in pixels and frames. */
  measure() {
    const { videoWidth, videoHeight } = this.video;
    const live = this.element.classList.contains('live');
    this.#size.textContent = live ? strings.tile.size(videoWidth, videoHeight, this.#frames) : '';
    this.#frames = 0;
  }

  /** @param {boolean} speaking */
  setSpeaking(speaking) {
    this.#speaking = speaking;
    this.element.classList.toggle('speaking', speaking);
    this.#update();
  }

  /** @param {boolean} pinned */
  setPinned(pinned) {
    this.element.classList.toggle('pinned', pinned);
    setButton(this.#pin, pinned ? 'unpin' : 'pin', pinned ? strings.controls.unpin : strings.controls.pin(this.label));
  }

  #update() {
    const shown = this.#wanted && this.video.srcObject !== null && this.video.readyState >= 2;
    this.element.classList.toggle('live', shown);
    this.element.classList.toggle('upright', shown && this.video.videoHeight > this.video.videoWidth);
    const { tile } = strings;
    const parts = [this.label, !this.#mute.hidden && tile.muted, this.#speaking && tile.speaking, this.#note.textContent];
    this.element.setAttribute('aria-label', parts.filter(Boolean).join(', '));
  }
}

export class Grid {
  /** @type {Map<string, Tile>} */
  tiles = new Map();
  /** @type {string | null} */
  #pinned = null;
  #tell;
  #stage = h('div', { class: 'stage' });
  #rest = h('div', { class: 'tiles' });
  element = h('section', { class: 'grid' }, this.#stage, this.#rest);

  /** @param {(key: string | null) => void} pinned what is large from now on */
  constructor(pinned) {
    this.#tell = pinned;
    new ResizeObserver(() => this.#size()).observe(this.element);
  }

  /** @param {Tile} tile */
  add(tile) {
    this.tiles.set(tile.key, tile);
    if (tile.screen && !tile.own) this.#pinned = tile.key;
    this.#arrange();
  }

  /** @param {string} key */
  remove(key) {
    const tile = this.tiles.get(key);
    if (!tile) return;
    this.tiles.delete(key);
    tile.element.remove();
    if (this.#pinned === key) this.#pinned = [...this.tiles.values()].find(({ screen, own }) => screen && !own)?.key ?? null;
    this.#arrange();
  }

  /** @param {string} key */
  togglePin(key) {
    this.#pinned = this.#pinned === key ? null : key;
    this.#arrange();
  }

  /** Tiles keep their places; screens stand first, oneself last. */
  #arrange() {
    const rank = (/** @type {Tile} */ { screen, own }) => (screen ? 0 : own ? 2 : 1);
    const order = [...this.tiles.values()].sort((a, b) => rank(a) - rank(b));
    const pinned = this.#pinned === null ? null : (this.tiles.get(this.#pinned) ?? null);
    this.#tell(this.#pinned);
    for (const tile of order) tile.setPinned(tile === pinned);
    place(this.#stage, pinned ? [pinned] : []);
    place(this.#rest, order.filter((tile) => tile !== pinned));
    this.element.classList.toggle('focused', pinned !== null);
    this.#size();
  }

  #size() {
    const { clientWidth: width, clientHeight: height } = this.element;
    const wide = width > height * 1.1 && width > 640;
    this.element.classList.toggle('wide', wide);
    if (this.#pinned !== null && wide) return;
    const taken = this.#pinned === null ? 0 : this.#stage.offsetHeight + GAP;
    const { w, h: tall, scroll } = bestFit(this.#rest.children.length, width, height - taken);
    this.element.classList.toggle('scroll', scroll);
    this.#rest.style.setProperty('--w', `${w}px`);
    this.#rest.style.setProperty('--h', `${tall}px`);
  }
}

/**
 * Moves elements only where they are not yet: a moved video would stop.
 * @param {HTMLElement} parent
 * @param {Tile[]} tiles
 */
function place(parent, tiles) {
  const wanted = tiles.map(({ element }) => element);
  for (const child of [...parent.children]) if (!wanted.includes(/** @type {HTMLElement} */ (child))) child.remove();
  wanted.forEach((element, i) => {
    if (parent.children[i] !== element) parent.insertBefore(element, parent.children[i] ?? null);
  });
  for (const { video } of tiles) if (video.paused && video.srcObject) video.play().catch(() => {});
}

/**
 * The tile size that shows most: as many columns as give the largest tiles.
 * @param {number} count
 * @param {number} width of the area
 * @param {number} height
 */
export function bestFit(count, width, height) {
  const ratioMin = width > height ? 4 / 3 : count <= FEW ? RATIO_MIN_FEW : RATIO_MIN;
  let best = { w: 0, h: 0, scroll: false };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    let w = Math.floor((width - GAP * (columns - 1)) / columns);
    let h = Math.floor((height - GAP * (rows - 1)) / rows);
    if (w > h * RATIO_MAX) w = Math.floor(h * RATIO_MAX);
    if (w < h * ratioMin) h = Math.floor(w / ratioMin);
    if (w * h > best.w * best.h) best = { w, h, scroll: false };
  }
  if (best.w >= WIDTH_MIN || count < 2) return best;
  const columns = Math.max(1, Math.floor((width + GAP) / (WIDTH_MIN + GAP)));
  const w = Math.floor((width - GAP * (columns - 1)) / columns);
  return { w, h: Math.floor(w * 0.8), scroll: true };
}

/** @param {string} name */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const letters = [words[0], words.length > 1 ? words.at(-1) : ''].map((word) => [...(word ?? '')][0] ?? '');
  return letters.join('').toUpperCase() || '?';
}

/** The same name has the same colour everywhere. @param {string} name */
export function hue(name) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + (c.codePointAt(0) ?? 0)) >>> 0;
  return (hash * 47) % 360;
}
