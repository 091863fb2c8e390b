/** How much of the others is received at all; what was chosen for one picture goes before it. */

import { remember, remembered } from './media.js';

/** @typedef {import('../sdk/index.js').RemoteTrack} RemoteTrack */
/** @typedef {import('../sdk/protocol.d.ts').Quality} Quality */
/** @typedef {'everything' | 'low' | 'screen' | 'audio' | 'nothing'} Mode */

const MODES = /** @type {Mode[]} */ (['everything', 'low', 'screen', 'audio', 'nothing']);

export class Receive {
  /** @type {Mode} */
  mode = MODES.find((mode) => mode === remembered('receive')) ?? 'everything';

  /** @param {string} mode */
  choose(mode) {
    this.mode = MODES.find((each) => each === mode) ?? 'everything';
    remember('receive', this.mode);
  }

  /**
   * @param {RemoteTrack} track
   * @param {Quality} [choice] for this picture alone
   */
  apply(track, choice = 'auto') {
    track.setQuality(choice === 'auto' ? wanted(this.mode, track) : choice);
  }
}

/**
 * @param {Mode} mode
 * @param {{kind: string, source: string}} track
 * @returns {Quality}
 */
export function wanted(mode, { kind, source }) {
  if (mode === 'nothing') return 'off';
  if (kind === 'audio' || mode === 'everything') return 'auto';
  if (source === 'screen') return mode === 'audio' ? 'off' : 'auto';
  return mode === 'low' ? 'low' : 'off';
}
