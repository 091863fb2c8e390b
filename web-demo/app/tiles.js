/** One participant, or one shared screen, as a picture with its marks and tools. */

import { h, icon, iconButton, setButton } from './dom.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/protocol.d.ts').Quality} Quality */
/** @typedef {import('./layout.js').Rect} Rect */
/** @typedef {import('../sdk/quality.js').Quality} Health */

/**
 * @typedef {object} What
 * @property {string} key
 * @property {string} name
 * @property {string} [label] as it is read, by default the name
 * @property {boolean} [own]
 * @property {boolean} [screen]
 * @property {(key: string) => void} pin
 * @property {(word: Quality) => void} quality
 */

const REACTION_MS = 4_000;

export class Tile {
  #mute = h('span', { class: 'tile-mute' }, icon('micOff'));
  #hand = h('span', { class: 'tile-hand', hidden: true }, icon('hand'));
  #bars = h('span', { class: 'bars', hidden: true }, h('i'), h('i'), h('i'));
  #note = h('p', { class: 'tile-note', hidden: true });
  #reaction = h('span', { class: 'tile-reaction', role: 'status' });
  /** @type {any} */
  #reacted;
  #size = h('span', { class: 'tile-size' });
  #stats = h('pre', { class: 'tile-stats', hidden: true });
  #pin;
  #pip;
  #frames = 0;
  #wanted = false;
  #speaking = false;
  /** What was chosen for this picture alone. @type {Quality} */
  quality = 'auto';

  /** @param {What} what */
  constructor({ key, name, label = name, own = false, screen = false, pin, quality }) {
    this.key = key;
    this.own = own;
    this.screen = screen;
    this.name = name;
    this.label = label;
    this.video = h('video', { muted: true, autoplay: true, playsInline: true });
    this.video.tabIndex = -1;
    for (const type of ['loadeddata', 'emptied', 'resize']) this.video.addEventListener(type, () => this.#update());
    this.#pin = iconButton('pin', strings.controls.pin(label), () => pin(key), { class: 'round pin' });
    this.#pip = iconButton('pip', strings.controls.pip(label), () => this.#popOut(), { class: 'round', hidden: true });
    const chosen = () => {
      this.quality = /** @type {Quality} */ (choice.value);
      quality(this.quality);
    };
    const choice = h(
      'select',
      { 'aria-label': strings.controls.quality(label), title: strings.controls.quality(label), onchange: chosen },
      ...Object.entries(strings.quality).map(([value, word]) => h('option', { value }, word)),
    );
    const tools = h('div', { class: 'tile-tools', ondblclick: (/** @type {Event} */ event) => event.stopPropagation() }, own ? null : choice, this.#pip, this.#pin);
    this.element = h(
      'article',
      { class: `tile${own ? ' own' : ''}${screen ? ' screen' : ''}`, 'data-key': key, ondblclick: () => pin(key) },
      h('div', { class: 'avatar', 'aria-hidden': 'true' }, screen ? icon('screen') : initials(name)),
      this.video,
      this.#note,
      h('footer', {}, this.#hand, this.#mute, h('span', { class: 'tile-name' }, label), this.#bars, this.#size),
      this.#stats,
      this.#reaction,
      tools,
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

  /** @param {boolean} up */
  setHand(up) {
    this.#hand.hidden = !up;
    this.#update();
  }

  /** Shown for a moment. @param {string} emoji */
  react(emoji) {
    clearTimeout(this.#reacted);
    this.#reaction.replaceChildren(h('span', { role: 'img', 'aria-label': `${this.name}: ${strings.reactions[/** @type {'👍'} */ (emoji)]}` }, emoji));
    this.#reacted = setTimeout(() => this.#reaction.replaceChildren(), REACTION_MS);
  }

  /** Shown where it is not good: all well needs no mark. @param {Health} health */
  setHealth(health) {
    this.#bars.hidden = health === 'good';
    this.#bars.className = `bars ${health}`;
    this.#update();
  }

  /** Why no picture comes; empty: it does. @param {string} reason */
  setPaused(reason) {
    this.#note.textContent = reason;
    this.#note.hidden = !reason;
    this.element.classList.toggle('paused', reason !== '');
    this.#update();
  }

  /** Figures over the picture; empty: none. @param {string} text */
  setStats(text) {
    this.#stats.hidden = !text;
    this.#stats.textContent = text;
  }

  /** Once a second: what is shown, in pixels and frames. */
  measure() {
    const { videoWidth, videoHeight } = this.video;
    this.#size.textContent = this.live ? strings.tile.size(videoWidth, videoHeight, this.#frames) : '';
    this.#frames = 0;
  }

  get live() {
    return this.element.classList.contains('live');
  }

  /** @param {boolean} speaking */
  setSpeaking(speaking) {
    this.#speaking = speaking;
    this.element.classList.toggle('speaking', speaking);
    this.#update();
  }

  /**
   * @param {boolean} large
   * @param {boolean} pinned it is large because somebody wanted that
   */
  setLarge(large, pinned) {
    this.element.classList.toggle('large', large);
    this.element.classList.toggle('pinned', pinned);
    setButton(this.#pin, pinned ? 'unpin' : 'pin', pinned ? strings.controls.unpin : strings.controls.pin(this.label));
  }

  /** Its place in the area; `null`: on another page. @param {Rect | null} rect */
  put(rect) {
    this.element.hidden = rect === null;
    if (!rect) return;
    const { x, y, w, h: tall } = rect;
    for (const [name, value] of Object.entries({ '--x': x, '--y': y, '--w': w, '--h': tall })) this.element.style.setProperty(name, `${value}px`);
  }

  #popOut() {
    if (document.pictureInPictureElement === this.video) void document.exitPictureInPicture();
    else this.video.requestPictureInPicture().catch(() => {}); // the browser says why, if it has to be said
  }

  #update() {
    const shown = this.#wanted && this.video.srcObject !== null && this.video.readyState >= 2;
    this.element.classList.toggle('live', shown);
    this.element.classList.toggle('upright', shown && this.video.videoHeight > this.video.videoWidth);
    this.#pip.hidden = !(shown && document.pictureInPictureEnabled);
    const bad = this.#bars.classList[1];
    const parts = [this.label, !this.#mute.hidden && strings.tile.muted, this.#speaking && strings.tile.speaking, !this.#hand.hidden && strings.tile.hand, !this.#bars.hidden && strings.health[bad], this.#note.textContent];
    this.element.setAttribute('aria-label', parts.filter(Boolean).join(', '));
  }
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
