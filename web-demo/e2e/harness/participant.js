/**
 * One conference page, driven through its URL and observed through `__sfu` as people would
 * through their eyes and ears: a picture counts when frames are decoded, sound when samples arrive.
 */

import { until } from './until.js';

/** @typedef {import('puppeteer-core').Page} Page */
/** @typedef {'audio' | 'video'} Kind */

/**
 * What arrives of one track, as the page's `snapshot()` tells it: counters of getStats.
 *
 * @typedef {object} Received
 * @property {string} name of the sender
 * @property {string} participant the sender's id
 * @property {string} track its id: counters go on when an m-line is used for another one
 * @property {Kind} kind
 * @property {string} source
 * @property {string} codec
 * @property {string} mid
 * @property {number} framesDecoded
 * @property {number} frameWidth
 * @property {number} frameHeight
 * @property {number} totalSamplesReceived
 * @property {number} concealedSamples
 * @property {number} totalAudioEnergy
 * @property {number} packetsReceived
 * @property {number} packetsLost
 * @property {number} freezeCount
 * @property {number} totalFreezesDuration in seconds
 */

/** @typedef {{from?: string, kind: Kind, source?: string}} Which `from`: the sender's name */

/**
 * @typedef {object} Wishes
 * @property {string} room
 * @property {string} name
 * @property {string} [token]
 * @property {string} [publish] `0`, `audio` or `video`; both without it
 * @property {string} [subscribe] `0`: see and hear nobody
 * @property {string} [codec]
 * @property {string} [simulcast]
 * @property {string} [svc]
 * @property {number} [width]
 * @property {number} [height]
 * @property {'udp' | 'tcp' | 'relay'} [path] the only way to the server that is tried
 * @property {number} [direct] 1: person to person is a setting of the room
 * @property {number} [mock] so many invented participants, and no server
 */

/** Enough to tell moving pictures from one. */
const FRAMES = 10;
/** Half a second of sound at 48 kHz. */
const SAMPLES = 24_000;

export class Participant {
  /** @type {string[]} */
  #console = [];
  /** @type {string[]} */
  #errors = [];

