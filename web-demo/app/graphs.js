/** Small graphs of the last minute. */

import { h, svg } from './dom.js';

const POINTS = 60;
const [WIDTH, HEIGHT] = [240, 44];

/** @typedef {{label: string, unit: (value: number) => string, floor: number}} Kind `floor`: the least that the top of the graph stands for */

export class Graph {
  /** @type {number[]} */
  #values = [];
  #kind;
  #line = svg('polyline', { class: 'graph-line' });
  #area = svg('polygon', { class: 'graph-area' });
  #now = h('strong');
  element;

  /** @param {Kind} kind */
  constructor(kind) {
    this.#kind = kind;
    const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.#area, this.#line);
    this.element = h('div', { class: 'graph' }, h('p', {}, h('span', {}, kind.label), this.#now), picture);
  }

  /** @param {number | null} value */
  add(value) {
    if (value === null) return;
    this.#values = [...this.#values, value].slice(-POINTS);
    this.#now.textContent = this.#kind.unit(value);
    const points = place(this.#values, this.#kind.floor);
    this.#line.setAttribute('points', points.join(' '));
    this.#area.setAttribute('points', [`${points[0]?.split(',')[0]},${HEIGHT}`, ...points, `${WIDTH},${HEIGHT}`].join(' '));
  }
}

/**
 * The newest at the right.
 * @param {number[]} values
 * @param {number} floor
 */
export function place(values, floor) {
  const top = Math.max(floor, ...values);
  return values.map((value, i) => {
    const x = WIDTH - ((values.length - 1 - i) * WIDTH) / (POINTS - 1);
    return `${x.toFixed(1)},${(HEIGHT - 2 - (value / top) * (HEIGHT - 6)).toFixed(1)}`;
  });
}
