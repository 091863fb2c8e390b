/** Figures over every picture, once a second: what comes, what is lost, which layer and why. */

import { decisions, rate, Rates } from './rates.js';
import { more } from './strings-more.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/index.js').Room} Room */
/** @typedef {import('./grid.js').Grid} Grid */

const EVERY_MS = 1_000;
/** Switches told of one picture. */
const SWITCHES_MAX = 2;

export class Figures {
  #room;
  #grid;
  #rates = new Rates();
  /** @type {any} */
  #timer = null;

  /** @param {Room} room @param {Grid} grid */
  constructor(room, grid) {
    this.#room = room;
    this.#grid = grid;
  }

  toggle() {
    if (this.#timer) return this.stop();
    this.#timer = setInterval(() => void this.#read(), EVERY_MS);
    void this.#read();
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = null;
    for (const tile of this.#grid.tiles.values()) tile.setStats('');
  }

  async #read() {
    const [stats, said] = await Promise.all([this.#room.stats(), decisions(this.#room)]);
    if (!this.#timer) return;
    const flows = this.#rates.read(stats, performance.now());
    for (const tile of this.#grid.tiles.values()) tile.setStats(tile.own ? own(tile.screen, stats, flows) : this.#other(tile.key, stats, flows, said));
  }

  /**
   * @param {string} key
   * @param {import('../sdk/stats.js').Stats} stats
   * @param {import('./rates.js').Flows | null} flows
   * @param {any} said
   */
  #other(key, stats, flows, said) {
    const isScreen = key.endsWith('-screen');
    const participant = this.#room.participants.get(key.replace('-screen', ''));
    const track = participant && [...participant.tracks.values()].find(({ kind, source }) => kind === 'video' && (source === 'screen') === isScreen);
    if (!track) return more.figures.noPicture;
    const counted = stats.received.find((each) => each.track === track.id);
    const flow = flows?.tracks.get(track.id);
    const subscription = said?.subscriptions.find((/** @type {any} */ each) => each.track === track.id);
    const switches = (said?.records ?? []).filter((/** @type {any} */ each) => each.what === 'switched' && each.track === track.id).slice(-SWITCHES_MAX);
    const { preference, granted, current, reason, available } = subscription ?? {};
    return [
      counted && `${counted.frameWidth}×${counted.frameHeight} ${counted.codec} ${flow ? Math.round(flow.fps) : '–'} fps`,
      flow && `${rate(flow.bps)} · ${more.figures.loss} ${percent(flow.loss)} · RTT ${ms(flows?.rtt_ms)}`,
      counted && `${more.figures.frozen} ${counted.freezeCount}× ${counted.totalFreezesDuration.toFixed(1)} s`,
      preference && `${more.figures.demand} ${strings.quality[/** @type {'auto'} */ (preference.quality ?? 'auto')]}${preference.max_width ? ` ≤ ${preference.max_width}×${preference.max_height}` : ''}${preference.visible === false ? `, ${more.figures.hidden}` : ''}`,
      subscription && `${more.figures.grant} ${layer(granted, available)}${same(granted, current) ? '' : ` → ${more.why.now} ${layer(current, available)}`}`,
      said && `${more.figures.estimate} ${rate(said.estimate.target_bps)} (${said.estimate.limited_by})`,
      reason && (more.why.reasons[reason] ?? reason),
      ...switches.map((/** @type {any} */ each) => `${((each.at_ms - said.now_ms) / 1000).toFixed(1)} s: ${layer(each.from)} → ${layer(each.to)}`),
    ].filter(Boolean).join('\n');
  }
}

/**
 * @param {boolean} isScreen
 * @param {import('../sdk/stats.js').Stats} stats
 * @param {import('./rates.js').Flows | null} flows
 */
function own(isScreen, { sent, transport }, flows) {
  const layers = sent.filter(({ kind, source }) => kind === 'video' && (source === 'screen') === isScreen);
  return [
    ...layers.map((each) => `${each.rid || more.figures.stream}: ${each.frameWidth}×${each.frameHeight} ${each.codec} ${Math.round(each.framesPerSecond)} fps${each.limitedBy && each.limitedBy !== 'none' ? `, ${more.figures.limitedBy} ${each.limitedBy}` : ''}`),
    flows && `${more.figures.sent} ${rate(flows.sent_bps)}`,
    transport?.outgoing_bps != null && `${more.figures.estimate} ${rate(transport.outgoing_bps)}`,
    `RTT ${ms(transport?.rtt_ms)} · ${transport?.local ?? ''} ${transport?.state ?? ''}`,
  ].filter(Boolean).join('\n');
}

/** @param {number} share */
const percent = (share) => `${(share * 100).toFixed(1)} %`;

/** @param {number | null | undefined} value */
const ms = (value) => (value == null ? '–' : `${Math.round(value)} ms`);

/** @param {any} a @param {any} b */
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** @param {any} which @param {any[]} [available] */
function layer(which, available = []) {
  if (!which) return more.why.nothing;
  const { encoding, spatial, temporal } = which;
  const found = available.find((each) => each.encoding === encoding && each.spatial === spatial && each.temporal === temporal);
  return `${encoding}/${spatial}/${temporal}${found ? ` ${found.width}×${found.height}` : ''}`;
}
