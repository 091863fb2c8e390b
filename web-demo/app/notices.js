/** What the page tells besides the call itself: short notices, the banner, the last page of a call. */

import { h, icon, iconButton } from './dom.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/index.js').SfuError} SfuError */

const TOAST_MS = 5_000;
const TOAST_ERROR_MS = 12_000;
const TOASTS_MAX = 4;

/**
 * Shows a notice for a while; screen readers say it.
 * @param {string} text
 * @param {{hint?: string, bad?: boolean}} [more]
 */
export function toast(text, { hint, bad = false } = {}) {
  const list = /** @type {HTMLElement} */ (document.getElementById('toasts'));
  const close = () => {
    clearTimeout(timer);
    box.remove();
  };
  const box = h(
    'div',
    { class: bad ? 'toast bad' : 'toast' },
    bad && icon('warn'),
    h('div', {}, h('strong', {}, text), hint ? h('p', {}, hint) : null),
    bad && iconButton('close', strings.controls.close, close),
  );
  const timer = setTimeout(close, bad ? TOAST_ERROR_MS : TOAST_MS);
  list.append(box);
  while (list.children.length > TOASTS_MAX) list.firstElementChild?.remove();
}

/** @param {SfuError} error */
export function toastError(error) {
  toast(error.message, { hint: error.hint, bad: true });
}

/** The device's error inside a form, with a way to try again. @param {SfuError} error @param {() => void} retry */
export function deviceNotice(error, retry) {
  return h(
    'div',
    { class: 'notice', role: 'alert' },
    icon('warn'),
    h('div', {}, h('strong', {}, error.message), h('p', {}, error.hint)),
    h('button', { type: 'button', class: 'quiet', onclick: retry }, strings.lobby.retryDevices),
  );
}

/**
 * What is shown when a call is over or could not begin.
 * @param {{title: string, error?: SfuError, again: () => void, fresh: () => void, report: () => void}} what
 */
export function endPage({ title, error, again, fresh, report }) {
  return h(
    'section',
    { class: 'end card', role: error ? 'alert' : null, 'aria-labelledby': 'end-title' },
    error ? h('div', { class: 'end-icon bad' }, icon('warn')) : h('div', { class: 'end-icon' }, icon('leave')),
    h('h1', { id: 'end-title' }, title),
    error && h('p', { class: 'lead' }, error.message),
    error?.hint ? h('p', {}, error.hint) : null,
    error && h('p', { class: 'faint' }, strings.end.failedStep(strings.steps[error.step]), h('br'), h('code', {}, `${error.code} ${error.detail}`.trim())),
    h(
      'div',
      { class: 'row' },
      h('button', { type: 'button', class: 'primary', onclick: again }, error ? strings.end.retry : strings.end.rejoin),
      h('button', { type: 'button', class: 'quiet', onclick: fresh }, strings.end.newRoom),
      error && h('button', { type: 'button', class: 'quiet', onclick: report }, strings.end.report),
    ),
  );
}
