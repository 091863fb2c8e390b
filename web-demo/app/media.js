/** Camera, microphone, speaker: opening, choosing, remembering, and why one is missing. */

import { Emitter } from '../sdk/events.js';
import { SfuError, fromDevices } from '../sdk/index.js';

/** @typedef {'camera' | 'microphone'} Device */
/** @typedef {'camera' | 'microphone' | 'speaker'} Choice */

const KIND = /** @type {const} */ ({ camera: 'videoinput', microphone: 'audioinput', speaker: 'audiooutput' });

/** @extends {Emitter<{change: {}, sink: {id: string}}>} */
export class Media extends Emitter {
  /** @type {Record<Device, MediaStreamTrack | null>} */
  tracks = { camera: null, microphone: null };
  /** Why it cannot be had. @type {Record<Device, SfuError | null>} */
  errors = { camera: null, microphone: null };
  /** @type {Record<Choice, MediaDeviceInfo[]>} */
  devices = { camera: [], microphone: [], speaker: [] };
  /** @type {AudioContext | null} */
  #audio = null;

  /** @param {{width: number, height: number}} picture */
  constructor(picture) {
    super();
    this.picture = picture;
    navigator.mediaDevices?.addEventListener?.('devicechange', () => void this.refresh());
  }

  /**
   * Opens what is wanted: together (one question by the browser), and one by one where that fails,
   * so that a missing camera does not cost the microphone.
   * @param {{audio: boolean, video: boolean}} wanted
   */
  async open(wanted) {
    if (!wanted.audio && !wanted.video) return;
    if (!navigator.mediaDevices?.getUserMedia) {
      const error = new SfuError('insecure_page');
      this.errors = { camera: wanted.video ? error : null, microphone: wanted.audio ? error : null };
      return this.emit('change', {});
    }
    if (remembered('camera') || remembered('microphone')) await this.refresh();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        ...(wanted.audio ? { audio: this.#constraints('microphone') } : {}),
        ...(wanted.video ? { video: this.#constraints('camera') } : {}),
      });
      for (const track of stream.getTracks()) this.#take(track.kind === 'video' ? 'camera' : 'microphone', track);
    } catch (cause) {
      const error = fromDevices(cause);
      if (wanted.audio && wanted.video && error.code !== 'permission_denied') {
        await this.start('microphone').catch(() => {});
        await this.start('camera').catch(() => {});
      } else {
        if (wanted.video) this.errors.camera = error;
        if (wanted.audio) this.errors.microphone = error;
      }
    }
    await this.refresh();
  }

  /**
   * Opens one device, in place of the one in use.
   * @param {Device} device
   * @returns {Promise<MediaStreamTrack>}
   */
  async start(device) {
    try {
      if (!navigator.mediaDevices?.getUserMedia) throw new SfuError('insecure_page');
      // Some systems open a camera once only: let go of the old one first.
      if (device === 'camera') this.tracks.camera?.stop();
      const stream = await navigator.mediaDevices.getUserMedia({
        [device === 'camera' ? 'video' : 'audio']: this.#constraints(device),
      });
      const [track] = stream.getTracks();
      this.#take(device, track);
      void this.refresh();
      return track;
    } catch (cause) {
      this.errors[device] = fromDevices(cause);
      this.emit('change', {});
      throw this.errors[device];
    }
  }

  /** @param {Device} device */
  stop(device) {
    this.tracks[device]?.stop();
    this.tracks[device] = null;
    this.emit('change', {});
  }

  /** @param {Choice} choice */
  chosen(choice) {
    return remembered(choice);
  }

  /**
   * @param {Choice} choice
   * @param {string} id
   */
  choose(choice, id) {
    remember(choice, id);
    if (choice === 'speaker') this.emit('sink', { id });
  }

  /** Reads the lists again. */
  async refresh() {
    const all = await navigator.mediaDevices?.enumerateDevices?.().catch(() => []) ?? [];
    for (const choice of /** @type {Choice[]} */ (Object.keys(KIND))) {
      this.devices[choice] = all.filter(({ kind, deviceId }) => kind === KIND[choice] && deviceId !== '');
    }
    this.emit('change', {});
  }

  /**
   * Reports the microphone's level, 0 to 1, until it is told to stop.
   * @param {(level: number) => void} show
   * @returns {() => void}
   */
  meter(show) {
    let live = true;
    /** @type {MediaStreamTrack | null} */ let heard = null;
    /** @type {AnalyserNode | null} */ let analyser = null;
    const samples = new Float32Array(512);
    const tick = () => {
      if (!live) return;
      const track = this.tracks.microphone;
      if (track !== heard) {
        heard = track;
        analyser = track && this.#analyser(track);
      }
      analyser?.getFloatTimeDomainData(samples);
      const power = analyser ? samples.reduce((sum, x) => sum + x * x, 0) / samples.length : 0;
      // −60 dBFS and less is silence.
      show(power > 0 ? Math.max(0, 1 + (10 * Math.log10(power)) / 60) : 0);
      requestAnimationFrame(tick);
    };
    tick();
    return () => {
      live = false;
      void this.#audio?.close();
      this.#audio = null;
    };
  }

  /** @param {MediaStreamTrack} track */
  #analyser(track) {
    this.#audio ??= new AudioContext();
    void this.#audio.resume().catch(() => {});
    const analyser = this.#audio.createAnalyser();
    analyser.fftSize = 512;
    this.#audio.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    return analyser;
  }

  /**
   * @param {Device} device
   * @param {MediaStreamTrack} track
   */
  #take(device, track) {
    if (this.tracks[device] !== track) this.tracks[device]?.stop();
    this.tracks[device] = track;
    this.errors[device] = null;
    this.emit('change', {});
  }

  /** @param {Device} device */
  #constraints(device) {
    const id = remembered(device);
    // A wish for one that is there would be weighed against the size of the picture, and lose.
    const there = this.devices[device].some(({ deviceId }) => deviceId === id);
    const chosen = id ? { deviceId: there ? { exact: id } : { ideal: id } } : {};
    if (device === 'microphone') return { ...chosen, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const { width, height } = this.picture;
    return { ...chosen, width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30, max: 30 } };
  }
}

/** Where storage is forbidden nothing is remembered, and nothing else changes. @param {string} key */
export function remembered(key) {
  try {
    return localStorage.getItem(`sfu.${key}`) ?? '';
  } catch {
    return '';
  }
}

/**
 * @param {string} key
 * @param {string} value
 */
export function remember(key, value) {
  try {
    localStorage.setItem(`sfu.${key}`, value);
  } catch {
    // as above
  }
}
