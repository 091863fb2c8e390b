/** How the connection stands: the pill at the top, and the banner while it is being mended. */

import { h } from './dom.js';
import { toast } from './notices.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/index.js').Room} Room */
/** @typedef {import('../sdk/room.js').RoomEvents['state']} Detail */
/** @typedef {import('../sdk/quality.js').Quality} Health */

export class Status {
  #room;
  #interrupted = false;
  /** @type {Health} */
  #health = 'good';
  /** @type {any} */
  #countdown;
  pill = h('span', { class: 'pill', role: 'status' });
  #said = h('strong', { role: 'alert' });
  #more = h('span');
  #try = h('button', { type: 'button', class: 'quiet small', hidden: true, onclick: () => this.#room.reconnect() }, strings.state.tryNow);
  banner = h('div', { class: 'banner', hidden: true }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), h('div', {}, this.#said, ' ', this.#more), this.#try);

  /** @param {Room} room */
  constructor(room) {
    this.#room = room;
  }

  close() {
    clearInterval(this.#countdown);
  }

  /** One's own path. @param {Health} health */
  setHealth(health) {
    this.#health = health;
    this.#drawPill();
  }

  /**
   * @param {Detail['state']} state
   * @param {Partial<Detail>} detail
   */
  draw(state, { step = 'rejoin', attempt = 0, error, retry_ms = 0 }) {
    clearInterval(this.#countdown);
    this.#drawPill();
    this.banner.hidden = state !== 'reconnecting';
    if (state === 'reconnecting') {
      this.#interrupted = true;
      this.#said.textContent = strings.state.steps[step];
      this.#try.hidden = attempt < 2;
      const detail = attempt > 1 ? `${error?.message ?? ''} ${strings.state.attempt(attempt)}` : '';
      this.#count(detail, performance.now() + retry_ms, attempt > 1);
    } else if (state === 'connected' && this.#interrupted) {
      this.#interrupted = false;
      toast(strings.state.back);
    }
  }

  /**
   * @param {string} detail
   * @param {number} until when the next attempt is made
   * @param {boolean} counts
   */
  #count(detail, until, counts) {
    const tick = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      this.#more.textContent = !counts ? detail : `${detail} ${left > 0 ? strings.state.next(left) : strings.state.trying}`;
      if (left <= 0) clearInterval(this.#countdown);
    };
    if (counts) this.#countdown = setInterval(tick, 1_000);
    tick();
  }

  #drawPill() {
    const { state } = this.#room;
    const bad = state === 'connected' && this.#health !== 'good';
    this.pill.className = `pill ${state} ${bad ? this.#health : ''}`;
    const said = bad ? strings.health[this.#health] : strings.states[state];
    if (this.pill.textContent !== said) this.pill.textContent = said;
    const call = /** @type {HTMLElement | null} */ (this.pill.closest('.call'));
    if (call) call.dataset.state = state;
  }
}
