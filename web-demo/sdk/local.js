/** What this side sends: a handle that outlives connections, and how a track is to be encoded. */

/** @typedef {import('./protocol.d.ts').Source} Source */
/** @typedef {'vp8' | 'vp9' | 'h264' | 'av1'} VideoCodec */

/**
 * @typedef {object} PublishOptions
 * @property {Source} [source] by default `camera` or `microphone`, by the track's kind
 * @property {string} [name] a label for people
 * @property {boolean | 'auto'} [simulcast] three encodings of one picture; `auto` (default): for cameras of 720 lines or more
 * @property {VideoCodec} [codec] send this one only
 * @property {boolean} [muted] start muted
 */

/** What a handle needs of its room. @typedef {{muteChanged: (track: LocalTrack) => void, replaced: (track: LocalTrack) => Promise<void>, stopped: (track: LocalTrack) => void}} Owner */

/** A published track. It is published again by itself after each reconnection. */
export class LocalTrack {
  #owner;
  /** @type {() => void} */ #resolve = () => {};
  /** @type {(error: unknown) => void} */ #reject = () => {};

  /**
   * @param {Owner} owner
   * @param {MediaStreamTrack} track
   * @param {PublishOptions} options
   */
  constructor(owner, track, options) {
    this.#owner = owner;
    this.kind = /** @type {'audio' | 'video'} */ (track.kind);
    /** @type {Source} */
    this.source = options.source ?? (this.kind === 'audio' ? 'microphone' : 'camera');
    this.name = options.name ?? '';
    this.codec = options.codec;
    this.muted = options.muted ?? false;
    this.stopped = false;
    /** The server's id of the track; changes with a reconnection. @type {string | null} */
    this.id = null;
    /** @type {MediaStreamTrack | null} */
    this.mediaStreamTrack = track;
    this.encodings = encodings(track, this.source, options);
    /** Settles when the server has taken the track (or refused it: SfuError). @type {Promise<void>} */
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.ready.catch(() => {}); // whoever does not look at it is told by the room's `error` event
    if (this.muted) track.enabled = false;
    if (this.source === 'screen' && 'contentHint' in track && !track.contentHint) track.contentHint = 'detail';
  }

  mute() {
    this.setMuted(true);
  }

  unmute() {
    this.setMuted(false);
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    if (this.mediaStreamTrack) this.mediaStreamTrack.enabled = !muted;
    this.muted = muted;
    if (!this.stopped) this.#owner.muteChanged(this);
  }

  /**
   * Sends another track of the same kind from now on, or nothing (`null`); nobody has to
   * negotiate for it.
   * @param {MediaStreamTrack | null} track
   */
  async replace(track) {
    this.mediaStreamTrack = track;
    if (track) track.enabled = !this.muted;
    await this.#owner.replaced(this);
  }

  /** Ends the publication. The MediaStreamTrack stays the caller's, to stop or to use. */
  stop() {
    if (this.stopped) return;
    this.stopped = true;
    this.#owner.stopped(this);
  }

  /**
   * For the library: the server took the track.
   * @param {string} id
   */
  accepted(id) {
    this.id = id;
    this.#resolve();
  }

  /**
   * For the library: it did not.
   * @param {unknown} error
   */
  refused(error) {
    this.#reject(error);
  }
}

/** Bits per second for a picture of so many lines. */
const BITRATE_BY_HEIGHT = [[1080, 3_000_000], [720, 1_700_000], [480, 900_000], [360, 600_000], [0, 350_000]];
const SCREEN_BITRATE = 2_500_000;
const SIMULCAST_HEIGHT_MIN = 720;

/** @param {number} height */
function bitrate(height) {
  return BITRATE_BY_HEIGHT.find(([lines]) => height >= lines)?.[1];
}

/**
 * @param {MediaStreamTrack} track
 * @param {Source} source
 * @param {PublishOptions} options
 * @returns {RTCRtpEncodingParameters[]} from the smallest picture to the largest, as Chromium wants them
 */
export function encodings(track, source, { simulcast = 'auto', codec }) {
  if (track.kind !== 'video') return [];
  if (source === 'screen') return [{ maxBitrate: SCREEN_BITRATE }];
  const height = track.getSettings?.().height ?? 0;
  const layered = simulcast === 'auto' ? source === 'camera' && height >= SIMULCAST_HEIGHT_MIN : simulcast;
  if (!layered) return [{ maxBitrate: bitrate(height || 720) }];
  // Without a mode Chromium makes spatial layers of one stream out of VP9 and AV1 encodings.
  const mode = codec === 'vp9' || codec === 'av1' ? { scalabilityMode: 'L1T1' } : {};
  const lines = height || SIMULCAST_HEIGHT_MIN;
  return [
    { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000, ...mode },
    { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000, ...mode },
    { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: bitrate(lines), ...mode },
  ];
}

/**
 * The capabilities to prefer so that only `codec` (and what repairs it) is offered.
 * @param {VideoCodec | undefined} codec
 * @returns {RTCRtpCodec[] | null} `null`: no wish, or the browser has no such codec
 */
export function codecPreference(codec) {
  if (!codec || typeof RTCRtpSender === 'undefined') return null;
  const all = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
  const wanted = all.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${codec}`);
  const repair = all.filter(({ mimeType }) => /\/(rtx|red|ulpfec|flexfec)/i.test(mimeType));
  return wanted.length ? [...wanted, ...repair] : null;
}

const RECEIVED = /opus|vp8|rtx|(vp9|av1)(?!.*profile(-id)?=[1-9])|h264(?=.*mode=1).*=(42e|4d|64)/i;

/**
 * What a receiving m-line offers: one profile of each codec, for an offer with every profile the
 * browser knows outgrows the server's limit at a dozen people.
 * @param {'audio' | 'video'} kind
 */
export const receivedCodecs = (kind) =>
  (globalThis.RTCRtpReceiver?.getCapabilities(kind)?.codecs ?? []).filter((c) => RECEIVED.test(c.mimeType + c.sdpFmtpLine));
