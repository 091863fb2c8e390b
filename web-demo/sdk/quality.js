/** How well the connection carries each participant, from what the browser counts. */

/** @typedef {'good' | 'fair' | 'bad'} Quality */
/** @typedef {import('./stats.js').Stats} Stats */
/** @typedef {{track: string, participant: string, packetsReceived: number, packetsLost: number, totalFreezesDuration: number}} Counters */

/** Often enough to be of use, seldom enough to cost nothing; in ms. */
const EVERY_MS = 2_000;
/** Weight of the newest reading: bad marks come within seconds and go within ten. */
const NEW = 0.4;
/** From here on it is seen and heard; from there on it hurts. */
const LIMITS = { loss: [0.03, 0.1], rtt_ms: [350, 800], frozen: [0.05, 0.25] };
const ORDER = /** @type {Quality[]} */ (['good', 'fair', 'bad']);

/** Reads a room's counters while it is connected and seen, and says what has changed. */
export class QualityWatch {
  /** What was told last, by participant; oneself: ''. @type {Map<string, Quality>} */
  #told = new Map();
  #grades = new Grades();
  /** @type {any} */
  #timer;

  /**
   * @param {import('./room.js').Room} room
   * @param {import('./platform.js').Platform} platform
   * @param {(participant: string, quality: Quality) => void} changed
   */
  constructor(room, platform, changed) {
    const next = () => {
      platform.clearTimeout(this.#timer);
      if (room.state === 'connected') this.#timer = platform.setTimeout(() => void read().catch(() => {}).then(next), EVERY_MS);
    };
    const read = async () => {
      if (globalThis.document?.hidden) return;
      const { own, others } = this.#grades.read(await room.stats(), platform.now());
      const before = this.#told;
      this.#told = new Map([['', own], ...others]);
      for (const [id, quality] of this.#told) if (quality !== (before.get(id) ?? 'good')) changed(id, quality);
      for (const [id, quality] of before) if (!this.#told.has(id) && quality !== 'good') changed(id, 'good');
    };
    room.on('state', next);
  }
}

/** Keeps what it needs of the last reading; give it one every second or two. */
export class Grades {
  /** @type {Map<string, Counters & {at: number, loss: number, frozen: number}>} by track */
  #last = new Map();
  #ownLoss = 0;

  /**
   * @param {Stats} stats
   * @param {number} now in ms
   * @returns {{own: Quality, others: Map<string, Quality>}} by participant
   */
  read({ transport, sent, received }, now) {
    const told = sent.map(({ lossRemote }) => lossRemote ?? 0);
    this.#ownLoss += NEW * (Math.max(0, ...told) - this.#ownLoss);
    const path = grade('rtt_ms', transport?.rtt_ms ?? 0);
    /** @type {Map<string, Quality>} */
    const others = new Map();
    const seen = new Map();
    for (const counters of received) {
      const track = this.#track(counters, now);
      seen.set(counters.track, track);
      const { participant } = counters;
      others.set(participant, worst([others.get(participant) ?? 'good', grade('loss', track.loss), grade('frozen', track.frozen)]));
    }
    this.#last = seen;
    return { own: worst([path, grade('loss', this.#ownLoss)]), others };
  }

  /**
   * @param {Counters} counters
   * @param {number} now
   */
  #track({ track, participant, packetsReceived, packetsLost, totalFreezesDuration }, now) {
    const counted = { track, participant, packetsReceived, packetsLost, totalFreezesDuration, at: now };
    const before = this.#last.get(track);
    // Counters that began anew belong to another connection.
    if (!before || packetsReceived < before.packetsReceived) return { ...counted, loss: 0, frozen: 0 };
    const lost = Math.max(0, packetsLost - before.packetsLost);
    const share = lost / Math.max(1, lost + packetsReceived - before.packetsReceived);
    const still = Math.min(1, ((totalFreezesDuration - before.totalFreezesDuration) * 1000) / Math.max(1, now - before.at));
    return { ...counted, loss: before.loss + NEW * (share - before.loss), frozen: before.frozen + NEW * (still - before.frozen) };
  }
}

/** @param {keyof typeof LIMITS} what @param {number} value */
const grade = (what, value) => ORDER[LIMITS[what].filter((limit) => value >= limit).length];

/** @param {Quality[]} list */
const worst = (list) => ORDER[Math.max(...list.map((each) => ORDER.indexOf(each)))];
