/** One RTCPeerConnection: what it sends, its receiving slots, one negotiation at a time. */

import { Channels } from './data.js';
import { limit } from './demand.js';
import { takeLayers } from './extensions.js';
import { SfuError, fromNegotiation } from './errors.js';
import { receivedCodecs, sentCodecs } from './local.js';

/** @typedef {import('./local.js').LocalTrack} LocalTrack */
/** @typedef {import('./protocol.d.ts').Requests} Requests */
/** @typedef {import('./protocol.d.ts').Assignment} Assignment */
/** @typedef {'audio' | 'video'} Kind */

/** An m-line we send on; free when it has no `local`. @typedef {{transceiver: RTCRtpTransceiver, kind: Kind, local: LocalTrack | null, announced: boolean, mutedAtServer: boolean}} Sender */

/**
 * What a peer asks of its session.
 * @typedef {object} PeerOwner
 * @property {<Type extends keyof Requests>(type: Type, fields: Requests[Type]['fields']) => Promise<Requests[Type]['reply']>} request
 * @property {(assigned: Assignment[]) => void} assigned
 * @property {(message: import('./data.js').Message) => void} data
 * @property {(state: RTCPeerConnectionState) => void} state
 * @property {(error: SfuError) => void} error a negotiation failed; the connection goes on as it was
 */

/** Receiving m-lines: what fits an offer of 64 KiB beside our own tracks. */
const SLOTS_MAX = 64;
const OFFER_TRIES_MAX = 3;
/** Failures of the WebSocket, which are mended and told of elsewhere. */
const LOST = new Set(['connection_lost', 'not_connected', 'timeout', 'draining']);
/** What a sender's last track may have left behind. */
const PLAIN = { active: true, scaleResolutionDownBy: 1, maxFramerate: undefined, scalabilityMode: undefined };
const KINDS = /** @type {Kind[]} */ (['audio', 'video']);

export class Peer {
  #owner;
  /** @type {Sender[]} */
  #senders = [];
  /** @type {Record<Kind, RTCRtpTransceiver[]>} */
  #slots = { audio: [], video: [] };
  /** What the server said last is missing. */
  #missing = { audio: 0, video: 0 };
  /** @type {Map<string, string | null>} mid → track, to know idle slots */
  #carries = new Map();
  /** By track; may come before the track's id is known here. @type {Map<string, import('./demand.js').Demand>} */
  #demands = new Map();
  #wanted = false;
  #closed = false;
  /** @type {Promise<void> | null} */
  #running = null;

  /**
   * @param {import('./platform.js').Platform} platform
   * @param {RTCConfiguration} configuration
   * @param {PeerOwner} owner
   */
  constructor(platform, configuration, owner) {
    this.#owner = owner;
    this.pc = new platform.RTCPeerConnection({ bundlePolicy: 'max-bundle', ...configuration });
    this.channels = new Channels(this.pc, (message) => owner.data(message));
    this.pc.onconnectionstatechange = () => this.#closed || owner.state(this.pc.connectionState);
  }

