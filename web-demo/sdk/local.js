/** What this side sends: a handle that outlives connections, and how a track is to be encoded. */

/** @typedef {import('./protocol.d.ts').Source} Source */
/** @typedef {'vp8' | 'vp9' | 'h264' | 'av1'} VideoCodec */

/**
 * @typedef {object} PublishOptions
 * @property {Source} [source] by default `camera` or `microphone`, by the track's kind
 * @property {string} [name] a label for people
 * @property {boolean | 'auto'} [simulcast] several encodings of one picture; `auto` (default): as many as are of use
 * @property {VideoCodec} [codec] send this one only
 * @property {string} [svc] layers of one stream, by the name of the mode; by default `L3T3` for cameras in VP9 or AV1
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

/** The codecs that have layers within one stream, and the mode that cameras send them in. @type {Record<string, string>} */
const SVC = { vp9: 'L3T3', av1: 'L3T3' };
/** On a thin link a shared screen loses frames before letters blur. */
const SCREEN = [{ rid: 'h', maxBitrate: 400_000, maxFramerate: 5 }, { rid: 'f', maxBitrate: 2_500_000 }];
/** Bits per second for a picture of so many lines: 0.2 million for 180, 0.6 for 360, 1.7 for 720, 3.1 for 1080. @param {number} lines */
const bitrate = (lines) => Math.round(88 * lines ** 1.5);

/**
 * @param {MediaStreamTrack} track
 * @param {Source} source
 * @param {PublishOptions} options
 * @returns {(RTCRtpEncodingParameters & {scalabilityMode?: string})[]} from the smallest picture to the largest, as Chromium wants them
 */
export function encodings(track, source, { simulcast = 'auto', codec = 'vp8', svc }) {
  if (track.kind !== 'video') return [];
  const isScreen = source === 'screen';
  const auto = simulcast === 'auto';
  if (isScreen && simulcast && !svc && !SVC[codec]) return SCREEN;
  const height = track.getSettings?.().height || 720;
  const maxBitrate = isScreen ? SCREEN[1].maxBitrate : bitrate(height);
  const scalabilityMode = svc ?? (auto && !isScreen ? SVC[codec] : undefined);
  const layers = auto ? (height < 360 ? 1 : height < 720 ? 2 : 3) : simulcast ? 3 : 1;
  if (scalabilityMode) return [{ scalabilityMode, maxBitrate }];
  if (isScreen || layers === 1) return [{ maxBitrate }];
  return ['q', 'h', 'f'].slice(-layers).map((rid, i) => {
    const scaleResolutionDownBy = 2 ** (layers - 1 - i);
    // Without a mode Chromium makes spatial layers of one stream out of VP9 and AV1 encodings.
    const mode = SVC[codec] ? { scalabilityMode: 'L1T1' } : {};
    return { rid, scaleResolutionDownBy, maxBitrate: bitrate(height / scaleResolutionDownBy), ...mode };
  });
}

/**
 * @param {'RTCRtpSender' | 'RTCRtpReceiver'} side
 * @param {'audio' | 'video'} kind
 * @param {RegExp} wanted
 */
const capabilities = (side, kind, wanted) =>
  (globalThis[side]?.getCapabilities(kind)?.codecs ?? []).filter((c) => wanted.test(c.mimeType + c.sdpFmtpLine));

/**
 * What to offer so that only `codec` is sent, and what repairs it; nothing: the browser's own choice.
 * @param {VideoCodec} codec
 */
export function sentCodecs(codec) {
  const list = capabilities('RTCRtpSender', 'video', RegExp(`/(${codec}|rtx|red|ulpfec|flexfec)`, 'i'));
  return list.some(({ mimeType }) => mimeType.toLowerCase() === `video/${codec}`) ? list : [];
}

const RECEIVED = /opus|vp8|rtx|(vp9|av1)(?!.*profile(-id)?=[1-9])|h264(?=.*mode=1).*=(42e|4d|64)/i;

/**
 * What a receiving m-line offers: one profile of each codec, for an offer with every profile the
 * browser knows outgrows the server's limit at a dozen people.
 * @param {'audio' | 'video'} kind
 */
export const receivedCodecs = (kind) => capabilities('RTCRtpReceiver', kind, RECEIVED);
