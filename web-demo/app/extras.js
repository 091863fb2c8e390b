/** What few calls need: settings, recording, figures. */

import { showSettings, showShortcuts } from './dialogs.js';
import { Figures } from './figures.js';
import { toast } from './notices.js';
import { Recording, save } from './record.js';
import { more } from './strings-more.js';

/** @typedef {{room: import('../sdk/index.js').Room, grid: import('./grid.js').Grid, media: import('./media.js').Media, sending: import('./sending.js').Sending}} Parts */

export class Extras {
  #parts;
  #figures;
  /** @type {Recording | null} */
  #recording = null;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
    this.#figures = new Figures(parts.room, parts.grid);
  }

  toggleFigures() {
    this.#figures.toggle();
  }

  settings() {
    const { media, sending } = this.#parts;
    showSettings(media, (choice) => choice !== 'speaker' && void sending.chosen(choice));
  }

  shortcuts() {
    showShortcuts();
  }

  /** Begins, or ends and saves. @param {(on: boolean) => void} changed */
  async record(changed) {
    const { room, grid, media, sending } = this.#parts;
    if (this.#recording) {
      await this.#save();
      return changed(false);
    }
    const others = () => [...room.participants.values()].flatMap(({ tracks }) => [...tracks.values()]).filter(({ kind }) => kind === 'audio');
    this.#recording = new Recording(() => grid.shown, () => [...others().map(({ mediaStreamTrack }) => mediaStreamTrack), sending.micOn ? media.tracks.microphone : null]);
    toast(more.record.began, { hint: more.record.told });
    changed(true);
  }

  /** A call that ends does not lose what was recorded. */
  close() {
    this.#figures.stop();
    void this.#save();
  }

  async #save() {
    const recording = this.#recording;
    if (!recording) return;
    this.#recording = null;
    const blob = await recording.stop();
    save(blob, `${this.#parts.room.name || 'call'} ${new Date().toISOString().slice(0, 16).replaceAll(':', '-')}`);
    toast(more.record.saved(blob.size / 1e6));
  }
}
