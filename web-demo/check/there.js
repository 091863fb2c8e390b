/** What needs the server: that it answers, by which ways media reaches it, and a call with oneself. */

import { oneWay } from '../app/one-way.js';
import { decisions, rate } from '../app/rates.js';
import { Room, SfuError } from '../sdk/index.js';
import { median, ms, pause, within } from './card.js';
import { beeps, clock, hearBeeps, readClock } from './signal.js';
import { text } from './strings.js';

/** @typedef {import('./card.js').Result} Result */
/** @typedef {import('../app/one-way.js').Way} Way */

const TRIES = 5;
const SLOW_MS = 400;
const ECHO_MS = 6_000;
const MESSAGES = 10;
/** A delay above which people interrupt each other (ITU-T G.114 has 400 ms as the limit, one way and back here). */
const LATE_MS = 400;
const LOSS_MAX = 0.02;

/** @returns {Promise<Result>} */
export async function server() {
  const times = [];
  for (let i = 0; i < TRIES; i++) {
    const since = performance.now();
    const answer = await fetch('/livez', { cache: 'no-store' }).catch(() => null);
    if (!answer?.ok) return { state: 'bad', said: text.server.http, figures: { status: answer?.status ?? null } };
    times.push(performance.now() - since);
  }
  const http_ms = Math.round(median(times) ?? 0);
  const socket = await greeting().catch(() => null);
  if (!socket) return { state: 'bad', said: text.server.socket, figures: { http_ms } };
  const figures = { http_ms, socket_ms: socket.ms, version: socket.version, protocol: location.protocol };
  const slow = http_ms > SLOW_MS;
  return { state: slow ? 'warn' : 'ok', said: text.server.reached(http_ms, socket.ms), hints: slow ? [text.server.slow] : [], figures };
}

