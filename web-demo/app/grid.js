/** The picture area: who is large, who is on which page. Tiles keep their order, and are never moved in the document: a moved video would stop. */

import { h, iconButton } from './dom.js';
import { layout } from './layout.js';
import { strings } from './strings.js';

/** @typedef {import('./tiles.js').Tile} Tile */

export class Grid {
  /** @type {Map<string, Tile>} */
  tiles = new Map();
  /** What somebody wants large; `null`: what the layout makes of it. @type {string | null} */
  #pinned = null;
  /** Who spoke last. @type {string | null} */
  #speaker = null;
  #followsSpeaker = false;
  #page = 0;
  #pages = 1;
  /** @type {string | null} */
  #told = null;
  #tell;
  #area = h('div', { class: 'tiles' });
  #where = h('span', { role: 'status' });
  /** @type {Tile[]} */
  #speaking = [];
  /** Who of them is on another page. */
  #elsewhere = h('strong');
  #back = iconButton('back', strings.layout.back, () => this.turn(-1), { class: 'round flat' });
  #next = iconButton('next', strings.layout.next, () => this.turn(1), { class: 'round flat' });
  #pager = h('nav', { class: 'pager', 'aria-label': strings.layout.pages, hidden: true }, this.#back, this.#where, this.#elsewhere, this.#next);
  element = h('section', { class: 'grid', 'aria-label': strings.layout.area }, this.#area, this.#pager);

  /** @param {(key: string | null) => void} large what is large from now on */
  constructor(large) {
    this.#tell = large;
    new ResizeObserver(() => this.#arrange()).observe(this.#area);
  }

  /** @param {Tile} tile */
  add(tile) {
    this.tiles.set(tile.key, tile);
    const order = this.#order();
    this.#area.insertBefore(tile.element, order[order.indexOf(tile) + 1]?.element ?? null);
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
    if (this.#speaker === key) this.#speaker = null;
    this.#arrange();
  }

  /** @param {string} key */
  togglePin(key) {
    this.#pinned = this.#pinned === key ? null : key;
    this.#arrange();
  }

  /** Whether who speaks is large. @param {boolean} follows */
  followSpeaker(follows) {
    this.#followsSpeaker = follows;
    if (follows) this.#pinned = null;
    this.#arrange();
  }

  /** @param {string} key somebody else, or who was it before goes on being large */
  setSpeaker(key) {
    if (key === this.#speaker || !this.tiles.has(key)) return;
    this.#speaker = key;
    if (this.#followsSpeaker) this.#arrange();
  }

  /** @param {Tile[]} tiles of who speaks now */
  setSpeaking(tiles) {
    this.#speaking = tiles;
    const hidden = tiles.find(({ element }) => element.hidden);
    this.#elsewhere.textContent = hidden ? strings.layout.speaks(hidden.label) : '';
  }

  /** @param {number} by pages */
  turn(by) {
    this.#page += by;
    this.#arrange();
  }

  /** Tiles on the page, in order. @returns {Tile[]} */
  get shown() {
    return this.#order().filter(({ element }) => !element.hidden);
  }

  /** Screens stand first, oneself last. */
  #order() {
    const rank = (/** @type {Tile} */ { screen, own }) => (screen ? 0 : own ? 2 : 1);
    return [...this.tiles.values()].sort((a, b) => rank(a) - rank(b));
  }

  #large() {
    const others = this.#order().filter(({ own }) => !own);
    const speaking = this.#followsSpeaker ? (this.#speaker ?? others[0]?.key) : null;
    return this.tiles.get(this.#pinned ?? speaking ?? '') ?? null;
  }

  #arrange() {
    const large = this.#large();
    const others = this.#order().filter((tile) => tile !== large);
    const { clientWidth, clientHeight } = this.#area;
    const { stage, perPage, cells } = layout(others.length, clientWidth, clientHeight, large !== null);
    const pages = this.#split(others, perPage);
    this.#pages = pages.length;
    this.#page = Math.max(0, Math.min(this.#page, pages.length - 1));
    const page = pages[this.#page] ?? [];
    for (const tile of others) tile.put(cells[page.indexOf(tile)] ?? null);
    large?.put(stage);
    for (const tile of this.tiles.values()) tile.setLarge(tile === large, tile === large && tile.key === this.#pinned);
    this.element.classList.toggle('focused', large !== null);
    this.#drawPager();
    this.setSpeaking(this.#speaking);
    const told = large?.key ?? null;
    if (told !== this.#told) this.#tell((this.#told = told));
  }

  /** Oneself stays on every page. @param {Tile[]} tiles @param {number} perPage */
  #split(tiles, perPage) {
    if (tiles.length <= perPage) return [tiles];
    const own = perPage > 1 ? tiles.filter((tile) => tile.own) : [];
    const others = tiles.filter((tile) => !own.includes(tile));
    const size = Math.max(1, perPage - own.length);
    return Array.from({ length: Math.ceil(others.length / size) }, (_, i) => [...others.slice(i * size, (i + 1) * size), ...own]);
  }

  #drawPager() {
    this.#pager.hidden = this.#pages < 2;
    this.#where.textContent = strings.layout.page(this.#page + 1, this.#pages);
    this.#back.disabled = this.#page === 0;
    this.#next.disabled = this.#page >= this.#pages - 1;
  }
}
