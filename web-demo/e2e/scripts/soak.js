/**
 * Three in Chromium and one in Firefox for a minute: does anything freeze, is anything dropped?
 * Prints what every participant received and what the server counted.
 *
 *     npm run soak [-- SECONDS]
 */

import { setTimeout as pause } from 'node:timers/promises';
import { Stage } from '../harness/scenario.js';

const SECONDS = Number(process.argv[2] ?? 60);
/** A longer gap between two decoded pictures is a freeze, in ms. */
const FREEZE_MS = 500;

/** Four participants encode and decode twelve of these on one machine. */
const PICTURE = { width: 640, height: 360 };

const stage = new Stage('soak');
try {
  const people = await Promise.all([
    stage.join({ name: 'alice', ...PICTURE }, 'chromium'),
    stage.join({ name: 'bob', ...PICTURE }, 'chromium'),
    stage.join({ name: 'carol', ...PICTURE }, 'chromium'),
    stage.join({ name: 'dave', ...PICTURE }, 'firefox'),
  ]);
  await Promise.all(people.flatMap((person) => {
    return people.filter((other) => other !== person).map((other) => person.meets(other.name));
  }));
  console.log(`everybody sees and hears everybody; ${SECONDS} s begin`);
  const server = await stage.server();
  const before = await server.metrics();
  await Promise.all(people.map(({ page }) => page.evaluate(watchGaps, FREEZE_MS)));
  await pause(SECONDS * 1000);

  let freezes = 0;
  for (const { name, page } of people) {
    /** @type {Gap[]} */
    const gaps = await page.evaluate(() => globalThis.__gaps);
    for (const gap of gaps) {
      const { from, kind, frames, lost, longest, count } = gap;
      freezes += count;
      const pictures = kind === 'video' ? `${frames} pictures, longest gap ${Math.round(longest)} ms, ` : '';
      console.log(`${name} ← ${from} ${kind}: ${pictures}${lost} packets lost, ${count} freezes`);
    }
  }
  console.log(`freezes over ${FREEZE_MS} ms: ${freezes}`);
  const after = await server.metrics();
  for (const [name, value] of after) {
    const change = value - (before.get(name) ?? 0);
    if (change !== 0 && /drop|lost|reject|overflow|discard/.test(name)) console.log(`${name} +${change}`);
  }
} finally {
  await stage.close();
}

/** @typedef {{from: string, kind: string, frames: number, lost: number, longest: number, count: number}} Gap */

/**
 * Runs in the page: looks at the counters ten times a second, and keeps the worst it saw.
 *
 * @param {number} freeze in ms
 */
function watchGaps(freeze) {
  /** @type {Map<string, any>} */
  const byTrack = new Map();
  globalThis.__gaps = [];
  setInterval(async () => {
    const { received } = await globalThis.__sfu.snapshot();
    const now = performance.now();
    for (const { track, name, kind, framesDecoded, packetsLost } of received) {
      let seen = byTrack.get(track);
      if (!seen) {
        seen = { first: framesDecoded, firstLost: packetsLost, last: framesDecoded, since: now };
        Object.assign(seen, { gap: { from: name, kind, frames: 0, lost: 0, longest: 0, count: 0 } });
        byTrack.set(track, seen);
        globalThis.__gaps.push(seen.gap);
      }
      const { gap } = seen;
      gap.frames = framesDecoded - seen.first;
      gap.lost = packetsLost - seen.firstLost;
      if (kind !== 'video') continue;
      const length = now - seen.since;
      gap.longest = Math.max(gap.longest, length);
      if (length > freeze && !seen.frozen) {
        seen.frozen = true;
        gap.count += 1;
      }
      if (framesDecoded === seen.last) continue;
      Object.assign(seen, { last: framesDecoded, since: now, frozen: false });
    }
  }, 100);
}
