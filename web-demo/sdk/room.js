/** A room as an application sees it; it mends its connection by itself and says so. */

import { checkSize, fromEvent } from './data.js';
import { SfuError, fromClose, isFinalClose } from './errors.js';
import { Emitter } from './events.js';
import { LocalTrack } from './local.js';
import { platform } from './platform.js';
import { QualityWatch } from './quality.js';
import { Recovery } from './recovery.js';
import { Roster } from './roster.js';
import { Session } from './session.js';
import { History, roomReport, roomStats } from './stats.js';
import { Viewing } from './viewing.js';

/** @typedef {import('./remote.js').Participant} Participant */
/** @typedef {import('./remote.js').RemoteTrack} RemoteTrack */
/** @typedef {import('./session.js').JoinOptions} JoinOptions */
/** @typedef {import('./protocol.d.ts').EventMessage} EventMessage */
/** @typedef {'idle' | 'connecting' | 'connected' | 'reconnecting' | 'closed'} State */
/** @typedef {import('./recovery.js').Step} Step */

/** Oneself. @typedef {{id: string | null, name: string, metadata: string, tracks: Set<LocalTrack>}} LocalParticipant */

/** What may be known of a room before anything happens in it. @typedef {{locked: boolean, admin: boolean, impairments: boolean}} RoomSettings `admin`: one may lock it; `impairments`: `impair` works here */
/** One direction of a connection made worse; absent: not in this way. @typedef {{loss_percent?: number, delay_ms?: number, rate_kbps?: number, cut_seconds?: number}} Leg */

/** The parts that only a room itself raises. @typedef {object} OwnEvents
 * @property {{state: State, reason?: string, step?: Step, attempt?: number, retry_ms?: number, error?: SfuError}} state
 *   `step` of reconnecting: what is being tried; `attempt`: how often a new WebSocket was (0: media alone is being mended);
 *   `retry_ms`: until this attempt is made;
 *   `reason` when closed: `left`, or an error's code
 * @property {{participant: Participant | LocalParticipant, track: RemoteTrack | LocalTrack, muted: boolean}} trackmuted
 * @property {{speakers: {participant: Participant | LocalParticipant, level: number}[]}} speakers loudest first; level in dBov
 * @property {{participant: Participant | null, from: string | null, payload: string | Uint8Array, reliable: boolean}} data `from` is `null` for the server
 * @property {{participant: Participant | LocalParticipant, quality: import('./quality.js').Quality}} quality of the connection; told when it changes, `good` before
 * @property {{settings: RoomSettings}} settings of the room, or of what one may do, changed
 * @property {{downlink: Leg, uplink: Leg}} impairment somebody makes one's own connection worse, for a test
 * @property {{track: LocalTrack}} localtrackended its device went away, or sharing was stopped in the browser's own bar
 * @property {{path: 'server' | 'direct', reason: string}} path which way media goes from now on, and why not directly any more
 * @property {{}} draining the server is about to stop
 * @property {{error: SfuError, track?: RemoteTrack}} error something failed and the room goes on
 */
/** @typedef {OwnEvents & import('./roster.js').RosterEvents} RoomEvents */

const MEDIA_MS_MAX = 6_000;

/** @extends {Emitter<RoomEvents>} */
export class Room extends Emitter {
  #platform;
  /** @type {JoinOptions | null} */
  #options = null;
  /** @type {Session | null} */
  #session = null;
  /** @type {State} */
  #state = 'idle';
  /** The attempt to join under way, by which an abandoned one knows that it is. @type {object | null} */
  #joining = null;
  #recovery;
  /** @type {import('./direct.js').Direct | null} */
  #direct = null;
  /** What is to be said to it, while it loads. @type {Promise<unknown>} */
  #directly = Promise.resolve();
  /** Which way media goes: through the server, or past it to the only other one. @type {'server' | 'direct'} */
  path = 'server';
  #history;
  #roster;
  #viewing;
  /** @type {LocalParticipant} */
  local = { id: null, name: '', metadata: '', tracks: new Set() };
  /** @type {{participant: Participant | LocalParticipant, level: number}[]} */
  speakers = [];

  /** @type {RoomSettings} */
  settings = { locked: false, admin: false, impairments: false };

