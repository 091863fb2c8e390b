/** When the frames of somebody's picture were shown, as the page's own video element tells. */

/** @typedef {import('./participant.js').Participant} Participant */

/**
 * Notes from now on when a new frame is shown in the tile of `from`.
 *
 * @param {Participant} viewer
 * @param {string} from
 */
export async function watchFrames(viewer, from) {
  await viewer.page.evaluate((name) => {
    const { id } = [...globalThis.__sfu.room.participants.values()].find((each) => each.name === name);
    const video = /** @type {HTMLVideoElement} */ (document.querySelector(`[data-key="${id}"] video`));
    const frames = (globalThis.__frames = /** @type {number[]} */ ([]));
    const note = (/** @type {number} */ now) => {
      if (globalThis.__frames !== frames) return;
      frames.push(now);
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  }, from);
}

/**
 * How many frames were shown since, and the longest time without one, also up to now.
 *
 * @param {Participant} viewer
 * @returns {Promise<{count: number, gap: number}>} in ms
 */
export async function shownFrames(viewer) {
  return viewer.page.evaluate(() => {
    const frames = globalThis.__frames;
    const ends = [...frames, performance.now()];
    const gaps = ends.slice(1).map((end, i) => end - ends[i]);
    return { count: frames.length, gap: Math.round(Math.max(0, ...gaps)) };
  });
}
