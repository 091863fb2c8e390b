/** The call itself: what happens in the room becomes tiles, marks, sound and notices. */

import { h, iconButton, setButton } from './dom.js';
import { copyButton } from './lobby.js';
import { showShortcuts, toast, toastError } from './notices.js';
import { Panel } from './panel.js';
import { showSettings } from './settings.js';
import { Sound } from './sound.js';
import { strings } from './strings.js';
import { Grid, Tile } from './tiles.js';
import { Why } from './why.js';

/** @typedef {import('../sdk/index.js').Room} Room */
/** @typedef {import('../sdk/index.js').Participant} Participant */
/** @typedef {import('../sdk/index.js').RemoteTrack} RemoteTrack */
/** @typedef {import('./sending.js').Sending} Sending */
/** @typedef {import('./media.js').Media} Media */

/** More joining or leaving at once than this is not told one by one. */
const TELL_MAX = 12;
const OWN = 'own';
const OWN_SCREEN = 'own-screen';

export class Call {
  #room;
  #sending;
  #media;
  #grid = new Grid((key) => this.#pin(key));
  /** @type {string | null} */
  #pinned = null;
  #panel;
  #sound;
  #pill = h('span', { class: 'pill', role: 'status' });
  #banner = h('div', { class: 'banner', role: 'alert', hidden: true });
  #alone;
  #buttons;
  /** @type {(() => void)[]} */
  #offs;
  #interrupted = false;

