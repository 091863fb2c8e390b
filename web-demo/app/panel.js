/** The side panel: chat, the list of people, and why one sees what one sees. */

import { h, icon, iconButton } from './dom.js';
import { strings } from './strings.js';
import { hue, initials } from './tiles.js';

const LINES_MAX = 500;

/** @typedef {'chat' | 'people' | 'why'} View */
/** @typedef {{id: string, name: string, own: boolean, mic: boolean, camera: boolean, screen: boolean, speaking: () => boolean, host: {mute: () => unknown, remove: () => unknown} | null, impair: (() => unknown) | null, hand: boolean, recording: boolean, health: import('../sdk/quality.js').Quality}} Person */

export class Panel {
  /** @type {View | null} */
  view = null;
  #unread = 0;
  #log = h('div', { class: 'log', role: 'log', 'aria-live': 'polite', tabIndex: 0, 'aria-label': strings.controls.chat }, h('p', { class: 'faint empty' }, strings.chat.empty));
  #input;
  #lock;
  #chat;
  #people = h('ul', { class: 'people', tabIndex: 0, 'aria-label': strings.controls.people });
  #title = h('h2');
  #last = { name: '', at: 0 };

  /**
   * @param {import('../sdk/index.js').Room} room
   * @param {{send: (text: string) => void, lock: (on: boolean) => void, changed: (view: View | null, unread: number) => void}} owner
   */
  constructor(room, { send, lock, changed }) {
    this.#room = room;
    this.#changed = changed;
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      const text = this.#input.value.trim();
      if (!text) return;
      this.#input.value = '';
      send(text);
    };
    this.#input = h('textarea', {
      rows: 1,
      maxLength: 4000,
      placeholder: strings.chat.placeholder,
      'aria-label': strings.chat.placeholder,
      enterKeyHint: 'send',
      onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === 'Enter' && !event.shiftKey && !event.isComposing && submit(event),
    });
    const button = h('button', { type: 'submit', class: 'round', title: strings.chat.send, 'aria-label': strings.chat.send }, icon('send'));
    this.#lock = h('button', { type: 'button', id: 'lock', class: 'quiet small', hidden: true, onclick: () => lock(!room.settings.locked) });
    this.#chat = h('div', { class: 'chat' }, this.#log, h('form', { onsubmit: submit }, this.#input, button));
    this.element = h(
      'aside',
      { class: 'panel', hidden: true, onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === 'Escape' && this.show(null) },
      h('header', {}, this.#title, this.#lock, iconButton('close', strings.controls.close, () => this.show(null))),
      this.#chat,
      this.#people,
    );
  }

  /** Loaded when it is first asked for. @type {import('./why.js').Why | null} */
  #why = null;
  #room;
  #changed;
  /** Where the focus goes back to. @type {HTMLElement | null} */
  #opener = null;

  /** Shows a view, or hides it when it is shown. @param {View} view */
  async toggle(view) {
    if (view === 'why' && !this.#why) {
      const { Why } = await import('./why.js');
      this.#why = new Why(this.#room);
      this.element.append(this.#why.element);
    }
    this.show(this.view === view ? null : view);
  }

  /** @param {View | null} view */
  show(view) {
    if (view && !this.view) this.#opener = /** @type {HTMLElement | null} */ (document.activeElement);
    if (!view && this.element.contains(document.activeElement)) this.#opener?.focus();
    this.view = view;
    this.element.hidden = view === null;
    this.#chat.hidden = view !== 'chat';
    this.#people.hidden = view !== 'people';
    if (this.#why) this.#why.element.hidden = view !== 'why';
    this.#why?.run(view === 'why');
    this.#retitle();
    if (view === 'chat') {
      this.#unread = 0;
      this.#log.scrollTop = this.#log.scrollHeight;
      this.#input.focus();
    }
    this.#changed(view, this.#unread);
  }

  /**
   * @param {string} name
   * @param {string} text
   * @param {boolean} own
   */
  addLine(name, text, own) {
    const at = Date.now();
    const followsOn = this.#last.name === name && at - this.#last.at < 120_000;
    this.#last = { name, at };
    this.#log.querySelector('.empty')?.remove();
    const bottom = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 40;
    const time = new Date(at);
    this.#log.append(
      h(
        'div',
        { class: own ? 'line own' : 'line' },
        !followsOn && h('div', { class: 'who' }, h('strong', {}, own ? strings.youLabel(name) : name), h('time', { dateTime: time.toISOString() }, time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }))),
        h('div', { class: 'text' }, ...linked(text)),
      ),
    );
    while (this.#log.children.length > LINES_MAX) this.#log.firstElementChild?.remove();
    if (bottom || own) this.#log.scrollTop = this.#log.scrollHeight;
    if (this.view !== 'chat' && !own) this.#changed(this.view, ++this.#unread);
  }

  /** @param {Person[]} people */
  setPeople(people) {
    this.#count = people.length;
    this.#retitle();
    // A row stays while nothing in it changes, and with it the focus.
    const rows = people.map((person) => {
      const key = JSON.stringify(person);
      const row = this.#rows.get(person.id)?.key === key ? this.#rows.get(person.id) : { key, element: personRow(person) };
      return { id: person.id, row: /** @type {{key: string, element: HTMLElement}} */ (row) };
    });
    this.#rows = new Map(rows.map(({ id, row }) => [id, row]));
    const wanted = rows.map(({ row }) => row.element);
    for (const child of [...this.#people.children]) if (!wanted.includes(/** @type {HTMLElement} */ (child))) child.remove();
    wanted.forEach((element, i) => this.#people.children[i] === element || this.#people.insertBefore(element, this.#people.children[i] ?? null));
    people.forEach(({ speaking }, i) => wanted[i].classList.toggle('speaking', speaking()));
  }

  /** @type {Map<string, {key: string, element: HTMLElement}>} */
  #rows = new Map();

  #count = 0;

  /** Whether one may lock the room, and what that would do now. */
  drawLock() {
    const { admin, locked } = this.#room.settings;
    this.#lock.hidden = !admin || this.view !== 'people';
    this.#lock.textContent = locked ? strings.people.unlock : strings.people.lock;
  }

  #retitle() {
    this.drawLock();
    this.#title.textContent = this.view === 'people' ? strings.people.heading(this.#count) : this.view === 'why' ? strings.controls.why : strings.controls.chat;
    this.element.setAttribute('aria-label', this.#title.textContent);
  }
}

/** @param {Person} person */
function personRow({ name, own, mic, camera, screen, hand, recording, health, host, impair }) {
  const small = h('span', { class: 'avatar', 'aria-hidden': 'true' }, initials(name));
  small.style.setProperty('--hue', String(hue(name)));
  const mark = (/** @type {import('./dom.js').Icon} */ which, /** @type {string} */ label) => h('span', { role: 'img', 'aria-label': label, title: label }, icon(which));
  return h(
    'li',
    {},
    small,
    h('span', { class: 'name' }, own ? strings.youLabel(name) : name),
    hand && mark('hand', strings.tile.hand),
    recording && mark('record', strings.tile.recording),
    health !== 'good' && mark('warn', strings.health[health]),
    screen && mark('screen', strings.controls.share),
    mark(camera ? 'camera' : 'cameraOff', strings.deviceNames.camera),
    host && mic ? iconButton('mic', strings.people.mute(name), host.mute) : mark(mic ? 'mic' : 'micOff', mic ? strings.deviceNames.microphone : strings.tile.muted),
    impair && iconButton('why', strings.people.impair(name), impair),
    host && iconButton('close', strings.people.remove(name), host.remove),
  );
}

/** Text with its web addresses as links. @param {string} text */
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]+)/).map((part, i) =>
    i % 2 ? h('a', { href: part, target: '_blank', rel: 'noopener noreferrer' }, part) : part,
  );
}
