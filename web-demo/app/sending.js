/** What this side sends, and switching it: microphone, camera, screen. */

import { Emitter } from '../sdk/events.js';
import { SfuError, fromDevices } from '../sdk/index.js';

/** @typedef {import('../sdk/index.js').Room} Room */
/** @typedef {import('../sdk/index.js').LocalTrack} LocalTrack */
/** @typedef {import('./media.js').Media} Media */
/** @typedef {import('./media.js').Device} Device */
/** @typedef {import('./params.js').Params} Params */

/** @extends {Emitter<{change: {}, error: {error: SfuError}, lost: {device: Device}}>} */
export class Sending extends Emitter {
  /** @type {Record<Device, LocalTrack | null>} */
  #handles = { camera: null, microphone: null };
  /** @type {LocalTrack[]} the shared screen and its sound */
  #shared = [];
  /** One switch at a time for each device: a second press waits for the first. */
  #busy = new Set();
  #started = false;

  /**
   * @param {Room} room
   * @param {Media} media
   * @param {Params} params
   */
  constructor(room, media, params) {
    super();
    this.room = room;
    this.media = media;
    this.params = params;
    media.on('change', () => this.#opened());
    room.on('localtrackended', ({ track }) => this.#ended(track));
    room.on('trackmuted', ({ track }) => this.#mutedByServer(track));
  }

  get micOn() {
    const handle = this.#handles.microphone;
    return handle !== null && !handle.muted;
  }

  /** Whether a press is all it takes to be heard. */
  get canTalk() {
    const handle = this.#handles.microphone;
    return handle !== null && handle.muted && handle.mediaStreamTrack?.readyState === 'live';
  }

  get cameraOn() {
    const handle = this.#handles.camera;
    return handle !== null && !handle.muted;
  }

  /** The own screen while it is shared. */
  get screen() {
    return this.#shared.find(({ kind }) => kind === 'video')?.mediaStreamTrack ?? null;
  }

  get canShare() {
    return Boolean(navigator.mediaDevices?.getDisplayMedia);
  }

  /** Publishes what the lobby has opened; before `join`, so that it is in the first offer. */
  start() {
    this.#started = true;
    const { microphone, camera } = this.media.tracks;
    if (microphone && !this.#handles.microphone) this.#publish('microphone', microphone, !microphone.enabled);
    if (camera && !this.#handles.camera) this.#publish('camera', camera);
  }

  /** A device that opens after one has joined: the question about it was answered late. */
  #opened() {
    if (!this.#started || this.#busy.size) return;
    this.start();
    this.emit('change', {});
  }

  /** Ends everything and lets go of the devices. */
  stop() {
    this.#started = false;
    this.#stopShare();
    for (const device of /** @type {Device[]} */ (['camera', 'microphone'])) {
      this.#handles[device]?.stop();
      this.#handles[device] = null;
      this.media.stop(device);
    }
  }

  toggleMic() {
    return this.#switching('microphone', async () => {
      const handle = this.#handles.microphone;
      if (handle && handle.mediaStreamTrack?.readyState === 'live') return handle.setMuted(!handle.muted);
      await this.#open('microphone');
    });
  }

  /** The microphone off, whatever it was. */
  silence() {
    return this.#switching('microphone', () => this.#handles.microphone?.setMuted(true));
  }

  /** The camera is let go of while it is off, so that its light goes out; the m-line stays. */
  toggleCamera() {
    return this.#switching('camera', async () => {
      const handle = this.#handles.camera;
      if (!handle || handle.muted) return this.#open('camera');
      handle.mute();
      await handle.replace(null);
      this.media.stop('camera');
    });
  }

  toggleShare() {
    return this.#switching('screen', async () => {
      if (this.#shared.length) return this.#stopShare();
      try {
        const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: true });
        this.#shared = stream.getTracks().map((track) => this.room.publish(track, { source: track.kind === 'video' ? 'screen' : 'screen_audio' }));
      } catch (cause) {
        const error = fromDevices(cause);
        if (error.code !== 'permission_denied') throw error; // else they changed their mind
      }
    });
  }

  /** Another device was chosen. @param {Device} device */
  chosen(device) {
    const handle = this.#handles[device];
    if (handle && !(device === 'camera' && handle.muted)) return this.#switching(device, () => this.#open(device, handle.muted));
  }

  /**
   * @param {Device} device
   * @param {boolean} [muted]
   */
  async #open(device, muted = false) {
    const track = await this.media.start(device);
    const handle = this.#handles[device];
    if (!handle) return this.#publish(device, track);
    await handle.replace(track);
    handle.setMuted(muted);
  }

  /**
   * @param {Device} device
   * @param {MediaStreamTrack} track
   * @param {boolean} [muted]
   */
  #publish(device, track, muted = false) {
    const { codec, simulcast, svc } = this.params;
    const video = device === 'camera' ? { simulcast, ...(codec ? { codec } : {}), ...(svc ? { svc } : {}) } : {};
    const handle = this.room.publish(track, { source: device, muted, ...video });
    this.#handles[device] = handle;
    // Refused by the server: the switch shows it as off, and may be tried again.
    handle.ready.catch(() => {
      if (this.#handles[device] !== handle) return;
      this.#handles[device] = null;
      this.emit('change', {});
    });
  }

  #stopShare() {
    for (const handle of this.#shared) {
      handle.mediaStreamTrack?.stop();
      handle.stop();
    }
    this.#shared = [];
  }

  /** @param {LocalTrack} track */
  #ended(track) {
    if (this.#shared.includes(track)) {
      this.#stopShare();
    } else {
      const device = track.kind === 'video' ? 'camera' : 'microphone';
      track.mute();
      this.media.stop(device);
      this.emit('lost', { device });
    }
    this.emit('change', {});
  }

  /** @param {{source: string, muted: boolean}} track */
  #mutedByServer(track) {
    const handle = this.#handles.camera;
    if (track === handle && handle.muted) {
      void handle.replace(null);
      this.media.stop('camera');
    }
    this.emit('change', {});
  }

  /**
   * @param {Device | 'screen'} what
   * @param {() => unknown} action
   */
  async #switching(what, action) {
    if (this.#busy.has(what)) return;
    this.#busy.add(what);
    try {
      await action();
    } catch (cause) {
      this.emit('error', { error: fromDevices(cause) });
    } finally {
      this.#busy.delete(what);
      this.emit('change', {});
    }
  }
}
