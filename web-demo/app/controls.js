/** The bar of a call: one's own devices, the panel's views, the menu; and the keys for them. */

import { h, icon, iconButton, setButton } from './dom.js';
import { strings } from './strings.js';

/** @typedef {import('./sending.js').Sending} Sending */
/** @typedef {import('./panel.js').View} View */

/**
 * What the bar can do to a call.
 * @typedef {object} Actions
 * @property {() => void} hand
 * @property {(view: View) => void} toggle
 * @property {(mode: string) => void} layout
 * @property {(mode: string) => void} receive
 * @property {(emoji: string) => void} react
 * @property {() => void} record
 * @property {() => void} figures
 * @property {() => void} settings
 * @property {() => void} shortcuts
 * @property {() => void} leave
 * @property {(by: number) => void} turn
 */

export class Controls {
  #sending;
  #actions;
  #buttons;
  #menu;
  #items;
  #talking = false;

  /**
   * @param {Sending} sending
   * @param {Actions} actions
   * @param {{layout: string, receive: string}} chosen
   */
  constructor(sending, actions, chosen) {
    this.#sending = sending;
    this.#actions = actions;
    this.#buttons = this.#makeButtons();
    this.#items = {
      layout: choice('layout', strings.layout.heading, strings.layout.modes, chosen.layout, actions.layout),
      receive: choice('receive', strings.receive.heading, strings.receive.modes, chosen.receive, actions.receive),
      react: this.#reactions(),
      record: this.#item('record', strings.controls.record, '', actions.record),
      figures: this.#item('figures', strings.controls.figures, 'd', actions.figures),
      why: this.#item('why', strings.controls.why, 'w', () => actions.toggle('why')),
      settings: this.#item('settings', strings.controls.settings, '', actions.settings),
      help: this.#item('help', strings.controls.help, '?', actions.shortcuts),
    };
    if (!('MediaRecorder' in globalThis)) this.#items.record.hidden = true;
    this.#menu = h('div', { id: 'menu', class: 'menu', popover: 'auto', role: 'group', 'aria-label': strings.controls.more }, ...Object.values(this.#items));
    const { mic, camera, share, hand, chat, people, more, leave } = this.#buttons;
    const gap = () => h('span', { class: 'sep' });
    this.element = h('nav', { class: 'bar', 'aria-label': strings.controls.toolbar }, mic, camera, sending.canShare ? share : null, hand, gap(), chat, people, more, gap(), leave, this.#menu);
    document.addEventListener('keydown', this.#keydown);
    document.addEventListener('keyup', this.#keyup);
  }

  close() {
    document.removeEventListener('keydown', this.#keydown);
    document.removeEventListener('keyup', this.#keyup);
  }

  /** One's own devices, as they are. */
  drawOwn() {
    const { micOn, cameraOn, screen } = this.#sending;
    const { mic, camera, share } = this.#buttons;
    setButton(mic, micOn ? 'mic' : 'micOff', micOn ? strings.controls.muteMic : strings.controls.unmuteMic, !micOn);
    setButton(camera, cameraOn ? 'camera' : 'cameraOff', cameraOn ? strings.controls.cameraOff : strings.controls.cameraOn, !cameraOn);
    setButton(share, 'screen', screen ? strings.controls.stopShare : strings.controls.share);
    share.classList.toggle('on', screen !== null);
  }

  /** @param {boolean} up */
  drawHand(up) {
    setButton(this.#buttons.hand, 'hand', up ? strings.controls.lowerHand : strings.controls.raiseHand);
    this.#buttons.hand.classList.toggle('on', up);
  }

  /** @param {boolean} on */
  drawRecording(on) {
    this.#items.record.classList.toggle('on', on);
    label(this.#items.record, on ? strings.controls.stopRecording : strings.controls.record);
  }

  /** @param {number} count */
  drawCount(count) {
    const { people } = this.#buttons;
    people.dataset.count = String(count);
    people.setAttribute('aria-label', `${strings.controls.people}, ${count}`);
  }

  /** @param {string} mode */
  drawLayout(mode) {
    const select = this.#items.layout.querySelector('select');
    if (select) select.value = mode;
  }

  /**
   * @param {View | null} view
   * @param {number} unread
   */
  drawPanel(view, unread) {
    const { chat, people } = this.#buttons;
    for (const [button, which] of /** @type {const} */ ([[chat, 'chat'], [people, 'people']])) {
      button.setAttribute('aria-expanded', String(view === which));
      button.classList.toggle('on', view === which);
    }
    chat.classList.toggle('unread', unread > 0);
    chat.dataset.count = unread > 99 ? '99+' : String(unread);
    chat.setAttribute('aria-label', unread ? `${strings.controls.chat}, ${strings.chat.unread(unread)}` : strings.controls.chat);
  }

  #makeButtons() {
    const { hand, toggle, leave } = this.#actions;
    const sending = this.#sending;
    const expands = { 'aria-expanded': 'false' };
    return {
      mic: iconButton('mic', strings.controls.muteMic, () => void sending.toggleMic(), { id: 'mic', 'aria-keyshortcuts': 'm' }),
      camera: iconButton('camera', strings.controls.cameraOff, () => void sending.toggleCamera(), { id: 'camera', 'aria-keyshortcuts': 'v' }),
      share: iconButton('screen', strings.controls.share, () => void sending.toggleShare(), { id: 'share', 'aria-keyshortcuts': 's' }),
      hand: iconButton('hand', strings.controls.raiseHand, hand, { id: 'hand', 'aria-keyshortcuts': 'h' }),
      chat: iconButton('chat', strings.controls.chat, () => toggle('chat'), { id: 'chat', 'aria-keyshortcuts': 'c', ...expands }),
      people: iconButton('people', strings.controls.people, () => toggle('people'), { id: 'people', 'aria-keyshortcuts': 'p', ...expands }),
      more: iconButton('more', strings.controls.more, () => {}, { id: 'more', popovertarget: 'menu' }),
      leave: iconButton('leave', strings.controls.leave, leave, { id: 'leave', class: 'round danger' }),
    };
  }

  /**
   * @param {import('./dom.js').Icon} name
   * @param {string} text
   * @param {string} key
   * @param {() => void} action
   */
  #item(name, text, key, action) {
    const onclick = () => {
      this.#menu.hidePopover?.();
      action();
    };
    return h('button', { type: 'button', class: 'item', id: `menu-${name}`, onclick, 'aria-keyshortcuts': key || null }, icon(name), h('span', {}, text), key && h('kbd', { 'aria-hidden': 'true' }, key));
  }

  #reactions() {
    const react = (/** @type {string} */ emoji) => {
      this.#menu.hidePopover?.();
      this.#actions.react(emoji);
    };
    return h('div', { class: 'item reactions', role: 'group', 'aria-label': strings.react }, ...Object.entries(strings.reactions).map(([emoji, name]) => h('button', { type: 'button', title: name, 'aria-label': name, onclick: () => react(emoji) }, emoji)));
  }

  /** Single keys, unless somebody is writing or a dialog is open. @param {KeyboardEvent} event */
  #keydown = (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || isBusy(target)) return;
    if (event.key === ' ') return this.#talk(event, target);
    const { mic, camera, share, hand, chat, people } = this.#buttons;
    const { figures, why } = this.#items;
    /** @type {Record<string, () => void>} */
    const actions = {
      m: () => mic.click(), v: () => camera.click(), s: () => share.click(), h: () => hand.click(), c: () => chat.click(), p: () => people.click(),
      d: () => figures.click(), w: () => why.click(), l: () => this.#nextLayout(), '?': () => this.#items.help.click(),
      pagedown: () => this.#actions.turn(1), pageup: () => this.#actions.turn(-1),
    };
    const action = actions[event.key.toLowerCase()];
    if (!action || event.repeat) return;
    event.preventDefault();
    action();
  };

  /** Held: one is heard. On a button the space bar presses that. @param {KeyboardEvent} event @param {HTMLElement} target */
  #talk(event, target) {
    if (target.closest('button, a, summary, [tabindex]')) return;
    event.preventDefault();
    if (event.repeat || !this.#sending.canTalk) return;
    this.#talking = true;
    this.#buttons.mic.click();
  }

  /** @param {KeyboardEvent} event */
  #keyup = ({ key }) => {
    if (key !== ' ' || !this.#talking) return;
    this.#talking = false;
    void this.#sending.silence();
  };

  #nextLayout() {
    const select = this.#items.layout.querySelector('select');
    if (!select) return;
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    this.#actions.layout(select.value);
  }
}

/** @param {HTMLElement} target */
function isBusy(target) {
  return target.closest('input, textarea, select, dialog') !== null || document.querySelector('dialog[open]') !== null;
}

/**
 * @param {string} id
 * @param {string} heading
 * @param {Record<string, string>} modes
 * @param {string} chosen
 * @param {(mode: string) => void} choose
 */
function choice(id, heading, modes, chosen, choose) {
  const select = h('select', { id: `menu-${id}`, onchange: () => choose(select.value) }, ...Object.entries(modes).map(([value, text]) => h('option', { value }, text)));
  select.value = chosen;
  return h('div', { class: 'item' }, h('label', { for: select.id }, heading), select);
}

/** @param {HTMLElement} item @param {string} text */
function label(item, text) {
  const span = item.querySelector('span');
  if (span) span.textContent = text;
}
