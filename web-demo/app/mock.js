/** Invented participants with drawn pictures, to look at the page without a server. Not part of the page. */

import { Participant, RemoteTrack } from '../sdk/index.js';
import { Room } from '../sdk/room.js';

const NAMES = 'Ada Lovelace,Grace Hopper,Alan Turing,Katherine Johnson,Edsger Dijkstra,Barbara Liskov,Donald Knuth,Radia Perlman,Tim,Margaret Hamilton,John von Neumann,Hedy Lamarr,Claude Shannon,Mary Jackson,Ken Thompson,Frances Allen,Leslie Lamport,Lynn Conway,Vint Cerf,Shafi Goldwasser,Niklaus Wirth,Adele Goldberg,Linus,Karen Spärck Jones,Tony Hoare,Jean Bartik'.split(',');

class MockRoom extends Room {
  #count;
  /** @type {Map<string, Participant>} */
  #people = new Map();
  /** @type {import('../sdk/room.js').State} */
  #now = 'idle';

  /** @param {number} count of people in all, oneself included */
  constructor(count) {
    super();
    this.#count = count;
  }

  /** @override */
  get state() {
    return this.#now;
  }

  /** @override */
  get participants() {
    return this.#people;
  }

  /** @override @param {import('../sdk/session.js').JoinOptions} options */
  async join({ name = '' }) {
    Object.assign(this.local, { id: '0000000000000000', name });
    this.settings = { locked: false, admin: true, impairments: true };
    this.to('connecting');
    for (let i = 1; i < this.#count; i++) this.#arrive(i);
    this.to('connected');
    const talking = [...this.#people.values()][Math.min(1, this.#count - 2)];
    if (talking) this.say([talking]);
  }

  /** @override */
  async leave() {
    this.to('closed', { reason: 'left' });
  }

  /** @override */
  async send() {}

  /** @override */
  async impair() {}

  /** @override @param {boolean} locked */
  async lock(locked) {
    this.settings = { ...this.settings, locked };
    this.emit('settings', { settings: this.settings });
  }

  /**
   * @param {import('../sdk/room.js').State} state
   * @param {object} [more]
   */
  to(state, more = {}) {
    this.#now = state;
    this.emit('state', { state, ...more });
  }

  /** @param {Participant[]} people */
  say(people) {
    this.speakers = people.map((participant) => ({ participant, level: -30 }));
    this.emit('speakers', { speakers: this.speakers });
  }

  /** Somebody writes. @param {string} payload */
  chat(payload) {
    const participant = [...this.#people.values()][0];
    this.emit('data', { participant, from: participant.id, payload, reliable: true });
  }

  /** Somebody raises a hand. @param {number} i */
  raise(i) {
    const participant = [...this.#people.values()][i];
    this.emit('data', { participant, from: participant.id, payload: '{"type":"hand","on":true}', reliable: true });
  }

  /** Somebody shares a screen. */
  share() {
    const participant = [...this.#people.values()][0];
    this.#track(participant, 'screen', 'video', false, slide());
  }

  /** @param {number} i */
  #arrive(i) {
    const name = NAMES[(i - 1) % NAMES.length];
    const participant = new Participant({ id: i.toString(16).padStart(16, '0'), name, tracks: [] });
    this.#people.set(participant.id, participant);
    this.emit('participantjoined', { participant });
    if (i % 7 !== 3) this.#track(participant, 'microphone', 'audio', i % 3 === 0, null);
    if (i % 4 !== 0) this.#track(participant, 'camera', 'video', false, portrait(i));
  }

  /**
   * @param {Participant} participant
   * @param {import('../sdk/local.js').Source} source
   * @param {'audio' | 'video'} kind
   * @param {boolean} muted
   * @param {MediaStreamTrack | null} media
   */
  #track(participant, source, kind, muted, media) {
    const track = new RemoteTrack(participant, { track: `${participant.id}${source}`, kind, source, name: '', muted, encodings: 1 });
    participant.tracks.set(track.id, track);
    this.emit('trackpublished', { participant, track });
    if (!media) return;
    track.start(String(participant.tracks.size), media);
    this.emit('track', { participant, track });
  }

  /** The server stops sending a picture. @param {number} i @param {string} reason */
  pause(i, reason) {
    const track = [...this.#people.values()][i].track('camera');
    track?.told({ type: 'paused', track: track.id, reason });
  }

  /** Counters that grow as a call's would. @override @returns {Promise<any>} */
  async stats() {
    const t = performance.now() / 1000;
    const wave = (/** @type {number} */ i) => 1 + Math.sin(t / 3 + i) / 4;
    const received = [...this.#people.values()].flatMap((participant, i) => [...participant.tracks.values()].filter(({ kind }) => kind === 'video').map((track) => ({
      participant: participant.id, name: participant.name, track: track.id, source: track.source, kind: 'video', mid: String(i), codec: 'vp8', muted: false,
      packetsReceived: Math.round(t * 80), packetsLost: i === 2 ? Math.round(t * 5) : 0, bytesReceived: Math.round(t * 70_000 * wave(i)),
      framesDecoded: Math.round(t * 30), frameWidth: 640, frameHeight: 360, freezeCount: 0, totalFreezesDuration: 0,
    })));
    const sent = ['q', 'h', 'f'].map((rid, i) => ({
      source: 'camera', kind: 'video', mid: '0', rid, codec: 'vp8', frameWidth: 320 << i, frameHeight: 180 << i, framesPerSecond: 30, limitedBy: 'none', lossRemote: 0, bytesSent: Math.round(t * 20_000 * 4 ** i * wave(i)),
    }));
    return { transport: { state: 'connected', dtls: 'connected', cipher: '', local: 'host', rtt_ms: 38 + 12 * wave(1), outgoing_bps: 3_100_000 }, sent, received };
  }

  /** What a server would say of its choices. */
  decisions() {
    const tracks = [...this.#people.values()].flatMap((each) => [...each.tracks.values()]).filter(({ kind }) => kind === 'video');
    const sizes = [[320, 180, 150_000], [640, 360, 500_000], [1280, 720, 1_700_000]];
    const available = sizes.map(([width, height, bitrate_bps], encoding) => ({ encoding, spatial: 0, temporal: 2, width, height, bitrate_bps, frames_per_second: 30 }));
    const layer = (/** @type {number} */ encoding) => ({ encoding, spatial: 0, temporal: 2 });
    const now_ms = Math.round(performance.now());
    return {
      now_ms,
      estimate: { target_bps: 2_400_000, limited_by: 'delay', delay_bps: 2_400_000, loss_bps: null, remb_bps: null, acknowledged_bps: 1_900_000, rtt_ms: 42, loss: 0.002 },
      allocated_bps: 1_950_000,
      wanted_bps: 4_100_000,
      subscriptions: tracks.map(({ id, kind, participant, paused, preference }, i) => ({
        track: id, participant: participant.id, kind, mid: String(i), available,
        preference: { quality: 'auto', max_width: 480, max_height: 270, pinned: false, priority: 100, visible: true, ...preference.call(tracks[i]) },
        granted: paused ? null : layer(i === 0 ? 2 : 1),
        current: paused ? null : layer(i === 1 ? 0 : i === 0 ? 2 : 1),
        reason: paused ?? ['best', 'bandwidth', 'large_enough'][i % 3],
      })),
      records: [
        { at_ms: now_ms - 9_200, what: 'probe', bitrate_bps: 3_000_000, why: 'demand' },
        { at_ms: now_ms - 8_900, what: 'probed', bitrate_bps: 2_500_000 },
        { at_ms: now_ms - 8_800, what: 'allocated', budget_bps: 2_400_000, grants: tracks.map(({ id }) => ({ track: id })) },
        { at_ms: now_ms - 8_700, what: 'switched', track: tracks[0]?.id, from: layer(1), to: layer(2) },
      ],
    };
  }
}

/**
 * @param {number} width
 * @param {number} height
 * @param {(context: CanvasRenderingContext2D, t: number) => void} draw
 */
function filmed(width, height, draw) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  setInterval(() => draw(context, performance.now() / 1000), 200);
  draw(context, 0);
  return canvas.captureStream(5).getVideoTracks()[0];
}

/** A person in a room, roughly. @param {number} i */
function portrait(i) {
  const hue = (i * 67) % 360;
  const upright = i % 6 === 5;
  const [w, h] = upright ? [360, 640] : [640, 360];
  return filmed(w, h, (c, t) => {
    const wall = c.createLinearGradient(0, 0, w, h);
    wall.addColorStop(0, `hsl(${hue} 28% 68%)`);
    wall.addColorStop(1, `hsl(${hue + 40} 30% 38%)`);
    c.fillStyle = wall;
    c.fillRect(0, 0, w, h);
    c.fillStyle = `hsl(${hue + 20} 25% 78%)`;
    c.fillRect(w * 0.08, h * 0.1, w * 0.2, h * 0.3);
    const x = w / 2 + Math.sin(t + i) * 8;
    c.fillStyle = `hsl(${hue + 180} 32% 34%)`;
    c.beginPath();
    c.ellipse(x, h * 1.06, h * 0.36, h * 0.38, 0, 0, 7);
    c.fill();
    c.fillStyle = `hsl(${22 + (i % 4) * 4} ${38 + (i % 3) * 8}% ${78 - (i % 5) * 11}%)`;
    c.beginPath();
    c.ellipse(x, h * 0.46, h * 0.155, h * 0.2, 0, 0, 7);
    c.fill();
    c.fillStyle = `hsl(${(i * 31) % 50} 35% ${16 + (i % 4) * 9}%)`;
    c.beginPath();
    c.ellipse(x, h * 0.35, h * 0.165, h * 0.12, 0, Math.PI, 0);
    c.fill();
  });
}

function slide() {
  return filmed(1600, 900, (c) => {
    c.fillStyle = '#fdfdfb';
    c.fillRect(0, 0, 1600, 900);
    c.fillStyle = '#1f3b4d';
    c.font = 'bold 64px sans-serif';
    c.fillText('A packet’s life', 110, 150);
    c.font = '36px sans-serif';
    ['socket → engine → transport', 'history: stored once, sent to many', 'rewrite: one continuous line', 'deliver: bursts for one subscriber'].forEach((line, i) => c.fillText(`•  ${line}`, 120, 290 + i * 90));
    c.fillStyle = '#2f8f83';
    [180, 320, 240, 420, 380].forEach((height, i) => c.fillRect(960 + i * 110, 760 - height, 70, height));
  });
}

/** @param {number} count */
export function mockRoom(count) {
  const room = new MockRoom(count);
  globalThis.fetch = async () => new Response(JSON.stringify(room.decisions()));
  return room;
}
