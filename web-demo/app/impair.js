/** Sliders that make somebody's connection worse, where the server allows such tests. */

import { dialog } from './dialogs.js';
import { h } from './dom.js';
import { toastError } from './notices.js';
import { more } from './strings-more.js';

/** @typedef {import('../sdk/index.js').Room} Room */
/** @typedef {'loss_percent' | 'delay_ms' | 'rate_kbps'} What */
/** @typedef {Partial<Record<What | 'cut_seconds', number>>} Leg */

/** What a slider's places stand for. @type {Record<What, number[]>} */
const PLACES = {
  loss_percent: [0, 1, 2, 5, 10, 20, 30, 50],
  delay_ms: [0, 20, 50, 100, 200, 400, 800],
  rate_kbps: [0, 5_000, 2_000, 1_000, 500, 250, 100],
};
const CUT_S = 5;
/** What was set here, by participant: the server tells nobody else's. @type {Map<string, {downlink: Leg, uplink: Leg}>} */
const known = new Map();

/**
 * @param {Room} room
 * @param {string} id
 * @param {string} name
 */
export function showImpair(room, id, name) {
  const legs = known.get(id) ?? { downlink: {}, uplink: {} };
  known.set(id, legs);
  const send = (cut_seconds = 0) => {
    const cutting = cut_seconds ? { cut_seconds } : {};
    room.impair(id, { downlink: { ...legs.downlink, ...cutting }, uplink: { ...legs.uplink, ...cutting } }).catch(toastError);
  };
  const field = (/** @type {'downlink' | 'uplink'} */ way, /** @type {string} */ title) => h(
    'fieldset',
    { class: 'impair' },
    h('legend', {}, title),
    ...Object.keys(PLACES).map((what) => slider(legs[way], /** @type {What} */ (what), `${way}-${what}`, send)),
  );
  const clear = () => {
    known.delete(id);
    room.impair(id, {}).catch(toastError);
    box.close();
  };
  const buttons = h('div', { class: 'row' }, h('button', { type: 'button', class: 'quiet', onclick: () => send(CUT_S) }, more.impair.cut(CUT_S)), h('button', { type: 'button', class: 'quiet', onclick: clear }, more.impair.lift));
  const box = dialog(more.impair.heading(name), field('downlink', more.impair.downlink), field('uplink', more.impair.uplink), buttons);
}

/**
 * @param {Leg} leg changed as the slider is
 * @param {What} what
 * @param {string} id
 * @param {() => void} send
 */
function slider(leg, what, id, send) {
  const places = PLACES[what];
  const said = h('output', { for: id });
  const input = h('input', {
    type: 'range', id, min: '0', max: String(places.length - 1), step: '1',
    oninput: () => draw(),
    onchange: () => {
      leg[what] = places[Number(input.value)];
      send();
    },
  });
  input.value = String(places.indexOf(leg[what] ?? 0));
  const draw = () => {
    said.textContent = more.impairValues[what](places[Number(input.value)]);
    input.setAttribute('aria-valuetext', said.textContent);
  };
  draw();
  return h('div', {}, h('label', { for: id }, more.impairNames[what]), input, said);
}
