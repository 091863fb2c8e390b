/** Device and appearance choices, as the lobby and the settings dialog show them. */

import { h } from './dom.js';
import { remember } from './media.js';
import { strings } from './strings.js';

/** @typedef {import('./media.js').Media} Media */
/** @typedef {import('./media.js').Choice} Choice */

/**
 * One select per kind of device; they follow what is plugged in.
 * @param {Media} media
 * @param {(choice: Choice) => void} chosen called after a choice was remembered
 */
export function deviceFields(media, chosen) {
  const canRoute = 'setSinkId' in HTMLMediaElement.prototype;
  const choices = /** @type {Choice[]} */ (canRoute ? ['camera', 'microphone', 'speaker'] : ['camera', 'microphone']);
  const selects = choices.map((choice) => {
    const onchange = () => {
      media.choose(choice, select.value);
      chosen(choice);
    };
    const select = h('select', { id: `device-${choice}`, onchange });
    return { choice, select };
  });
  const fill = () => selects.forEach(({ choice, select }) => fillSelect(media, choice, select));
  fill();
  const off = media.on('change', fill);
  const element = h(
    'div',
    { class: 'devices' },
    ...selects.map(({ choice, select }) => h('div', { class: 'field' }, h('label', { for: select.id }, strings.deviceNames[choice]), select)),
  );
  return { element, off };
}

/**
 * @param {Media} media
 * @param {Choice} choice
 * @param {HTMLSelectElement} select
 */
function fillSelect(media, choice, select) {
  const list = media.devices[choice];
  const inUse = choice === 'speaker' ? '' : (media.tracks[choice]?.getSettings().deviceId ?? '');
  const wanted = inUse || media.chosen(choice);
  const empty = choice === 'speaker' ? strings.devices.systemDefault : strings.devices.none;
  select.disabled = list.length === 0;
  select.replaceChildren(
    ...(list.length ? [] : [h('option', { value: '' }, empty)]),
    ...list.map(({ deviceId, label }, i) => h('option', { value: deviceId }, label || strings.devices.unnamed(strings.deviceNames[choice], i + 1))),
  );
  if (list.some(({ deviceId }) => deviceId === wanted)) select.value = wanted;
}

/** @param {string} theme */
export function applyTheme(theme) {
  remember('theme', theme);
  document.documentElement.dataset.theme = theme;
}