  /** @param {Page} page @param {string} name */
  constructor(page, name) {
    this.page = page;
    this.name = name;
    page.on('console', (message) => this.#console.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      // Firefox tells of a server that is away, or a connection that broke, in the same way; no script threw.
      if (!/Firefox can’t establish a connection|was interrupted while the page was loading/.test(text)) this.#errors.push(text);
      this.#console.push(`uncaught: ${text}`);
    });
  }

  /**
   * Opens the page and lets it join; returns once the join is under way, not when it is done.
   *
   * @param {string} url of the server
   * @param {Wishes} wishes
   */
  async visit(url, wishes) {
    const query = new URLSearchParams({ autojoin: '1' });
    for (const [key, value] of Object.entries(wishes)) query.set(key, String(value));
    await this.page.goto(`${url}/?${query}`, { waitUntil: 'load' });
  }

  async snapshot() {
    return this.page.evaluate(() => globalThis.__sfu.snapshot());
  }

  /** @param {{within?: number}} [options] */
  async connected(options) {
    return this.#until('being connected', async () => {
      return (await this.snapshot()).state === 'connected';
    }, options);
  }

  /**
   * What arrives of a track, or nothing.
   *
   * @param {Which} which
   * @returns {Promise<Received | undefined>}
   */
  async received({ from, kind, source }) {
    const { received } = await this.snapshot();
    return received.find((/** @type {Received} */ track) => {
      const wanted = (from ?? track.name) === track.name && (source ?? track.source) === track.source;
      return wanted && track.kind === kind;
    });
  }

  /**
   * Waits until more pictures of somebody are decoded, counted from now.
   *
   * @param {string | undefined} from the sender's name; anybody without it
   * @param {{source?: string, within?: number, frames?: number}} [options]
   */
  async sees(from, { source, within, frames = FRAMES } = {}) {
    return this.#progress(`sees ${from ?? 'somebody'}`, { from, kind: 'video', source }, within, (now, then) =>
      now.framesDecoded >= then.framesDecoded + frames && now.frameWidth > 0);
  }

  /**
   * Waits until more sound of somebody arrives, counted from now.
   *
   * @param {string | undefined} from the sender's name; anybody without it
   * @param {{source?: string, within?: number, samples?: number}} [options]
   */
  async hears(from, { source, within, samples = SAMPLES } = {}) {
    return this.#progress(`hears ${from ?? 'somebody'}`, { from, kind: 'audio', source }, within, (now, then) =>
      // What the decoder makes up for missing packets is no sound, and silence is none either.
      now.totalSamplesReceived - now.concealedSamples >=
        then.totalSamplesReceived - then.concealedSamples + samples &&
      now.totalAudioEnergy > then.totalAudioEnergy);
  }

  /** Both at once. @param {string} [from] @param {{within?: number}} [options] */
  async meets(from, options) {
    await Promise.all([this.sees(from, options), this.hears(from, options)]);
  }

  /**
   * Waits for a condition on the snapshot.
   *
   * @param {string} what
   * @param {(snapshot: any) => unknown} condition
   * @param {{within?: number}} [options]
   */
  async observes(what, condition, options) {
    return this.#until(what, async () => {
      const snapshot = await this.snapshot();
      return (await condition(snapshot)) && snapshot;
    }, options);
  }

  /** Clicks a button by the name that a screen reader would say. @param {string} label */
  async press(label) {
    const button = await this.page.waitForSelector(`button[aria-label="${label}"]`, { visible: true });
    await button?.click();
  }

  /** Closes the tab, as people do: without a goodbye of the test. */
  async close() {
    await this.page.browserContext().close();
  }

  /** Uncaught errors of the page so far. */
  get errors() {
    return this.#errors;
  }

  /** What the page wrote to its console. */
  get console() {
    return this.#console.join('\n');
  }

  /** The page's own account of its state, for a failed test, and the server's. @returns {Promise<unknown>} */
  async report() {
    const own = await this.page.evaluate(async () => {
      const sfu = globalThis.__sfu;
      return { report: await sfu?.room?.report?.(), snapshot: await sfu?.snapshot?.() };
    });
    return { ...own, decisions: await this.decisions().catch(String) };
  }

  /** Why it receives what it receives, as the server explains it. @returns {Promise<any>} */
  async decisions() {
    return this.page.evaluate(async () => {
      const { name, local } = globalThis.__sfu.room;
      return (await fetch(`/api/v1/rooms/${name}/participants/${local.id}/decisions`)).json();
    });
  }

  /**
   * @param {string} what
   * @param {Which} which
   * @param {number | undefined} within
   * @param {(now: Received, then: Received) => boolean} enough
   * @returns {Promise<Received>}
   */
  async #progress(what, which, within, enough) {
    /** @type {Received | undefined} */
    let then;
    return this.#until(what, async () => {
      const now = await this.received(which);
      if (!now) return undefined;
      // Another track or another connection counts for itself.
      if (then?.track !== now.track || now.packetsReceived < then.packetsReceived) then = now;
      return enough(now, then) ? now : undefined;
    }, { within });
  }

  /**
   * @template T
   * @param {string} what
   * @param {() => Promise<T>} condition
   * @param {{within?: number}} [options]
   */
  async #until(what, condition, options) {
    const describe = async () => summary(await this.snapshot());
    return until(`${this.name} ${what}`, condition, { ...options, describe });
  }
}

/**
 * A snapshot in a few lines, for the message of a failed test; the whole is among the evidence.
 *
 * @param {{state: string, received: Received[]}} snapshot
 */
function summary({ state, received }) {
  const lines = received.map((track) => {
    const { name, kind, source, packetsReceived, framesDecoded, totalSamplesReceived } = track;
    const progress = kind === 'video' ? `${framesDecoded} frames` : `${totalSamplesReceived} samples`;
    return `  ${name}: ${source}, ${packetsReceived} packets, ${progress}`;
  });
  return [`state ${state}, receiving ${received.length} tracks`, ...lines].join('\n');
}
