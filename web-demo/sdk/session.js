/** One visit to the room: a WebSocket and a peer connection that live and end together. */

import { SfuError } from './errors.js';
import { Peer } from './peer.js';
import { Signalling } from './signalling.js';

/** @typedef {import('./local.js').LocalTrack} LocalTrack */
/** @typedef {import('./protocol.d.ts').EventMessage} EventMessage */
/** @typedef {import('./protocol.d.ts').Assignment} Assignment */
/** @typedef {import('./protocol.d.ts').Requests} Requests */

/**
 * @typedef {object} JoinOptions
 * @property {string} room
 * @property {string} [name] shown to the others
 * @property {string} [metadata] whatever the application wants to say of this participant
 * @property {string | URL} [url] of the server's WebSocket (ws, wss, http or https); by default `/ws` of this page's host
 * @property {string} [token] who one is and what one may do, signed by whoever runs the server
 * @property {'auto' | 'manual'} [subscribe] `manual`: receive nothing but what `room.subscribe` names
 * @property {AbortSignal} [signal] ends the attempt to join
 * @property {boolean} [direct] `false`: never exchange media with another participant directly. Where the room's settings allow it, one who is alone with another does, and learns its addresses
 * @property {RTCIceServer[]} [iceServers] instead of those that the server names
 * @property {RTCIceTransportPolicy} [iceTransport] `relay`: by TURN only
 */

/**
 * @typedef {object} SessionOwner
 * @property {(session: Session, message: EventMessage) => void} message
 * @property {(session: Session, close: {code: number, reason: string}) => void} lost the WebSocket ended
 * @property {(session: Session, state: RTCPeerConnectionState) => void} transport
 * @property {(assigned: Assignment[]) => void} assigned
 * @property {(message: import('./data.js').Message) => void} data
 * @property {(error: SfuError) => void} error
 */

const MEDIA_MS_MAX = 15_000;
/** Slots offered at once: no second round trip for a room of five. */
const SLOTS_FIRST = 4;
const SLOTS_FIRST_MAX = 40;

export class Session {
  #platform;
  #options;
  #closed = false;
  /** @type {(error: unknown) => void} */
  #abandon = () => {};
  /** The reply to `join`. @type {Requests['join']['reply'] | null} */
  joined = null;

  /**
   * @param {import('./platform.js').Platform} platform
   * @param {JoinOptions} options
   * @param {SessionOwner} owner
   */
  constructor(platform, options, owner) {
    if (!platform.RTCPeerConnection) throw new SfuError('unsupported_browser');
    this.#platform = platform;
    this.#options = options;
    this.signalling = new Signalling(platform);
    this.signalling.on('message', (message) => owner.message(this, message));
    this.signalling.on('close', (close) => owner.lost(this, close));
    // Made before the WebSocket opens, so that the certificate is ready when it has.
    this.peer = new Peer(
      platform,
      {
        iceServers: options.iceServers ?? [],
        iceTransportPolicy: options.iceTransport ?? 'all',
      },
      {
        request: (type, fields) => this.signalling.request(type, fields),
        assigned: owner.assigned,
        data: owner.data,
        state: (state) => owner.transport(this, state),
        error: (error) => this.#closed || owner.error(error),
      },
    );
  }

  /** Opens the WebSocket and enters the room. */
  async join() {
    const { room, name = '', metadata, subscribe, token, direct = true, iceTransport } = this.#options;
    await this.signalling.connect(socketUrl(this.#options.url));
    this.joined = await this.signalling.request('join', {
      room,
      name,
      resume: true,
      ...(metadata === undefined ? {} : { metadata }),
      ...(subscribe === undefined ? {} : { subscribe }),
      ...(token === undefined ? {} : { token }),
      // Who receives by choice, or hides its address, goes by way of the server.
      ...(direct && subscribe !== 'manual' && iceTransport !== 'relay' ? { direct } : {}),
    });
    const { ice_servers: iceServers, resume_key: key } = this.joined;
    this.signalling.keep(key);
    if (iceServers && !this.#options.iceServers) this.peer.useIceServers(iceServers);
    return this.joined;
  }

  /**
   * Makes the first offer, with slots for what is known to be there; settles when media can flow.
   * @param {Iterable<LocalTrack>} locals
   */
  async start(locals) {
    const tracks = (this.joined?.participants ?? []).flatMap((participant) => participant.tracks);
    if (this.#options.subscribe !== 'manual') {
      for (const kind of /** @type {const} */ (['audio', 'video'])) {
        const known = tracks.filter((track) => track.kind === kind).length;
        this.peer.addSlots(kind, Math.min(SLOTS_FIRST_MAX, Math.max(SLOTS_FIRST, known)));
      }
    }
    for (const local of locals) this.peer.publish(local);
    const connected = this.#connected();
    // A refused offer ends the wait, and so does whatever ends the wait early.
    await Promise.race([connected, this.peer.negotiate().then(() => connected)]);
  }

  /** Goes on over a new WebSocket where the last one broke, with the same media. */
  resume() {
    return this.signalling.resume(socketUrl(this.#options.url));
  }

  /** Gives up waiting. @param {unknown} error */
  fail(error) {
    this.#abandon(error);
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.fail(new SfuError('not_connected', { detail: 'closed meanwhile' }));
    this.signalling.close();
    this.peer.close();
  }

  /** @returns {Promise<void>} */
  #connected() {
    const { pc } = this.peer;
    return new Promise((resolve, reject) => {
      const timer = this.#platform.setTimeout(() => done(() => reject(transportError(pc))), MEDIA_MS_MAX);
      const look = () => {
        if (pc.connectionState === 'connected') done(resolve);
        else if (pc.connectionState === 'failed') done(() => reject(transportError(pc)));
      };
      const done = (/** @type {() => void} */ settle) => {
        this.#platform.clearTimeout(timer);
        pc.removeEventListener('connectionstatechange', look);
        settle();
      };
      this.#abandon = (error) => done(() => reject(error));
      pc.addEventListener('connectionstatechange', look);
      look();
    });
  }
}

/**
 * Which of the two steps of a media path failed.
 * @param {RTCPeerConnection} pc
 * @param {string} [detail]
 */
export function transportError(pc, detail) {
  const ice = pc.iceConnectionState;
  const dtls = pc.sctp?.transport.state;
  const code = ice === 'connected' || ice === 'completed' || dtls === 'failed' ? 'dtls_failed' : 'ice_failed';
  return new SfuError(code, { detail: detail ?? `ice ${ice}, dtls ${dtls}` });
}

/** @param {string | URL} [url] */
export function socketUrl(url = '/ws') {
  const absolute = new URL(url, globalThis.location?.href);
  absolute.protocol = absolute.protocol.replace(/^http/, 'ws');
  absolute.hash = '';
  return absolute.href;
}
