/** Settings and the list of keys, in dialogs. */

import { h, iconButton } from './dom.js';
import { remembered } from './media.js';
import { applyTheme, deviceFields } from './settings.js';
import { more } from './strings-more.js';
import { strings } from './strings.js';

/** @typedef {import('./media.js').Media} Media */
/** @typedef {import('./media.js').Choice} Choice */

/**
 * @param {Media} media
 * @param {(choice: Choice) => void} chosen
 */
export function showSettings(media, chosen) {
  const fields = deviceFields(media, chosen);
  void media.refresh();
  dialog(strings.devices.heading, fields.element, themeField()).addEventListener('close', fields.off);
}

function themeField() {
  const select = h(
    'select',
    { id: 'theme', onchange: () => applyTheme(select.value) },
    ...Object.entries(strings.devices.themes).map(([value, label]) => h('option', { value }, label)),
  );
  select.value = remembered('theme') || 'auto';
  return h('div', { class: 'field' }, h('label', { for: 'theme' }, strings.devices.theme), select);
}

export function showShortcuts() {
  dialog(more.shortcuts.heading, h('dl', { class: 'keys' }, ...more.shortcuts.list.map(([key, what]) => h('div', {}, h('dt', {}, ...key.split(' ').map((each) => h('kbd', {}, each))), h('dd', {}, what)))));
}

/**
 * A dialog that closes by Escape, its button or a click beside it.
 * @param {string} title
 * @param {...import('./dom.js').Child} content
 */
export function dialog(title, ...content) {
  const box = h(
    'dialog',
    { 'aria-label': title, onclick: (/** @type {MouseEvent} */ event) => event.target === box && box.close(), onclose: () => box.remove() },
    h('div', { class: 'dialog-body' }, h('header', {}, h('h2', {}, title), iconButton('close', strings.controls.close, () => box.close())), ...content),
  );
  document.body.append(box);
  box.showModal();
  return box;
}
