/** What one viewer sees of one picture, ten times a second: its size, its progress, its freezes. */

/** @typedef {import('puppeteer-core').Page} Page */

/**
 * @typedef {object} Sample
 * @property {number} at ms, on the page's clock
 * @property {number} width of the last frame, in pixels
 * @property {number} frames decoded so far
 * @property {number} bytes received so far
 * @property {number} freezes so far, as getStats counts them
 * @property {number} frozen so far, in seconds
 */

const EVERY_MS = 100;

export class Picture {
  #page;

  /** @param {Page} page */
  constructor(page) {
    this.#page = page;
  }

  /** Watches the one picture that comes. @param {Page} page */
  static async watch(page) {
    await page.evaluate(sample, EVERY_MS);
    return new Picture(page);
  }

  /** The page's clock, in ms. */
  async now() {
    return this.#page.evaluate(() => performance.now());
  }

  /** @param {number} [since] on the page's clock @returns {Promise<Sample[]>} */
  async samples(since = 0) {
    return this.#page.evaluate((from) => globalThis.__samples.filter((/** @type {Sample} */ { at }) => at >= from), since);
  }
}

/** Runs in the page. @param {number} every ms */
function sample(every) {
  /** @type {Sample[]} */
  const samples = (globalThis.__samples = []);
  setInterval(async () => {
    const stats = [...(await globalThis.__sfu.room.pc.getStats()).values()];
    const pictures = stats.filter(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
    const [picture] = pictures.sort((a, b) => b.bytesReceived - a.bytesReceived);
    if (!picture) return;
    samples.push({
      at: performance.now(),
      width: picture.frameWidth ?? 0,
      frames: picture.framesDecoded ?? 0,
      bytes: picture.bytesReceived ?? 0,
      freezes: picture.freezeCount ?? 0,
      frozen: picture.totalFreezesDuration ?? 0,
    });
  }, every);
}

/** Bits per second over these samples. @param {Sample[]} samples */
export function bitrate(samples) {
  const [first, last] = [samples[0], samples[samples.length - 1]];
  return (8_000 * (last.bytes - first.bytes)) / (last.at - first.at);
}

/**
 * The longest time without a new frame, in ms: what getStats calls a freeze, or what the samples
 * show themselves while one still lasts.
 *
 * @param {Sample[]} samples
 */
export function longestFreeze(samples) {
  let longest = 0;
  let since = samples[0].at;
  for (let i = 1; i < samples.length; i++) {
    const [before, now] = [samples[i - 1], samples[i]];
    const ended = now.freezes - before.freezes;
    if (ended > 0) longest = Math.max(longest, (1_000 * (now.frozen - before.frozen)) / ended);
    // A frame came at some time since the sample before: to that one the picture surely stood.
    if (now.frames > before.frames) {
      longest = Math.max(longest, before.at - since);
      since = now.at;
    }
  }
  return Math.max(longest, samples[samples.length - 1].at - since);
}

/** How many freezes getStats counts in these samples. @param {Sample[]} samples */
export function freezes(samples) {
  return samples[samples.length - 1].freezes - samples[0].freezes;
}
