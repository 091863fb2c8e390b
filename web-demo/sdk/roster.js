/** Who is in the room, what they publish, and which m-line carries what. */

import { Participant, RemoteTrack } from './remote.js';

/** @typedef {import('./protocol.d.ts').EventMessage} EventMessage */
/** @typedef {import('./protocol.d.ts').ParticipantMessage} ParticipantMessage */
/** @typedef {import('./protocol.d.ts').TrackMessage} TrackMessage */
/** @typedef {import('./protocol.d.ts').Assignment} Assignment */

/**
 * @typedef {object} RosterEvents
 * @property {{participant: Participant}} participantjoined
 * @property {{participant: Participant, reason: string}} participantleft
 * @property {{participant: Participant, track: RemoteTrack}} trackpublished
 * @property {{participant: Participant, track: RemoteTrack}} trackunpublished
 * @property {{participant: Participant, track: RemoteTrack}} track its media is available
 * @property {{participant: Participant, track: RemoteTrack}} trackended its media is not, for now or for good
 */

/** @typedef {<Type extends keyof RosterEvents>(type: Type, detail: RosterEvents[Type]) => void} Emit */

export class Roster {
  /** @type {Map<string, Participant>} by id */
  participants = new Map();
  /** What the server says each m-line carries; may run ahead of what is known of participants. */
  #assignments = /** @type {Map<string, Assignment>} */ (new Map());
  #placed = /** @type {Map<string, RemoteTrack>} by mid */ (new Map());
  #emit;
  #Stream;
  #changed;
  /** @type {(mid: string) => MediaStreamTrack | null} */
  #receiver = () => null;

  /**
   * @param {Emit} emit
   * @param {typeof MediaStream} Stream
   * @param {(track: RemoteTrack) => void} changed what is wanted of a track may be something else
   */
  constructor(emit, Stream, changed) {
    this.#emit = emit;
    this.#Stream = Stream;
    this.#changed = changed;
  }

  /**
   * A new connection: whoever is still there stays the same object; all media comes anew.
   * @param {ParticipantMessage[]} list
   * @param {(mid: string) => MediaStreamTrack | null} receiver the new connection's m-lines
   */
  reset(list, receiver) {
    this.#assignments.clear();
    this.#place();
    this.#receiver = receiver;
    const ids = new Set(list.map(({ id }) => id));
    for (const id of [...this.participants.keys()]) if (!ids.has(id)) this.leave(id, 'lost');
    for (const message of list) this.join(message);
  }

  /** @param {ParticipantMessage} message */
  join(message) {
    let participant = this.participants.get(message.id);
    if (!participant) {
      participant = new Participant(message, this.#Stream);
      this.participants.set(message.id, participant);
      this.#emit('participantjoined', { participant });
    }
    const ids = new Set(message.tracks.map(({ track }) => track));
    for (const id of [...participant.tracks.keys()]) if (!ids.has(id)) this.unpublish(message.id, id);
    for (const track of message.tracks) this.publish(message.id, track);
  }

  /**
   * @param {string} id
   * @param {string} reason
   */
  leave(id, reason) {
    const participant = this.participants.get(id);
    if (!participant) return;
    for (const track of [...participant.tracks.keys()]) this.unpublish(id, track);
    this.participants.delete(id);
    this.#emit('participantleft', { participant, reason });
  }

  /**
   * @param {string} id
   * @param {TrackMessage} message
   */
  publish(id, message) {
    const participant = this.participants.get(id);
    if (!participant) return;
    const known = participant.tracks.get(message.track);
    if (known) {
      Object.assign(known, { muted: message.muted, paused: null, layer: null });
    } else {
      const track = new RemoteTrack(participant, message, this.#changed);
      participant.tracks.set(track.id, track);
      this.#emit('trackpublished', { participant, track });
    }
    this.#place();
  }

  /**
   * @param {string} id
   * @param {string} trackId
   */
  unpublish(id, trackId) {
    const participant = this.participants.get(id);
    const track = participant?.tracks.get(trackId);
    if (!participant || !track) return;
    participant.tracks.delete(trackId);
    track.go(null); // it ends whichever way it came
    this.#place();
    this.#emit('trackunpublished', { participant, track });
  }

  /** @param {Assignment[]} list */
  assign(list) {
    for (const assignment of list) this.#assignments.set(assignment.mid, assignment);
    this.#place();
  }

  /** @param {string} mid */
  carried(mid) {
    return this.#placed.get(mid) ?? null;
  }

  /** @param {string} trackId */
  find(trackId) {
    for (const { tracks } of this.participants.values()) {
      const track = tracks.get(trackId);
      if (track) return track;
    }
    return null;
  }

  /** Brings what is shown in line with what is assigned: first takes away, then gives. */
  #place() {
    for (const [mid, track] of this.#placed) {
      if (this.#assigned(mid) !== track) this.#end(mid, track);
    }
    for (const mid of this.#assignments.keys()) {
      const track = this.#assigned(mid);
      const media = this.#receiver(mid);
      if (!track || !media || this.#placed.has(mid)) continue;
      if (track.mid !== null) this.#end(track.mid, track); // moved to another m-line
      this.#placed.set(mid, track);
      track.start(mid, media);
      if (!track.direct) this.#emit('track', { participant: track.participant, track });
    }
  }

  /** @param {string} mid */
  #assigned(mid) {
    const { participant, track } = this.#assignments.get(mid) ?? {};
    return (participant && track && this.participants.get(participant)?.tracks.get(track)) || null;
  }

  /**
   * @param {string} mid
   * @param {RemoteTrack} track
   */
  #end(mid, track) {
    this.#placed.delete(mid);
    track.end();
    if (!track.direct) this.#emit('trackended', { participant: track.participant, track });
  }
}