  /** STUN and TURN servers, before the first offer. @param {RTCIceServer[]} iceServers */
  useIceServers(iceServers) {
    this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers });
  }

  /** The senders, for statistics. */
  get senders() {
    return this.#senders;
  }

  /**
   * The receiving end of an m-line.
   * @param {string} mid
   */
  receiver(mid) {
    return this.#transceiver(mid)?.receiver.track ?? null;
  }

  /**
   * Adds receiving m-lines; a negotiation must follow.
   * @param {Kind} kind
   * @param {number} count
   */
  addSlots(kind, count) {
    const room = SLOTS_MAX - this.#slots.audio.length - this.#slots.video.length;
    for (let i = 0; i < Math.min(count, room); i++) {
      const slot = this.pc.addTransceiver(kind, { direction: 'recvonly' });
      slot.setCodecPreferences?.(receivedCodecs(kind)); // an empty list means the browser's own
      takeLayers(slot);
      this.#slots[kind].push(slot);
    }
  }

  /**
   * The server lacks so many slots. It says so once, so the number is kept until an offer can bring
   * them; slots that the last answer left idle count as brought.
   * @param {{audio: number, video: number}} missing
   */
  slotsNeeded(missing) {
    this.#missing = { audio: missing.audio, video: missing.video };
    if (missing.audio || missing.video) this.negotiate();
  }

  /** @param {Assignment} assignment */
  noteAssigned({ mid, track }) {
    this.#carries.set(mid, track);
  }

  /** @param {LocalTrack} local */
  publish(local) {
    const free = this.#senders.find(
      ({ local: taken, kind, transceiver: t }) =>
        !taken && kind === local.kind && t.currentDirection === 'inactive' &&
        t.sender.getParameters().encodings.length === Math.max(1, local.encodings.length),
    );
    const sender = free ?? this.#addSender(local);
    if (free) this.#refit(free, local);
    Object.assign(sender, { local, announced: false });
    local.id = null;
    if (local.codec) sender.transceiver.setCodecPreferences?.(sentCodecs(local.codec));
    this.negotiate();
  }

  /** @param {LocalTrack} local */
  unpublish(local) {
    const sender = this.#of(local);
    if (!sender) return;
    sender.local = null;
    this.#demands.delete(local.id ?? '');
    // The server ends the track when its m-line stops sending. A request of its own would race with
    // an offer made before.
    if (sender.transceiver.direction === 'stopped') return;
    sender.transceiver.direction = 'inactive';
    void sender.transceiver.sender.replaceTrack(null);
    this.negotiate();
  }

  /** @param {LocalTrack} local */
  async replace(local) {
    await this.#of(local)?.transceiver.sender.replaceTrack(local.mediaStreamTrack);
    this.#limit();
  }

  /**
   * What somebody wants of one of our tracks; the rest is not sent.
   * @param {import('./demand.js').Demand & {track: string}} demand
   */
  demand(demand) {
    this.#demands.set(demand.track, demand);
    this.#limit();
  }

  /**
   * Tells the server of a mute, once it knows the track.
   * @param {LocalTrack} local
   */
  syncMute(local) {
    const sender = this.#of(local);
    if (!sender?.announced || !local.id || sender.mutedAtServer === local.muted) return;
    sender.mutedAtServer = local.muted;
    this.#owner.request(local.muted ? 'mute' : 'unmute', { track: local.id }).catch((error) => this.#owner.error(error));
  }

  /**
   * The server muted or unmuted the track itself.
   * @param {LocalTrack} local
   * @param {boolean} muted
   */
  noteMuted(local, muted) {
    const sender = this.#of(local);
    if (sender) sender.mutedAtServer = muted;
  }

  restartIce() {
    this.pc.restartIce();
    return this.negotiate();
  }

  /**
   * Offers, after the negotiation that may be under way; calls made meanwhile share one. Settles
   * when nothing is left to negotiate; failures go to the owner, the first also to the caller.
   */
  negotiate() {
    this.#wanted = true;
    this.#running ??= this.#run().finally(() => (this.#running = null));
    this.#running.catch(() => {});
    return this.#running;
  }

  close() {
    this.#closed = true;
    this.pc.close();
  }

  async #run() {
    await null; // everything that the same turn changes goes into one offer
    while (this.#wanted && !this.#closed) {
      this.#wanted = false;
      try {
        await this.#exchange();
      } catch (cause) {
        if (this.#closed) return;
        const error = fromNegotiation(cause);
        await this.#rollBack(error);
        if (error.code === 'timeout' || !LOST.has(error.code)) this.#owner.error(error);
        throw error;
      }
    }
  }

  async #exchange() {
    this.#growSlots();
    let sdp = '';
    /** @type {Set<string>} */
    let sending = new Set();
    // What was published or stopped while the browser made the offer belongs into it: else an
    // m-line would send unannounced.
    for (let tries = 0; tries < OFFER_TRIES_MAX; tries++) {
      await this.pc.setLocalDescription(await this.pc.createOffer());
      sdp = this.pc.localDescription?.sdp ?? '';
      sending = sendingMids(sdp);
      if (this.#senders.every(({ local, transceiver: { mid } }) => (local !== null) === sending.has(mid ?? ''))) break;
    }
    const announced = this.#announce(sending);
    const answer = await this.#owner.request('offer', { sdp });
    if (this.#closed) return;
    // At once: while the browser takes the answer in, events may say what has changed since.
    for (const assignment of answer.assigned) this.noteAssigned(assignment);
    this.#owner.assigned(answer.assigned);
    await this.pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
    await announced;
    this.#settlePublished(sending, new Map(answer.tracks.map(({ mid, track }) => [mid, track])));
    this.#limit();
  }

  #limit() {
    for (const { local, transceiver } of this.#senders) {
      const demand = this.#demands.get(local?.id ?? '');
      if (local && demand) limit(transceiver.sender, local.encodings, demand);
    }
  }

  /** Adds what the server misses beyond the slots that are idle. */
  #growSlots() {
    for (const kind of KINDS) {
      const idle = this.#slots[kind].filter(
        (t) => t.mid !== null && t.currentDirection === 'recvonly' && !this.#carries.get(t.mid),
      );
      this.addSlots(kind, Math.max(0, this.#missing[kind] - idle.length));
      this.#missing[kind] = 0;
    }
  }

  /**
   * Says what the m-lines of the offer that follows are; sent before it, answered before it.
   * @param {Set<string>} sending
   */
  #announce(sending) {
    const requests = this.#senders.map((sender) => {
      const { local, transceiver, announced } = sender;
      if (!local || announced || transceiver.mid === null || !sending.has(transceiver.mid)) return null;
      sender.announced = true;
      sender.mutedAtServer = local.muted;
      const { source, name, muted } = local;
      const sent = this.#owner.request('publish', { mid: transceiver.mid, source, name, muted });
      return sent.catch((error) => LOST.has(error.code) || this.#refuse(sender, error));
    });
    return Promise.all(requests);
  }

  /**
   * @param {Set<string>} sending the mids of the offer that send
   * @param {Map<string, string>} published mid → track
   */
  #settlePublished(sending, published) {
    for (const sender of this.#senders) {
      const { local, transceiver } = sender;
      if (!local || transceiver.mid === null || !sending.has(transceiver.mid)) continue;
      const id = published.get(transceiver.mid);
      if (!id) {
        this.#refuse(sender, new SfuError('not_accepted', { detail: `${local.source} ${local.codec ?? ''}`.trim() }));
      } else if (local.id !== id) {
        local.accepted(id);
        this.syncMute(local);
      }
    }
    this.#senders = this.#senders.filter(({ transceiver }) => transceiver.currentDirection !== 'stopped');
  }

  /**
   * @param {Sender} sender
   * @param {unknown} error
   * @param {boolean} [tell] whether the owner has yet to hear of it
   */
  #refuse(sender, error, tell = true) {
    const { local } = sender;
    if (!local) return;
    local.refused(error);
    local.stop();
    if (tell) this.#owner.error(fromNegotiation(error));
  }

  /**
   * After a refused offer: back to what was agreed, without what could not be.
   * @param {SfuError} error
   */
  async #rollBack(error) {
    if (this.pc.signalingState === 'have-local-offer') {
      await this.pc.setLocalDescription({ type: 'rollback' }).catch(() => {});
    }
    // A lost connection is no verdict on the tracks: the next connection offers them again.
    if (LOST.has(error.code)) return;
    for (const sender of this.#senders.filter(({ local }) => local && local.id === null)) {
      if (sender.transceiver.currentDirection === null) {
        this.#senders.splice(this.#senders.indexOf(sender), 1);
        sender.transceiver.stop();
      }
      this.#refuse(sender, error, false);
    }
    for (const kind of KINDS) {
      this.#slots[kind] = this.#slots[kind].filter((slot) => slot.currentDirection !== null || slot.stop());
    }
  }

  /** @param {LocalTrack} local */
  #addSender(local) {
    const { kind, encodings, mediaStreamTrack } = local;
    const source = mediaStreamTrack ?? kind;
    const direction = 'sendonly';
    /** @type {RTCRtpTransceiver} */
    let transceiver;
    try {
      transceiver = this.pc.addTransceiver(source, { direction, sendEncodings: encodings });
    } catch {
      transceiver = this.pc.addTransceiver(source, { direction }); // an engine that knows less of encodings
    }
    const sender = { transceiver, kind, local, announced: false, mutedAtServer: false };
    this.#senders.push(sender);
    return sender;
  }

  /**
   * Uses a free m-line again.
   * @param {Sender} sender
   * @param {LocalTrack} local
   */
  #refit({ transceiver }, local) {
    const parameters = transceiver.sender.getParameters();
    parameters.encodings.forEach((encoding, i) => Object.assign(encoding, PLAIN, local.encodings[i]));
    void transceiver.sender.setParameters(parameters).catch(() => {}); // a worse bitrate, no failure
    void transceiver.sender.replaceTrack(local.mediaStreamTrack);
    transceiver.direction = 'sendonly';
  }

  /** @param {LocalTrack} local */
  #of(local) {
    return this.#senders.find((sender) => sender.local === local);
  }

  /** @param {string} mid */
  #transceiver(mid) {
    return this.pc.getTransceivers().find((transceiver) => transceiver.mid === mid);
  }
}

/**
 * The mids of the m-lines that send.
 * @param {string} sdp
 */
function sendingMids(sdp) {
  const sections = sdp.split(/^m=/m).slice(1).filter((section) => /^a=send(only|recv)\s*$/m.test(section));
  return new Set(sections.map((section) => /^a=mid:(\S+)/m.exec(section)?.[1] ?? ''));
}
