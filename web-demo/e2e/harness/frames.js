/** When the frames of somebody's picture were shown, as the page's own video elements tell. */

/** @typedef {import('./participant.js').Participant} Participant */

/**
 * Notes from now on when a new frame is shown in the tile of `from`, and in one's own: what is
 * missing there as well is missing because the machine stood still.
 *
 * @param {Participant} viewer
 * @param {string} from
 */
export async function watchFrames(viewer, from) {
  await viewer.page.evaluate((name) => {
    const { id } = [...globalThis.__sfu.room.participants.values()].find((each) => each.name === name);
    const watched = (globalThis.__frames = [id, 'own'].map((key) => {
      const video = /** @type {HTMLVideoElement} */ (document.querySelector(`[data-key="${key}"] video`));
      const frames = /** @type {number[]} */ ([]);
      const note = (/** @type {number} */ now) => {
        if (globalThis.__frames !== watched) return;
        frames.push(now);
        video.requestVideoFrameCallback(note);
      };
      video.requestVideoFrameCallback(note);
      return frames;
    }));
  }, from);
}

/**
 * How many frames were shown since, and the longest time without one, also up to now; `own`: the
 * same of one's own picture.
 *
 * @param {Participant} viewer
 * @returns {Promise<{count: number, gap: number, own: number}>} in ms
 */
export async function shownFrames(viewer) {
  return viewer.page.evaluate(() => {
    const now = performance.now();
    const longest = globalThis.__frames.map((frames) => {
      const gaps = [...frames.slice(1), now].map((end, i) => end - frames[i]);
      return Math.round(Math.max(0, ...gaps));
    });
    return { count: globalThis.__frames[0].length, gap: longest[0], own: longest[1] };
  });
}
