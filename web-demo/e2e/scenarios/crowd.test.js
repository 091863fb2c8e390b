/**
 * Twenty-five people on one page: it stays quick, and who is on the page shown is who is received.
 * The others are real participants of the server that send small pictures.
 */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

/** @typedef {import('../harness/participant.js').Participant} Participant */
/** @typedef {import('puppeteer-core').Page} Page */

const OTHERS = 24;
/** The longest time the page may be busy with one thing, in ms. */
const TASK_MAX = 100;
/** On a machine that stands still for longer: so many times as late as a timer of a page that does nothing. */
const STALLS = 3;
const DESK = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };

scenario('of twenty-five people a page receives those it shows, and stays quick', async (stage) => {
  const crowd = await stage.blank('crowd');
  await crowd.evaluate(publishMany, OTHERS);
  const viewer = await stage.join({ name: 'viewer', publish: '0', viewport: DESK }, 'chromium', { before: noteLongTasks });
  await until('everybody', async () => (await moving(viewer)).size === OTHERS, { within: 40_000, describe: () => moving(viewer) });
  await viewer.page.evaluate(() => globalThis.__tasks.length = 0);
  const stalls = watchStalls(await stage.blank('idle'));

  await follows(viewer, isEverybody);
  await viewer.page.setViewport(PHONE);
  const first = await follows(viewer, (shown) => shown.size < OTHERS);
  await viewer.press('Next page');
  await follows(viewer, (shown) => [...shown].every((id) => !first.has(id)));
  for (let i = 0; i < 10; i++) {
    await viewer.press(i % 2 ? 'Next page' : 'Page before');
    await crowd.evaluate((n) => globalThis.__rooms[n].send(`message ${n}`), i);
  }
  await viewer.page.setViewport(DESK);
  await follows(viewer, isEverybody);

  const tasks = await viewer.page.evaluate(() => globalThis.__tasks);
  const stall = await stalls;
  console.log(`${tasks.length} tasks of 50 ms and more, the longest ${Math.max(0, ...tasks)} ms (an idle page stood still for ${stall} ms)`);
  assert.ok(Math.max(0, ...tasks) < Math.max(TASK_MAX, STALLS * stall), `${tasks}`);
});

const isEverybody = (/** @type {Set<string>} */ shown) => shown.size === OTHERS;

/** What is shown is received, and nothing else is. @param {Participant} viewer @param {(shown: Set<string>) => boolean} isMeant */
async function follows(viewer, isMeant) {
  /** @type {Set<string>} */
  let shown = new Set();
  await until('what is shown and nothing else', async () => {
    const keys = await viewer.page.evaluate(() => [...document.querySelectorAll('.tile')].filter((tile) => /** @type {HTMLElement} */ (tile).checkVisibility())
      .map((tile) => /** @type {HTMLElement} */ (tile).dataset.key ?? ''));
    shown = new Set(keys.filter((key) => key !== 'own'));
    const live = await moving(viewer);
    return isMeant(shown) && live.size === shown.size && [...live].every((id) => shown.has(id));
  }, { describe: async () => ({ shown: [...shown], moving: [...(await moving(viewer))] }) });
  return shown;
}

/** Whose pictures go on within a second. @param {Participant} viewer @returns {Promise<Set<string>>} */
async function moving(viewer) {
  const read = async () => new Map((await viewer.snapshot()).received.map((/** @type {any} */ row) => [row.participant, row.framesDecoded]));
  const before = await read();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const now = [...(await read())];
  return new Set(now.filter(([id, frames]) => before.has(id) && frames > before.get(id)).map(([id]) => id));
}

/** Runs in a page: so many people with pictures of their own. @param {number} count */
async function publishMany(count) {
  const { Room } = await import(/** @type {any} */ ('/sdk/index.js'));
  const enter = async (/** @type {number} */ n) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 128, height: 72 });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    let hue = n * 15;
    setInterval(() => {
      context.fillStyle = `hsl(${(hue += 7)} 60% 50%)`;
      context.fillRect(0, 0, 128, 72);
    }, 200);
    const room = new Room();
    const { ready } = room.publish(canvas.captureStream(5).getVideoTracks()[0], { source: 'camera', simulcast: false });
    await room.join({ url: '/ws', room: 'e2e', name: `person ${n}`, subscribe: 'manual' });
    await ready;
    return room;
  };
  globalThis.__rooms = [];
  for (let n = 0; n < count; n++) globalThis.__rooms.push(await enter(n));
}

/** Runs ahead of a page's scripts: notes how long each long task took. */
function noteLongTasks() {
  globalThis.__tasks = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) globalThis.__tasks.push(Math.round(duration));
  }).observe({ type: 'longtask' });
}

/** How late a timer of a page that does nothing comes at most, over the next ten seconds, in ms. @param {Page} page @returns {Promise<number>} */
function watchStalls(page) {
  return page.evaluate(() => new Promise((resolve) => {
    let [last, longest, end] = [performance.now(), 0, performance.now() + 10_000];
    const timer = setInterval(() => {
      const now = performance.now();
      [longest, last] = [Math.max(longest, now - last - 20), now];
      if (now < end) return;
      clearInterval(timer);
      resolve(Math.round(longest));
    }, 20);
  }));
}
