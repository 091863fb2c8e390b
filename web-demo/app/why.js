/** Why one sees what one sees: the last minute in graphs and the server's own account, read every second while it is open. */

import { h } from './dom.js';
import { Graph } from './graphs.js';
import { decisions, rate, Rates } from './rates.js';
import { more } from './strings-more.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/index.js').Room} Room */
/** @typedef {{encoding: number, spatial: number, temporal: number}} Layer */
/** @typedef {Layer & {bitrate_bps: number, width: number, height: number, frames_per_second: number}} Option */
/** @typedef {{track: string, participant: string, kind: string, preference: import('../sdk/protocol.d.ts').Preference, available: Option[], granted: Layer | null, current: Layer | null, reason: string}} Subscription */

const EVERY_MS = 1_000;
const RECORDS_MAX = 40;

export class Why {
  #room;
  /** @type {any} */
  #timer;
  #rates = new Rates();
  #graphs = {
    received: new Graph({ label: more.why.graphs.received, unit: rate, floor: 500_000 }),
    estimate: new Graph({ label: more.why.graphs.estimate, unit: rate, floor: 500_000 }),
    sent: new Graph({ label: more.why.graphs.sent, unit: rate, floor: 500_000 }),
    rtt: new Graph({ label: more.why.graphs.rtt, unit: (ms) => `${Math.round(ms)} ms`, floor: 100 }),
    loss: new Graph({ label: more.why.graphs.loss, unit: (share) => `${(share * 100).toFixed(1)} %`, floor: 0.05 }),
  };
  #said = h('div', { class: 'said' });
  element = h('div', { class: 'why', tabIndex: 0, role: 'region', 'aria-label': strings.controls.why }, h('div', { class: 'graphs' }, ...Object.values(this.#graphs).map(({ element }) => element)), this.#said);

  /** @param {Room} room */
  constructor(room) {
    this.#room = room;
  }

  /** @param {boolean} on */
  run(on) {
    clearInterval(this.#timer);
    if (!on) return;
    this.#timer = setInterval(() => void this.#read(), EVERY_MS);
    void this.#read();
  }

  async #read() {
    const [stats, said] = await Promise.all([this.#room.stats(), decisions(this.#room)]);
    const flows = this.#rates.read(stats, performance.now());
    const { received, estimate, sent, rtt, loss } = this.#graphs;
    estimate.add(said?.estimate.target_bps ?? null);
    received.add(flows?.received_bps ?? null);
    sent.add(flows?.sent_bps ?? null);
    rtt.add(flows?.rtt_ms ?? null);
    loss.add(flows?.loss ?? null);
    this.#said.replaceChildren(...(said ? this.#draw(said) : [more.why.unknown]));
  }

  /** @param {any} decisions */
  #draw({ now_ms, estimate, allocated_bps, wanted_bps, subscriptions, records }) {
    const { target_bps, limited_by, rtt_ms, loss } = estimate;
    // Sound always goes through, or nearly so: only what is held back needs a word.
    const told = subscriptions.filter((/** @type {Subscription} */ { kind, granted }) => kind === 'video' || !granted);
    return [
      h('p', {}, h('strong', {}, more.why.estimate(rate(target_bps))), ` ${more.why.limits[limited_by] ?? limited_by}`),
      h('p', {}, more.why.shared(rate(allocated_bps), rate(wanted_bps)), ` ${more.why.path(Math.round(rtt_ms ?? 0), (loss * 100).toFixed(1))}`),
      ...told.map((/** @type {Subscription} */ each) => this.#subscription(each)),
      h('h3', {}, more.why.records),
      h('ol', {}, ...records.slice(-RECORDS_MAX).reverse().map((/** @type {any} */ each) => this.#record(each, now_ms))),
    ];
  }

  /** @param {Subscription} subscription */
  #subscription({ track, participant, preference, available, granted, current, reason }) {
    const { quality, max_width, max_height, pinned } = preference;
    const wanted = [strings.quality[quality ?? 'auto'], max_width && `${max_width}×${max_height}`, pinned && more.why.pinned];
    const layer = (/** @type {Layer | null} */ which) => which ? layerText(which, available) : more.why.nothing;
    const grant = layer(granted);
    const now = layer(current);
    return h(
      'section',
      {},
      h('h3', {}, this.#label(participant, track)),
      h('p', { class: 'faint' }, more.why.wanted(wanted.filter(Boolean).join(', '))),
      h('p', {}, `${more.why.granted} ${grant}`, grant === now ? null : ` → ${more.why.now} ${now}`),
      h('p', { class: granted && reason !== 'bandwidth' ? null : 'held' }, (!granted && strings.paused[reason]) || more.why.reasons[reason] || reason),
    );
  }

  /**
   * @param {any} record
   * @param {number} now
   */
  #record({ at_ms, what, track, ...told }, now) {
    const words = Object.entries(told).map(([key, value]) => `${key.replace(/_(bps|ms)$/, '').replaceAll('_', ' ')} ${said(key, value)}`);
    const [participant] = [...this.#room.participants.values()].filter(({ tracks }) => tracks.has(track));
    return h('li', {}, `${((at_ms - now) / 1000).toFixed(1)} s `, h('strong', {}, what.replaceAll('_', ' ')), ` ${participant?.name ?? ''} ${words.join(', ')}`);
  }

  /**
   * @param {string} id
   * @param {string} track
   */
  #label(id, track) {
    const participant = this.#room.participants.get(id);
    const name = participant?.name ?? id;
    return participant?.tracks.get(track)?.source === 'screen' ? strings.tile.screen(name) : name;
  }
}

/**
 * @param {Layer} layer
 * @param {Option[]} available
 */
function layerText({ encoding, spatial, temporal }, available) {
  const found = available.find((each) => each.encoding === encoding && each.spatial === spatial && each.temporal === temporal);
  const name = `${encoding}/${spatial}/${temporal}`;
  return found ? `${found.width}×${found.height}, ${found.frames_per_second} fps, ${rate(found.bitrate_bps)} (${name})` : name;
}

/**
 * @param {string} key
 * @param {any} value
 * @returns {string}
 */
function said(key, value) {
  if (key.endsWith('_bps') && value !== null) return rate(value);
  if (value?.encoding !== undefined) return `${value.encoding}/${value.spatial}/${value.temporal}`;
  return Array.isArray(value) ? String(value.length) : String(value ?? '–');
}