  /** @param {Partial<import('./platform.js').Platform>} [surroundings] for tests */
  constructor(surroundings = {}) {
    super();
    this.#platform = platform(surroundings);
    this.#history = new History(this.#platform.now);
    this.#roster = new Roster((type, detail) => this.emit(type, /** @type {any} */ (detail)), this.#platform.MediaStream, (track) => this.#viewing.look(track));
    this.#recovery = new Recovery(this.#platform, {
      session: () => this.#session,
      state: () => this.#state,
      setState: (state, more) => this.#setState(state, more),
      connect: () => this.#connect(),
      fail: (error) => this.#fail(error),
    });
    this.#viewing = new Viewing(this.#platform, (preferences) => this.#request('prefer', { preferences }));
    this.on('track', ({ track }) => this.#watchBegin(track));
    new QualityWatch(this, this.#platform, (id, quality) => {
      const participant = id ? this.participants.get(id) : this.local;
      if (participant) this.emit('quality', { participant, quality });
    });
    globalThis.addEventListener?.('online', () => this.reconnect());
  }

  get state() {
    return this.#state;
  }

  /** The others, by id. @type {ReadonlyMap<string, Participant>} */
  get participants() {
    return this.#roster.participants;
  }

  /** The room's name while in it. */
  get name() {
    return this.#options?.room ?? '';
  }

  /** The connection in use, for debugging. */
  get pc() {
    return this.#session?.peer.pc ?? null;
  }

  /** The connection to the other one, if there is one, for debugging. */
  get directPc() {
    return this.#direct?.pc ?? null;
  }

  /**
   * Enters; settles when media can flow. Tracks published before are in the first offer.
   * @param {JoinOptions} options
   */
  async join(options) {
    if (this.#state !== 'idle' && this.#state !== 'closed') throw new SfuError('already_joined', { message: 'Already in a room.' });
    const mine = (this.#joining = {});
    this.#options = options;
    Object.assign(this.local, { name: options.name ?? '', metadata: options.metadata ?? '' });
    const stop = () => this.#end('left');
    options.signal?.throwIfAborted();
    options.signal?.addEventListener('abort', stop);
    this.#setState('connecting');
    try {
      await this.#connect();
      this.#setState('connected');
    } catch (error) {
      if (this.#joining === mine) this.#fail(error);
      throw options.signal?.aborted ? options.signal.reason : error;
    } finally {
      options.signal?.removeEventListener('abort', stop);
    }
  }

  /** Leaves for good, telling the server. Published tracks stay with the room for the next `join`. */
  async leave() {
    const session = this.#session;
    const told = session?.signalling.open ? session.signalling.request('leave', {}, 1_000).catch(() => {}) : null;
    this.#session = null;
    this.#end('left');
    await told;
    session?.close();
  }

  /**
   * Sends a track, now or as soon as the room is connected. The handle is given at once; its
   * `ready` settles when the server has the track.
   * @param {MediaStreamTrack} mediaStreamTrack
   * @param {import('./local.js').PublishOptions} [options]
   */
  publish(mediaStreamTrack, options = {}) {
    const local = new LocalTrack(
      {
        muteChanged: (track) => this.#session?.peer.syncMute(track),
        replaced: async (track) => {
          this.#watchEnd(track);
          this.#direct?.sync();
          await this.#session?.peer.replace(track);
        },
        stopped: (track) => {
          this.local.tracks.delete(track);
          this.#session?.peer.unpublish(track);
          this.#direct?.sync();
        },
      },
      mediaStreamTrack,
      options,
    );
    this.local.tracks.add(local);
    local.ready.then(() => this.#direct?.sync(), () => {});
    this.#watchEnd(local);
    // Without a live WebSocket it waits for the next connection, as it does before the first.
    if (this.#session?.signalling.open) this.#session.peer.publish(local);
    return local;
  }

  /**
   * Sends a message to everyone else, or to some.
   * @param {string | Uint8Array} payload at most 64 KiB
   * @param {{to?: string[], reliable?: boolean}} [options] `to`: participants' ids; not `reliable`: may be lost or overtaken
   */
  async send(payload, { to = [], reliable = true } = {}) {
    checkSize(payload);
    const session = this.#session;
    if (!session) throw new SfuError('not_connected');
    const { channels } = session.peer;
    // Bytes need a channel, which opens a moment after media may flow.
    if (typeof payload !== 'string') await channels.opened(reliable);
    if (channels.send(payload, { to, reliable })) return;
    if (typeof payload !== 'string') throw new SfuError('not_connected', { detail: 'the data channel is closed' });
    await session.signalling.request('data', { payload, reliable, ...(to.length ? { to } : {}) });
  }

  /** @param {RemoteTrack} track */
  async subscribe({ id }) {
    await this.#request('subscribe', { track: id });
  }

  /** @param {RemoteTrack} track */
  async unsubscribe({ id }) {
    await this.#request('unsubscribe', { track: id });
  }

  /** Lets nobody else in, or everybody again; takes a token that may. @param {boolean} locked */
  async lock(locked) {
    await this.#request('lock', { locked });
  }

  /**
   * Makes the way to or from somebody worse, where the server allows such tests; neither leg: as it was.
   * @param {string} participant
   * @param {{downlink?: Leg, uplink?: Leg}} legs `downlink`: from the server to them
   */
  async impair(participant, legs) {
    await this.#request('impair', { participant, ...legs });
  }

  /** While reconnecting: tries at once. Else: sees whether the connection is alive. */
  reconnect() {
    if (!this.#recovery.hurry()) this.#session?.signalling.probe();
  }

  /** The same names and units in every browser; see stats.js. */
  stats() {
    return roomStats(this.#session?.peer ?? null, this.#roster, this.#direct);
  }

  /** Everything a bug report needs, as one JSON-able object without keys or addresses. */
  async report() {
    return roomReport(this, this.#session, await this.stats(), this.#history);
  }

  /**
   * One attempt: a new session takes the place of the old one as soon as it has joined.
   */
  async #connect() {
    const options = /** @type {JoinOptions} */ (this.#options);
    const session = new Session(this.#platform, options, {
      message: (from, message) => from === this.#session && this.#receive(message),
      lost: (from, close) => this.#lost(from, close),
      transport: (from, state) => from === this.#session && this.#transport(state),
      assigned: (assigned) => this.#roster.assign(assigned),
      data: (message) => this.#deliver(message),
      error: (error) => this.#report(error),
    });
    this.#opening = session;
    try {
      const joined = await session.join();
      if (this.#opening !== session) throw new SfuError('connection_lost', { detail: 'left meanwhile' });
      this.#direct?.close();
      this.#session?.close();
      this.#session = session;
      this.local.id = joined.participant;
      this.#settle(joined);
      this.#roster.reset(joined.participants, (mid) => session.peer.receiver(mid));
      this.#viewing.reset([...this.participants.values()].flatMap(({ tracks }) => [...tracks.values()]));
      await session.start(this.local.tracks);
    } catch (error) {
      session.close();
      throw error;
    } finally {
      if (this.#opening === session) this.#opening = null;
    }
  }

  /** @type {Session | null} */
  #opening = null;

  /** @param {EventMessage} message */
  #receive(message) {
    const roster = this.#roster;
    switch (message.type) {
      case 'participant_joined':
        return roster.join(message.participant);
      case 'participant_left':
        return roster.leave(message.participant, message.reason);
      case 'track_published':
        return roster.publish(message.participant, message.track);
      case 'track_unpublished':
        return roster.unpublish(message.participant, message.track);
      case 'track_muted':
        return this.#muted(message);
      case 'assigned':
        this.#session?.peer.noteAssigned(message);
        return roster.assign([message]);
      case 'slots_needed':
        return this.#session?.peer.slotsNeeded(message);
      case 'layer':
      case 'paused':
      case 'resumed':
        return roster.find(message.track)?.told(message);
      case 'demand':
        return this.#session?.peer.demand(message);
      case 'unplayable':
        return this.#report(new SfuError('unplayable'), roster.find(message.track) ?? undefined);
      case 'speakers':
        this.speakers = message.speakers.flatMap(({ participant: id, level }) => {
          const participant = id === this.local.id ? this.local : this.participants.get(id);
          return participant ? [{ participant, level }] : [];
        });
        return this.emit('speakers', { speakers: this.speakers });
      case 'data':
        return this.#deliver(fromEvent(message));
      case 'transport':
        return this.#serverTransport(message.state, message.reason ?? '');
      case 'room_settings':
        return this.#settle(message);
      case 'permissions':
        return this.#settle({ permissions: message });
      case 'impairment':
        return this.emit('impairment', message);
      case 'draining':
        return this.emit('draining', {});
      case 'direct':
      case 'direct_signal':
      case 'direct_on':
      case 'direct_end':
        this.#directly = this.#directly.then(() => this.#toDirect(message));
    }
  }

  /** @param {import('./protocol.d.ts').Settled} told */
  #settle({ locked, impairments, permissions }) {
    const before = this.settings;
    this.settings = { locked: locked ?? before.locked, admin: permissions?.room_admin ?? before.admin, impairments: impairments ?? before.impairments };
    this.emit('settings', { settings: this.settings });
  }

  /** @param {EventMessage & {epoch: number}} message */
  async #toDirect(message) {
    const session = this.#session;
    try {
      const { Direct } = await import('./direct.js');
      if (!session || session !== this.#session) return;
      if (message.type !== 'direct') return this.#direct?.receive(message);
      this.#direct?.close();
      const { peer, signalling } = session;
      this.#direct = new Direct(
        {
          platform: this.#platform,
          peer,
          locals: this.local.tracks,
          roster: this.#roster,
          request: (type, fields) => signalling.request(type, fields),
          emit: (type, detail) => this.emit(type, /** @type {any} */ (detail)),
          changed: () => this.#setPath(),
        },
        message,
      );
    } catch {
      // It could not be loaded, or the browser lacks something: the server's way stays.
      this.#request('direct_state', { epoch: message.epoch, state: 'failed' }).catch(() => {});
    }
  }

  #setPath() {
    const path = this.#direct?.on ? 'direct' : 'server';
    if (path === this.path) return;
    this.path = path;
    const reason = this.#direct?.reason ?? '';
    this.#history.note(`path ${path} ${reason}`.trim());
    this.emit('path', { path, reason });
  }

  /** @param {Extract<EventMessage, {type: 'track_muted'}>} message */
  #muted({ participant: id, track: trackId, muted }) {
    const own = [...this.local.tracks].find((track) => track.id === trackId);
    if (own) {
      this.#session?.peer.noteMuted(own, muted);
      own.setMuted(muted);
      return this.emit('trackmuted', { participant: this.local, track: own, muted });
    }
    const participant = this.participants.get(id);
    const track = participant?.tracks.get(trackId);
    if (!participant || !track) return;
    track.muted = muted;
    this.emit('trackmuted', { participant, track, muted });
  }

  /** @param {import('./data.js').Message} message */
  #deliver({ from, payload, reliable }) {
    const participant = from === null ? null : (this.participants.get(from) ?? null);
    this.emit('data', { participant, from, payload, reliable });
  }

  /** @param {RTCPeerConnectionState} state */
  #transport(state) {
    this.#history.note(`pc ${state}`);
    this.#recovery.transport(state);
  }

  /**
   * @param {string} state
   * @param {string} reason
   */
  #serverTransport(state, reason) {
    this.#history.note(`server: transport ${state} ${reason}`);
    this.#recovery.serverTransport(state, reason);
  }

  /**
   * @param {Session} session
   * @param {{code: number, reason: string}} close
   */
  #lost(session, { code, reason }) {
    this.#history.note(`websocket closed ${code} ${reason}`);
    const error = fromClose(code, reason);
    session.fail(error);
    if (session !== this.#session || this.#state === 'connecting') return;
    if (isFinalClose(code)) this.#fail(error);
    else void this.#recovery.rejoin(error);
  }

  /** @param {unknown} error */
  #fail(error) {
    const known = error instanceof SfuError ? error : new SfuError('negotiation_failed', { cause: error });
    this.#end(known.code, known);
  }

  /**
   * @param {string} reason
   * @param {SfuError} [error]
   */
  #end(reason, error) {
    if (this.#state === 'closed') return;
    this.#joining = null;
    this.#recovery.end();
    this.#opening?.close();
    this.#opening = null;
    this.#direct?.close();
    this.#session?.close();
    this.#session = null;
    this.#roster.reset([], () => null);
    this.#setState('closed', { reason, ...(error ? { error } : {}) });
  }

  /**
   * @param {State} state
   * @param {{reason?: string, step?: Step, attempt?: number, retry_ms?: number, error?: SfuError}} [more]
   */
  #setState(state, more = {}) {
    if (state === this.#state && state !== 'reconnecting') return;
    this.#state = state;
    this.#history.note(`${state} ${more.reason ?? more.attempt ?? ''} ${more.error?.code ?? ''}`.trim());
    this.emit('state', { state, ...more });
  }

  /**
   * @param {SfuError} error
   * @param {RemoteTrack} [track]
   */
  #report(error, track) {
    if (this.#state === 'closed') return;
    this.#history.note(`error ${error.code} ${error.detail}`);
    this.emit('error', track ? { error, track } : { error });
  }

  /** Tells when nothing arrives of a track. A receiver stays muted until its first packet. @param {RemoteTrack} track */
  #watchBegin(track) {
    const media = track.mediaStreamTrack;
    this.#platform.setTimeout(() => {
      const expected = this.#state === 'connected' && track.mediaStreamTrack === media && !track.muted;
      if (expected && media?.muted) this.#report(new SfuError('no_media', { detail: `${track.kind} ${track.id}` }), track);
    }, MEDIA_MS_MAX);
  }

  /** @param {LocalTrack} local */
  #watchEnd(local) {
    const media = local.mediaStreamTrack;
    media?.addEventListener('ended', () => {
      if (local.mediaStreamTrack === media && !local.stopped) this.emit('localtrackended', { track: local });
    });
  }

  /**
   * @template {keyof import('./protocol.d.ts').Requests} Type
   * @param {Type} type
   * @param {import('./protocol.d.ts').Requests[Type]['fields']} fields
   */
  async #request(type, fields) {
    if (!this.#session) throw new SfuError('not_connected');
    await this.#session.signalling.request(type, fields);
  }
}