/** How long until the server says hello. @returns {Promise<{ms: number, version: string}>} */
function greeting() {
  const since = performance.now();
  const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/ws`, 'sfu.v1');
  const hello = new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => resolve({ ms: Math.round(performance.now() - since), version: JSON.parse(data).version ?? '' });
    socket.onerror = reject;
  });
  return within(hello, 5_000).finally(() => socket.close());
}

/** Each way by itself. @returns {Promise<Result>} */
export async function paths() {
  /** @type {Record<string, object>} */
  const figures = {};
  const [works, missing] = [/** @type {string[]} */ ([]), /** @type {string[]} */ ([])];
  for (const way of /** @type {Way[]} */ (['udp', 'tcp', 'relay'])) {
    const found = await reach(way);
    figures[way] = found;
    if (!found.offered) missing.push(text.paths.ways[way]);
    else if (found.ms !== null) works.push(text.paths.way(text.paths.ways[way], found.ms));
  }
  const hints = missing.length ? [text.paths.notOffered(missing.join(', '))] : [];
  if (!works.length) return { state: 'bad', said: text.paths.none, hints, figures };
  const udp = /** @type {{ms: number | null}} */ (figures.udp).ms !== null;
  return { state: udp ? 'ok' : 'warn', said: text.paths.works(works.join(', ')), hints: udp ? hints : [text.paths.noUdp, ...hints], figures };
}

/**
 * A connection that is told of candidates of one kind only.
 * @param {Way} way
 * @returns {Promise<{offered: boolean, ms: number | null, error: object | null}>}
 */
async function reach(way) {
  let offered = false;
  const room = new Room({ RTCPeerConnection: oneWay(way, (found) => (offered = found)) });
  const since = performance.now();
  const abort = new AbortController();
  const joined = room.join({ room: testRoom(), name: 'check', subscribe: 'manual', signal: abort.signal });
  // Without a candidate it would wait in vain for all of its time.
  const timer = setInterval(() => room.pc?.remoteDescription && !offered && abort.abort(new SfuError('ice_failed')), 50);
  try {
    await joined;
    return { offered, ms: Math.round(performance.now() - since), error: null };
  } catch (cause) {
    return { offered, ms: null, error: cause instanceof SfuError ? cause.toJSON() : { message: String(cause) } };
  } finally {
    clearInterval(timer);
    await room.leave();
  }
}

/** A call with oneself. */
export class Echo {
  #sender = new Room();
  #receiver = new Room();
  #video = document.createElement('video');
  #room = testRoom();

  /** Where the picture that came back shows. @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  /** @returns {Promise<Result>} */
  async run() {
    const since = performance.now();
    const [picture, sound] = [clock(), beeps()];
    try {
      this.#sender.publish(picture.track, { source: 'camera', simulcast: false });
      this.#sender.publish(sound.track, { source: 'microphone' });
      /** @type {(() => number[]) | null} */
      let heard = null;
      const first = new Promise((resolve) => this.#receiver.on('track', ({ track }) => {
        const { kind, mediaStreamTrack: media } = track;
        if (!media) return;
        if (kind === 'audio') {
          track.attach();
          heard = hearBeeps(media, sound.times).stop;
        } else {
          // Not attached: it is to come also while it is scrolled away.
          this.#video.srcObject = new MediaStream([media]);
          this.#video.requestVideoFrameCallback(() => resolve(performance.now() - since));
        }
      }));
      await Promise.all([this.#sender.join({ room: this.#room, name: 'sends' }), this.#receiver.join({ room: this.#room, name: 'receives' })]);
      const first_ms = Math.round(await within(first, 10_000));
      const seen = readClock(this.#video);
      await pause(ECHO_MS);
      const video_ms = median(seen.stop());
      const audio_ms = median(/** @type {(() => number[]) | null} */ (heard)?.() ?? []);
      return await this.#judge({ first_ms, video_ms, audio_ms });
    } finally {
      picture.stop();
      sound.stop();
    }
  }

  /** @param {{first_ms: number, video_ms: number | null, audio_ms: number | null}} times */
  async #judge({ first_ms, video_ms, audio_ms }) {
    const [sent, got, said] = await Promise.all([this.#sender.stats(), this.#receiver.stats(), decisions(this.#receiver)]);
    const packets = got.received.reduce((sum, each) => sum + each.packetsReceived, 0);
    const lost = got.received.reduce((sum, each) => sum + Math.max(0, each.packetsLost), 0);
    const loss = lost / Math.max(1, lost + packets);
    const up_bps = sent.transport?.outgoing_bps ?? null;
    const down_bps = said?.estimate.target_bps ?? null;
    const [picture] = got.received.filter(({ kind }) => kind === 'video');
    const figures = { first_ms, video_ms, audio_ms, loss, up_bps, down_bps, rtt_ms: got.transport?.rtt_ms ?? null, codec: picture?.codec, frames: picture?.framesDecoded, freezes: picture?.freezeCount, candidate: got.transport?.local };
    const { echo } = text;
    const bps = (/** @type {number | null} */ value) => (value === null ? echo.unknown : rate(value));
    const hints = [echo.quality(`${(loss * 100).toFixed(1)} %`, bps(up_bps), bps(down_bps))];
    if (loss > LOSS_MAX) hints.push(echo.lossy);
    if ((video_ms ?? 0) > LATE_MS) hints.push(echo.late);
    const state = audio_ms === null || hints.length > 1 ? 'warn' : 'ok';
    return /** @type {Result} */ ({ state, said: echo.works(first_ms, ms(video_ms), audio_ms === null ? echo.silent : ms(audio_ms)), hints, figures });
  }

  /** Messages over the same call. @returns {Promise<Result>} */
  async messages() {
    if (this.#sender.state !== 'connected') return { state: 'skip', said: '' };
    const off = this.#receiver.on('data', ({ from, payload, reliable }) => void (from && this.#receiver.send(payload, { to: [from], reliable })));
    const [reliable, lossy] = [await this.#roundTrips(true), await this.#roundTrips(false)];
    off();
    const figures = { reliable_ms: median(reliable), lossy_ms: median(lossy), lossyLost: MESSAGES - lossy.length };
    if (!reliable.length) return { state: 'bad', said: text.data.lost, figures };
    return { state: lossy.length < MESSAGES / 2 ? 'warn' : 'ok', said: text.data.works(ms(median(reliable)), ms(median(lossy))), figures };
  }

  /** @param {boolean} reliable */
  async #roundTrips(reliable) {
    const times = [];
    for (let i = 0; i < MESSAGES; i++) {
      const since = performance.now();
      const payload = `${reliable} ${i}`;
      /** @type {() => void} */
      let off = () => {};
      const back = new Promise((resolve) => {
        off = this.#sender.on('data', (message) => message.payload === payload && resolve(performance.now() - since));
      });
      await this.#sender.send(payload, { to: [this.#receiver.local.id ?? ''], reliable });
      const time = await within(back, reliable ? 3_000 : 1_000).catch(() => null);
      off();
      if (time === null && reliable) break;
      if (time !== null) times.push(time);
    }
    return times;
  }

  async close() {
    await Promise.all([this.#sender.leave(), this.#receiver.leave()]);
  }
}

/** Nobody else is in there. */
const testRoom = () => `check-${crypto.randomUUID()}`;
