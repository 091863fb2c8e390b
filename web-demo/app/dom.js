/** The smallest way to make elements: no inline styles, no markup from strings. */

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties] `on…`: a listener; `class`, `for`, `aria-…`, `data-…`, `role`: attributes; else properties
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key in element && !key.includes('-')) Reflect.set(element, key, value);
    else element.setAttribute(key, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/**
 * The same for drawings; there are attributes only.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {...Node} children
 */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Outlines on a 24 × 24 field. */
const PATHS = {
  mic: 'M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21',
  micOff: 'M15 10V6a3 3 0 0 0-5.5-1.5M9 9v2a3 3 0 0 0 4.5 2.5M5.5 11a6.5 6.5 0 0 0 10.5 5M18.5 11a6.5 6.5 0 0 1-.5 2.5M12 17.5V21M4 4l16 16',
  camera: 'M4.5 6.5h9a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-9a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2zM15.5 10.5l6-3.5v10l-6-3.5',
  cameraOff: 'M9.5 6.5h4a2 2 0 0 1 2 2v2l6-3.5v10l-3-2M15.5 15.5a2 2 0 0 1-2 2h-9a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2M3 3l18 18',
  screen: 'M4 5h16a1.5 1.5 0 0 1 1.5 1.5v9A1.5 1.5 0 0 1 20 17H4a1.5 1.5 0 0 1-1.5-1.5v-9A1.5 1.5 0 0 1 4 5zM8.5 20.5h7M12 14V8.5M9.5 11 12 8.5l2.5 2.5',
  chat: 'M20.5 12a7.5 7.5 0 0 1-11 6.5L4 20l1.5-4.5A7.5 7.5 0 1 1 20.5 12z',
  people: 'M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 19.5a6.5 6.5 0 0 1 13 0M15.5 5a3.5 3.5 0 0 1 0 6.5M18 14.5a6.5 6.5 0 0 1 3.5 5',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4zM9 14.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4z',
  help: 'M9.2 9.2a2.9 2.9 0 0 1 5.6 1c0 2-2.8 2.3-2.8 4M12 17.6v.01M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z',
  leave: 'M3.2 13.8c-1-1.5-.6-3.2.7-4.2a13.4 13.4 0 0 1 16.2 0c1.3 1 1.7 2.7.7 4.2l-.6.9a1.2 1.2 0 0 1-1.4.5l-2.7-.9a1.2 1.2 0 0 1-.8-1.2v-1.7a12 12 0 0 0-6.6 0v1.7a1.2 1.2 0 0 1-.8 1.2l-2.7.9a1.2 1.2 0 0 1-1.4-.5z',
  link: 'M10 13.5a4 4 0 0 0 5.5 0l3-3a4 4 0 0 0-5.5-5.5l-1 1M14 10.5a4 4 0 0 0-5.5 0l-3 3a4 4 0 0 0 5.5 5.5l1-1',
  why: 'M4 20V14M9.5 20V10M14.5 20V13M20 20V4',
  close: 'M6 6l12 12M18 6 6 18',
  hand: 'M7 11.5V6a1.5 1.5 0 0 1 3 0V11M10 10.5V4.5a1.5 1.5 0 0 1 3 0v6M12.5 11V5.5a1.5 1.5 0 0 1 3 0v6M15.5 12V8.5a1.5 1.5 0 0 1 3 0V14a7 7 0 0 1-7 7c-2.5 0-4.5-1-5.5-3l-2.5-4.5a1.5 1.5 0 0 1 2.5-1.5L7 14',
  more: 'M5.5 12v.01M12 12v.01M18.5 12v.01',
  record: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z',
  figures: 'M4 4.5h16v15H4zM8 9h8M8 12.5h5M8 16h6.5',
  pip: 'M21 11V6.5A1.5 1.5 0 0 0 19.5 5h-15A1.5 1.5 0 0 0 3 6.5v10A1.5 1.5 0 0 0 4.5 18H9M12.5 13H21v6h-8.5z',
  back: 'M14.5 5.5 8 12l6.5 6.5',
  next: 'M9.5 5.5 16 12l-6.5 6.5',
  send: 'M4.5 12 4 4.5 21 12 4 19.5 4.5 12zM4.5 12H12',
  pin: 'M4 9V5.5A1.5 1.5 0 0 1 5.5 4H9M15 4h3.5A1.5 1.5 0 0 1 20 5.5V9M20 15v3.5a1.5 1.5 0 0 1-1.5 1.5H15M9 20H5.5A1.5 1.5 0 0 1 4 18.5V15',
  unpin: 'M9 4v3.5A1.5 1.5 0 0 1 7.5 9H4M20 9h-3.5A1.5 1.5 0 0 1 15 7.5V4M15 20v-3.5a1.5 1.5 0 0 1 1.5-1.5H20M4 15h3.5A1.5 1.5 0 0 1 9 16.5V20',
  sound: 'M4 9.5h3.5L12 5.5v13l-4.5-4H4zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11',
  lock: 'M6 11h12a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1zM8 11V8a4 4 0 0 1 8 0v3',
  warn: 'M12 4 2.8 20h18.4zM12 10v4.5M12 17.3v.01',
};

/** @typedef {keyof typeof PATHS} Icon */

/** @param {Icon} name */
export function icon(name) {
  return svg('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' }, svg('path', { d: PATHS[name] }));
}

/**
 * A round button with an icon.
 * @param {Icon} name
 * @param {string} label
 * @param {() => void} onclick
 * @param {Record<string, any>} [properties]
 */
export function iconButton(name, label, onclick, properties = {}) {
  return h('button', { type: 'button', class: 'round', title: label, 'aria-label': label, onclick, ...properties }, icon(name));
}

/**
 * @param {HTMLElement} button
 * @param {Icon} name
 * @param {string} label
 * @param {boolean} [off] shown as switched off
 */
export function setButton(button, name, label, off = false) {
  button.querySelector('.icon')?.replaceWith(icon(name));
  button.title = label;
  button.setAttribute('aria-label', label);
  button.classList.toggle('off', off);
}

/** @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // no permission, or not a secure page
  }
}