  /**
   * @param {Room} room
   * @param {Sending} sending
   * @param {Media} media
   * @param {string} roomName
   */
  constructor(room, sending, media, roomName) {
    this.#room = room;
    this.#sending = sending;
    this.#media = media;
    this.#sound = new Sound(media);
    this.#panel = new Panel(new Why(room), { send: (text) => void this.#say(text), changed: (view, unread) => this.#panelChanged(view, unread) });
    this.#buttons = this.#makeButtons();
    this.#alone = h('div', { class: 'alone' }, h('p', {}, strings.tile.alone), h('p', { class: 'faint' }, strings.tile.aloneHint), copyButton(roomName));
    const { controls } = strings;
    const { mic, camera, share, chat, people, why, leave } = this.#buttons;
    this.element = h(
      'div',
      { class: 'call' },
      h(
        'header',
        { class: 'top' },
        h('h1', {}, roomName),
        copyButton(roomName),
        h('span', { class: 'gap' }),
        this.#pill,
        why,
        iconButton('settings', controls.settings, () => showSettings(media, (choice) => choice !== 'speaker' && void sending.chosen(choice)), { class: 'round flat' }),
        iconButton('help', controls.help, showShortcuts, { class: 'round flat help' }),
      ),
      this.#banner,
      h('div', { class: 'middle' }, h('div', { class: 'pictures' }, this.#grid.element, this.#alone), this.#panel.element),
      h('nav', { class: 'bar', 'aria-label': controls.toolbar }, mic, camera, sending.canShare ? share : null, h('span', { class: 'sep' }), chat, people, h('span', { class: 'sep' }), leave),
      this.#sound.element,
    );
    this.#offs = this.#listen();
    this.#addTile(OWN, room.local.name, { own: true, label: strings.youLabel(room.local.name) });
    for (const participant of room.participants.values()) this.#joined(participant, false);
    this.#drawOwn();
    this.#drawSpeakers(room.speakers);
    this.#drawState(room.state, {});
  }

  close() {
    this.#panel.show(null);
    for (const off of this.#offs) off();
    this.#sound.close();
  }

  #listen() {
    const room = this.#room;
    const onkey = (/** @type {KeyboardEvent} */ event) => this.#key(event);
    document.addEventListener('keydown', onkey);
    const timer = setInterval(() => this.#grid.tiles.forEach((tile) => tile.measure()), 1_000);
    return [
      () => clearInterval(timer),
      () => document.removeEventListener('keydown', onkey),
      room.on('state', (detail) => this.#drawState(detail.state, detail)),
      room.on('participantjoined', ({ participant }) => this.#joined(participant, true)),
      room.on('participantleft', ({ participant }) => this.#left(participant)),
      room.on('trackpublished', ({ track }) => this.#published(track)),
      room.on('trackunpublished', ({ track }) => this.#unpublished(track)),
      room.on('track', ({ track }) => this.#available(track)),
      room.on('trackended', ({ track }) => this.#drawTrack(track)),
      room.on('trackmuted', ({ participant, track }) => {
        if (participant === room.local) this.#drawOwn();
        else this.#drawTrack(/** @type {RemoteTrack} */ (track));
        if (participant === room.local && track.muted) toast(strings.announce.mutedByServer);
      }),
      room.on('speakers', ({ speakers }) => this.#drawSpeakers(speakers)),
      room.on('data', ({ participant, from, payload }) => {
        const text = chatText(payload);
        if (text !== null) this.#panel.addLine(participant?.name ?? (from ? strings.chat.gone : strings.chat.server), text, false);
      }),
      room.on('draining', () => toast(strings.state.draining)),
      room.on('error', ({ error }) => toastError(error)),
      this.#sending.on('change', () => this.#drawOwn()),
      this.#sending.on('error', ({ error }) => toastError(error)),
      this.#sending.on('lost', ({ device }) => toast(strings.devices.lost(strings.devices[device]), { hint: strings.devices.lostHint, bad: true })),
    ];
  }

  // Others

  /**
   * @param {Participant} participant
   * @param {boolean} tell
   */
  #joined(participant, tell) {
    this.#addTile(participant.id, participant.name);
    for (const track of participant.tracks.values()) this.#published(track);
    if (tell && this.#room.state === 'connected' && this.#room.participants.size <= TELL_MAX) toast(strings.announce.joined(participant.name));
  }

  /** @param {Participant} participant */
  #left(participant) {
    this.#grid.remove(participant.id);
    if (this.#room.state === 'connected' && this.#room.participants.size <= TELL_MAX) toast(strings.announce.left(participant.name));
    this.#drawPeople();
  }

  /** @param {RemoteTrack} track */
  #published(track) {
    const { participant } = track;
    if (track.kind === 'audio') {
      this.#sound.add(track);
    } else {
      if (track.source === 'screen' && !this.#grid.tiles.has(tileKey(track))) this.#addTile(tileKey(track), participant.name, { screen: true, label: strings.tile.screen(participant.name) });
      const tile = this.#grid.tiles.get(tileKey(track));
      if (tile) track.attach(tile.video);
      if (tileKey(track) === this.#pinned) track.pin();
      for (const type of /** @type {const} */ (['paused', 'resumed', 'layer'])) track.on(type, () => this.#drawTrack(track));
    }
    this.#drawTrack(track);
  }

  /** @param {RemoteTrack} track */
  #unpublished(track) {
    track.detach();
    if (track.kind === 'audio') this.#sound.remove(track);
    if (track.source === 'screen') this.#grid.remove(tileKey(track));
    this.#drawTrack(track);
  }

  /** @param {RemoteTrack} track */
  #available(track) {
    if (track.kind === 'audio') this.#sound.play(track);
    this.#drawTrack(track);
  }

  /** Shows how a track stands: its picture, or the mark of its microphone. @param {RemoteTrack} track */
  #drawTrack({ participant, source }) {
    const camera = participant.track('camera') ?? participant.track('other');
    const mic = participant.track('microphone');
    const tile = this.#grid.tiles.get(participant.id);
    tile?.setVideo(camera !== null && camera.kind === 'video' && !camera.muted && camera.mediaStreamTrack !== null);
    tile?.setMuted(mic === null || mic.muted);
    tile?.setPaused(pauseText(camera));
    if (source === 'screen') {
      const screen = participant.track('screen');
      const shared = this.#grid.tiles.get(`${participant.id}-screen`);
      shared?.setVideo(screen !== null && !screen.muted);
      shared?.setPaused(pauseText(screen));
    }
    this.#drawPeople();
  }

  /** @param {import('../sdk/room.js').RoomEvents['speakers']['speakers']} speakers */
  #drawSpeakers(speakers) {
    const keys = new Set(speakers.map(({ participant }) => (participant === this.#room.local ? OWN : participant.id)));
    for (const [key, tile] of this.#grid.tiles) if (!tile.screen) tile.setSpeaking(keys.has(key ?? ''));
    this.#drawPeople();
  }

  /**
   * @param {string} key
   * @param {string} name
   * @param {{own?: boolean, screen?: boolean, label?: string}} [more]
   */
  #addTile(key, name, more = {}) {
    if (this.#grid.tiles.has(key)) return;
    const tile = new Tile({ key, name, ...more, pin: (each) => this.#grid.togglePin(each), quality: (word) => this.#videoOf(key).forEach((track) => track.setQuality(word)) });
    if (!more.screen && !more.own) tile.setMuted(true); // until a microphone is published
    this.#grid.add(tile);
    this.#drawPeople();
  }

  /** What is large comes first on a thin link. @param {string | null} key */
  #pin(key) {
    if (key === this.#pinned) return;
    const [before, now] = [this.#pinned, key].map((each) => (each === null ? [] : this.#videoOf(each)));
    this.#pinned = key;
    for (const track of before) track.pin(false);
    for (const track of now) track.pin();
  }

  /** The pictures that a tile shows. @param {string} key */
  #videoOf(key) {
    const tracks = [...this.#room.participants.values()].flatMap(({ tracks }) => [...tracks.values()]);
    return tracks.filter((track) => track.kind === 'video' && tileKey(track) === key);
  }

  #drawPeople() {
    const room = this.#room;
    const speaking = new Set(room.speakers.map(({ participant }) => participant));
    const others = [...room.participants.values()].map((participant) => {
      const on = (/** @type {import('../sdk/local.js').Source} */ source) => participant.track(source)?.muted === false;
      return { name: participant.name, own: false, mic: on('microphone'), camera: on('camera'), screen: on('screen'), speaking: speaking.has(participant) };
    });
    const { micOn: mic, cameraOn: camera, screen } = this.#sending;
    this.#panel.setPeople([{ name: room.local.name, own: true, mic, camera, screen: screen !== null, speaking: speaking.has(room.local) }, ...others]);
    this.#buttons.people.dataset.count = String(others.length + 1);
    this.#alone.hidden = others.length > 0;
  }

  // Oneself

  #makeButtons() {
    const { controls } = strings;
    const sending = this.#sending;
    return {
      mic: iconButton('mic', controls.muteMic, () => void sending.toggleMic(), { id: 'mic', 'aria-keyshortcuts': 'm' }),
      camera: iconButton('camera', controls.cameraOff, () => void sending.toggleCamera(), { id: 'camera', 'aria-keyshortcuts': 'v' }),
      share: iconButton('screen', controls.share, () => void sending.toggleShare(), { id: 'share', 'aria-keyshortcuts': 's' }),
      chat: iconButton('chat', controls.chat, () => this.#panel.toggle('chat'), { id: 'chat', 'aria-keyshortcuts': 'c', 'aria-expanded': 'false' }),
      people: iconButton('people', controls.people, () => this.#panel.toggle('people'), { id: 'people', 'aria-keyshortcuts': 'p', 'aria-expanded': 'false' }),
      why: iconButton('why', strings.why.heading, () => this.#panel.toggle('why'), { id: 'why', class: 'round flat', 'aria-keyshortcuts': 'w', 'aria-expanded': 'false' }),
      leave: iconButton('leave', controls.leave, () => void this.#room.leave(), { id: 'leave', class: 'round danger' }),
    };
  }

  #drawOwn() {
    const { controls } = strings;
    const { micOn, cameraOn, screen } = this.#sending;
    setButton(this.#buttons.mic, micOn ? 'mic' : 'micOff', micOn ? controls.muteMic : controls.unmuteMic, !micOn);
    setButton(this.#buttons.camera, cameraOn ? 'camera' : 'cameraOff', cameraOn ? controls.cameraOff : controls.cameraOn, !cameraOn);
    setButton(this.#buttons.share, 'screen', screen ? controls.stopShare : controls.share);
    this.#buttons.share.classList.toggle('on', screen !== null);
    const tile = this.#grid.tiles.get(OWN);
    if (tile) show(tile, cameraOn ? this.#media.tracks.camera : null);
    tile?.setMuted(!micOn);
    if (screen) {
      this.#addTile(OWN_SCREEN, this.#room.local.name, { own: true, screen: true, label: strings.tile.ownScreen });
      show(/** @type {Tile} */ (this.#grid.tiles.get(OWN_SCREEN)), screen);
    } else {
      this.#grid.remove(OWN_SCREEN);
    }
    this.#drawPeople();
  }

  /** @param {string} text */
  async #say(text) {
    try {
      await this.#room.send(JSON.stringify({ type: 'chat', text }));
      this.#panel.addLine(this.#room.local.name, text, true);
    } catch (error) {
      toastError(/** @type {import('../sdk/index.js').SfuError} */ (error));
    }
  }

  // The page around

  /**
   * @param {import('../sdk/room.js').State} state
   * @param {{attempt?: number, error?: import('../sdk/index.js').SfuError}} detail
   */
  #drawState(state, { attempt = 0, error }) {
    const { state: text } = strings;
    this.#pill.className = `pill ${state}`;
    this.#pill.textContent = text[state];
    this.element.dataset.state = state;
    this.#banner.hidden = state !== 'reconnecting';
    if (state === 'reconnecting') {
      this.#interrupted = true;
      this.#banner.replaceChildren(
        h('span', { class: 'spinner', 'aria-hidden': 'true' }),
        h('div', {}, h('strong', {}, attempt ? text.banner : text.bannerMending), attempt > 1 ? h('span', {}, ` ${error?.message ?? ''} (${text.attempt(attempt)})`) : null),
        ...(attempt > 1 ? [h('button', { type: 'button', class: 'quiet small', onclick: () => this.#room.reconnect() }, text.tryNow)] : []),
      );
    } else if (state === 'connected' && this.#interrupted) {
      this.#interrupted = false;
      toast(text.back);
    }
  }

  /**
   * @param {import('./panel.js').View | null} view
   * @param {number} unread
   */
  #panelChanged(view, unread) {
    const { chat, people, why } = this.#buttons;
    const { controls, chat: text } = strings;
    this.element.classList.toggle('with-panel', view !== null);
    for (const [button, which] of /** @type {const} */ ([[chat, 'chat'], [people, 'people'], [why, 'why']])) {
      button.setAttribute('aria-expanded', String(view === which));
      button.classList.toggle('on', view === which);
    }
    chat.classList.toggle('unread', unread > 0);
    chat.setAttribute('aria-label', unread ? `${controls.chat}, ${text.unread(unread)}` : controls.chat);
  }

  /** Single keys, unless somebody is writing or a dialog is open. @param {KeyboardEvent} event */
  #key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (target.closest('input, textarea, select, dialog') || document.querySelector('dialog[open]')) return;
    const { mic, camera, share, chat, people, why } = this.#buttons;
    /** @type {Record<string, () => void>} */
    const actions = { m: () => mic.click(), v: () => camera.click(), s: () => share.click(), c: () => chat.click(), p: () => people.click(), w: () => why.click(), '?': showShortcuts };
    const action = actions[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  }
}

/** @param {RemoteTrack | null} track */
const pauseText = (track) => (track?.paused && !track.muted && strings.paused[track.paused]) || '';

/** @param {RemoteTrack} track */
const tileKey = ({ participant, source }) => (source === 'screen' ? `${participant.id}-screen` : participant.id);

/**
 * Shows one of the own tracks.
 * @param {Tile} tile
 * @param {MediaStreamTrack | null} track
 */
function show(tile, track) {
  const { video } = tile;
  const shown = /** @type {MediaStream | null} */ (video.srcObject)?.getTracks()[0] ?? null;
  if (shown !== track) video.srcObject = track && new MediaStream([track]);
  tile.setVideo(track !== null);
}

/**
 * The chat line in a message: our JSON, or any other text as it is; `null`: not for people.
 * @param {string | Uint8Array} payload
 */
function chatText(payload) {
  if (typeof payload !== 'string') return null;
  try {
    const message = JSON.parse(payload);
    if (typeof message === 'object' && message !== null) return message.type === 'chat' && typeof message.text === 'string' ? message.text : null;
  } catch {
    // plain text
  }
  return payload;
}

