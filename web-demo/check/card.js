/** One check on the page: what it found, in words, and for the report. */

import { h, icon, svg } from '../app/dom.js';
import { SfuError } from '../sdk/index.js';
import { text } from './strings.js';

/** @typedef {'idle' | 'running' | 'ok' | 'warn' | 'bad' | 'skip'} State */
/** What a check ends with: words for people, figures for the report. @typedef {{state: State, said: string, hints?: string[], figures?: object}} Result */

export class Card {
  /** @type {Result} */
  result = { state: 'idle', said: '' };
  #mark = h('span', { class: 'mark', 'aria-hidden': 'true' });
  #state = h('small');
  #said = h('p');
  #hints = h('div');
  #try;

  /**
   * @param {string} key in the report
   * @param {string} name
   * @param {(card: Card) => Promise<Result>} run
   * @param {...import('../app/dom.js').Child} more below what is said
   */
  constructor(key, name, run, ...more) {
    this.key = key;
    this.#try = run;
    this.body = h('div', { class: 'body' }, ...more);
    this.element = h('section', { class: 'card check idle', 'data-check': key }, this.#mark, h('h2', {}, name, this.#state), this.#said, this.#hints, this.body);
    this.show(this.result);
  }

  async run() {
    this.show({ state: 'running', said: '' });
    try {
      this.show(await this.#try(this));
    } catch (cause) {
      this.show(failed(cause));
    }
    return this.result;
  }

  /** @param {Result} result */
  show(result) {
    this.result = result;
    const { state, said, hints = [] } = result;
    this.element.className = `card check ${state}`;
    this.#mark.replaceChildren(...(state === 'ok' ? [svg('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' }, svg('path', { d: 'M5 12.5l4.5 4.5L19 7.5' }))] : state === 'bad' ? [icon('close')] : state === 'warn' ? [icon('warn')] : []));
    this.#state.textContent = text.states[state];
    this.#said.textContent = said;
    this.#hints.replaceChildren(...hints.map((hint) => h('p', { class: 'held' }, hint)));
  }
}

/** @param {unknown} cause @returns {Result} */
export function failed(cause) {
  const error = cause instanceof SfuError ? cause : null;
  const message = cause instanceof Error ? cause.message : String(cause);
  return { state: 'bad', said: message, hints: error?.hint ? [error.hint] : [], figures: { error: error ? error.toJSON() : message } };
}

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1] : null;
}

/** @param {number | null} value */
export const ms = (value) => (value === null ? text.echo.unknown : `${Math.round(value)} ms`);

/** @param {number} length in ms */
export const pause = (length) => new Promise((resolve) => setTimeout(resolve, length));

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} limit in ms
 * @returns {Promise<T>}
 */
export function within(promise, limit) {
  return Promise.race([promise, pause(limit).then(() => Promise.reject(new SfuError('timeout')))]);
}
