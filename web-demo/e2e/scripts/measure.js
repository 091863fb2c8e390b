/**
 * How long from the click on "join" to the first picture: the median of ten joins, beside somebody
 * who is already there. Prints figures and asserts nothing: they belong to the machine.
 *
 *     npm run measure [-- JOINS]
 */

import { Stage } from '../harness/scenario.js';
import { until } from '../harness/until.js';

const JOINS = Number(process.argv[2] ?? 10);

const stage = new Stage('measure');
try {
  await stage.join({ name: 'sender' });
  /** @type {{joined: number, opened: number}[]} */
  const figures = [];
  for (let join = 1; join <= JOINS; join++) {
    const figure = await joinOnce(stage, `viewer-${join}`);
    figures.push(figure);
    console.log(`join ${join}: first picture ${ms(figure.joined)} after join, ${ms(figure.opened)} after opening`);
  }
  const median = (/** @type {'joined' | 'opened'} */ what) => {
    const sorted = figures.map((figure) => figure[what]).sort((a, b) => a - b);
    return (sorted[(JOINS - 1) >> 1] + sorted[JOINS >> 1]) / 2;
  };
  console.log(`median of ${JOINS}: ${ms(median('joined'))} after join, ${ms(median('opened'))} after opening the page`);
} finally {
  await stage.close();
}

/**
 * @param {Stage} stage
 * @param {string} name
 */
async function joinOnce(stage, name) {
  const viewer = await stage.join({ name }, 'chromium', { before: takeTimes });
  const figure = await until('the first picture', () => viewer.page.evaluate(() => globalThis.__times.found));
  await viewer.close();
  return figure;
}

/**
 * Runs in the page before its own scripts: joining begins with the WebSocket, and the first picture
 * is looked for every few milliseconds.
 */
function takeTimes() {
  /** @type {any} */
  const times = (globalThis.__times = {});
  globalThis.WebSocket = class extends WebSocket {
    /** @param {string | URL} url @param {string | string[]} [protocols] */
    constructor(url, protocols) {
      super(url, protocols);
      times.joining ??= performance.now();
    }
  };
  const look = async () => {
    const stats = [...((await globalThis.__sfu?.room?.pc?.getStats())?.values() ?? [])];
    if (stats.some(({ framesDecoded }) => framesDecoded > 0)) {
      const opened = performance.now();
      times.found = { opened, joined: opened - times.joining };
    } else {
      setTimeout(look, 5);
    }
  };
  look();
}

/** @param {number} duration */
function ms(duration) {
  return `${Math.round(duration)} ms`;
}
