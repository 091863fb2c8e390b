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
  // Never settles: it ends with the page.
  for (const { page } of people) page.evaluate(watch, FREEZE_MS).catch(() => {});
  await pause(SECONDS * 1000);

  for (const { name, page } of people) {
    /** @type {{tracks: Seen[], stalls: number}} */
    const { tracks, stalls } = await page.evaluate(() => globalThis.__watch);
    for (const { from, kind, pictures, lost, freezes, longest } of tracks) {
      const seen = kind === 'video' ? `${pictures} pictures, longest gap ${Math.round(longest)} ms, ${freezes} freezes, ` : '';
      console.log(`${name} ← ${from} ${kind}: ${seen}${lost} packets lost`);
    }
    console.log(`${name}: the page itself stood still ${stalls} times`);
  }
  const after = await server.metrics();
  for (const [name, value] of after) {
    const change = value - (before.get(name) ?? 0);
    if (change !== 0 && /drop|lost|lagged|reject|overflow|discard/.test(name)) console.log(`${name} +${change}`);
  }
} finally {
  await stage.close();
}

/** @typedef {{from: string, kind: string, pictures: number, lost: number, freezes: number, longest: number}} Seen */

/**
 * Runs in the page: looks at the counters some times a second. A gap counts only while the page
 * itself gets its turns; where it does not, the machine is too small and nothing can be said.
 *
 * @param {number} freeze in ms
 */
async function watch(freeze) {
  const every = 100;
  /** @type {Map<string, any>} */
  const byTrack = new Map();
  const watch = (globalThis.__watch = { tracks: /** @type {any[]} */ ([]), stalls: 0 });
  let last = performance.now();
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, every));
    const { received } = await globalThis.__sfu.snapshot();
    const now = performance.now();
    const stalled = now - last > 4 * every;
    watch.stalls += Number(stalled);
    last = now;
    for (const { track, name, kind, framesDecoded, packetsLost } of received) {
      let seen = byTrack.get(track);
      if (!seen) {
        const row = { from: name, kind, pictures: 0, lost: 0, freezes: 0, longest: 0 };
        seen = { row, pictures: framesDecoded, lost: packetsLost, since: now, frozen: false };
        byTrack.set(track, seen);
        watch.tracks.push(row);
      }
      const { row } = seen;
      const pictures = framesDecoded - seen.pictures;
      row.lost = packetsLost - seen.lost;
      if (pictures > row.pictures || stalled) Object.assign(seen, { since: now, frozen: false });
      row.pictures = pictures;
      if (kind !== 'video') continue;
      row.longest = Math.max(row.longest, now - seen.since);
      if (now - seen.since > freeze && !seen.frozen) {
        seen.frozen = true;
        row.freezes += 1;
      }
    }
  }
}
