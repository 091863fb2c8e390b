/** The call itself: what happens in the room becomes tiles, marks, sound and notices. */

import { Controls } from './controls.js';
import { directMark } from './direct.js';
import { h, icon } from './dom.js';
import { Grid } from './grid.js';
import { copyButton } from './lobby.js';
import { remember, remembered } from './media.js';
import { Messages } from './messages.js';
import { hostOf } from './moderate.js';
import { toast, toastError } from './notices.js';
import { Panel } from './panel.js';
import { Receive } from './receive.js';
import { Sound } from './sound.js';
import { Status } from './status.js';
import { strings } from './strings.js';
import { Tile } from './tiles.js';

/** @typedef {import('../sdk/index.js').Room} Room */
/** @typedef {import('../sdk/index.js').Participant} Participant */
/** @typedef {import('../sdk/index.js').RemoteTrack} RemoteTrack */
/** @typedef {import('./sending.js').Sending} Sending */
/** @typedef {import('./media.js').Media} Media */
/** @typedef {import('../sdk/quality.js').Quality} Health */

/** More joining or leaving at once than this is not told one by one. */
const TELL_MAX = 12;
const OWN = 'own';
const OWN_SCREEN = 'own-screen';
/** Who speaks for so long is worth a change of the picture, in ms. */
const SPEAKER_MS = 1_200;

export class Call {
  #room;
  #sending;
  #media;
  #grid = new Grid((key) => this.#large(key));
  /** What is large. @type {string | null} */
  #focus = null;
  #receive = new Receive();
  #messages;
  #params;
  #panel;
  #sound;
  #status;
  #controls;
  #alone;
  #locked = h('span', { class: 'locked', role: 'img', 'aria-label': strings.people.locked, title: strings.people.locked, hidden: true }, icon('lock'));
  /** @type {Map<string, Health>} by participant */
  #healths = new Map();
  /** @type {import('./extras.js').Extras | null} */
  #extras = null;
  /** @type {any} */
  #speakerTimer;
  /** @type {(() => void)[]} */
  #offs;

  /**
   * @param {Room} room
   * @param {Sending} sending
   * @param {Media} media
   * @param {import('./params.js').Params} params
   */
  constructor(room, sending, media, params) {
    const { room: roomName } = params;
    this.#room = room;
    this.#sending = sending;
    this.#media = media;
    this.#sound = new Sound(media);
    this.#messages = new Messages(room);
    this.#params = params;
    this.#status = new Status(room);
    this.#panel = new Panel(room, { send: (text) => void this.#say(text), lock: (on) => void room.lock(on).catch(toastError), changed: (view, unread) => this.#panelChanged(view, unread) });
    const mode = remembered('layout') || 'grid';
    this.#controls = new Controls(sending, this.#actions(), { layout: mode, receive: this.#receive.mode });
    this.#alone = h('div', { class: 'alone' }, h('p', {}, strings.tile.alone), h('p', { class: 'faint' }, strings.tile.aloneHint), copyButton(roomName));
    const direct = directMark(room);
    this.element = h(
      'div',
      { class: 'call' },
      h('header', { class: 'top' }, h('h1', {}, roomName), this.#locked, copyButton(roomName), h('span', { class: 'gap' }), direct.mark, this.#status.pill),
      this.#status.banner,
      h('div', { class: 'middle' }, h('div', { class: 'pictures' }, this.#grid.element, this.#alone), this.#panel.element),
      this.#controls.element,
      this.#sound.element,
    );
    this.#offs = [...this.#listen(), direct.off];
    this.#addTile(OWN, room.local.name, { own: true, label: strings.youLabel(room.local.name) });
    for (const participant of room.participants.values()) this.#joined(participant, false);
    this.#grid.followSpeaker(mode === 'speaker');
    this.#drawOwn();
    this.#drawSpeakers(room.speakers);
    this.#status.draw(room.state, {});
    this.#drawSettings();
  }

  close() {
    this.#panel.show(null);
    for (const off of this.#offs) off();
    this.#controls.close();
    this.#messages.close();
    this.#status.close();
    this.#sound.close();
    this.#extras?.close();
  }

  #listen() {
    const room = this.#room;
    const timer = setInterval(() => this.#grid.tiles.forEach((tile) => tile.measure()), 1_000);
    return [
      () => clearInterval(timer),
      () => clearTimeout(this.#speakerTimer),
      room.on('state', (detail) => this.#status.draw(detail.state, detail)),
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
      room.on('quality', ({ participant, quality }) => this.#drawHealth(participant, quality)),
      room.on('settings', () => this.#drawSettings()),
      room.on('impairment', ({ downlink, uplink }) => [downlink, uplink].some((leg) => Object.values(leg).some(Boolean)) && toast(strings.announce.impaired)),
      room.on('draining', () => toast(strings.state.draining)),
      room.on('error', ({ error }) => toastError(error)),
      this.#messages.on('chat', ({ from, known, text }) => this.#panel.addLine(from?.name ?? (known ? strings.chat.gone : strings.chat.server), text, false)),
      this.#messages.on('reaction', ({ from, emoji }) => this.#grid.tiles.get(from.id)?.react(emoji)),
      this.#messages.on('sign', ({ from, sign, on }) => this.#signed(from, sign, on)),
      this.#sending.on('change', () => this.#drawOwn()),
      this.#sending.on('error', ({ error }) => toastError(error)),
      this.#sending.on('lost', ({ device }) => toast(strings.devices.lost(strings.deviceNames[device]), { hint: strings.devices.lostHint, bad: true })),
    ];
  }

  /** @returns {import('./controls.js').Actions} */
  #actions() {
    return {
      hand: () => void this.#raise(!this.#messages.shows('hand')),
      toggle: (view) => void this.#panel.toggle(view),
      layout: (mode) => {
        remember('layout', mode);
        this.#grid.followSpeaker(mode === 'speaker');
      },
      receive: (mode) => {
        this.#receive.choose(mode);
        for (const track of this.#tracks()) this.#wish(track);
      },
      react: (emoji) => {
        this.#grid.tiles.get(OWN)?.react(emoji);
        this.#messages.react(emoji).catch(toastError);
      },
      record: () => void this.#withExtras((extras) => extras.record((on) => {
        this.#controls.drawRecording(on);
        void this.#messages.show('recording', on).catch(() => {});
      })),
      figures: () => void this.#withExtras((extras) => extras.toggleFigures()),
      settings: () => void this.#withExtras((extras) => extras.settings()),
      shortcuts: () => void this.#withExtras((extras) => extras.shortcuts()),
      leave: () => void this.#room.leave(),
      turn: (by) => this.#grid.turn(by),
    };
  }

  /** What few calls need is loaded when one does. @param {(extras: import('./extras.js').Extras) => unknown} use */
  async #withExtras(use) {
    try {
      const { Extras } = await import('./extras.js');
      this.#extras ??= new Extras({ room: this.#room, grid: this.#grid, media: this.#media, sending: this.#sending });
      await use(this.#extras);
    } catch (error) {
      toast(strings.notLoaded, { hint: /** @type {Error} */ (error).message, bad: true });
    }
  }

  // Others

  /**
   * @param {Participant} participant
   * @param {boolean} tell
   */
  #joined(participant, tell) {
    this.#addTile(participant.id, participant.name);
    for (const track of participant.tracks.values()) this.#published(track);
    if (tell && this.#tells) toast(strings.announce.joined(participant.name));
  }

  /** @param {Participant} participant */
  #left(participant) {
    this.#grid.remove(participant.id);
    if (this.#tells) toast(strings.announce.left(participant.name));
    this.#drawPeople();
  }

  get #tells() {
    return this.#room.state === 'connected' && this.#room.participants.size <= TELL_MAX;
  }

  /** @param {RemoteTrack} track */
  #published(track) {
    const { participant } = track;
    const key = tileKey(track);
    if (track.kind === 'audio') {
      this.#sound.add(track);
    } else {
      if (track.source === 'screen' && !this.#grid.tiles.has(key)) {
        this.#addTile(key, participant.name, { screen: true, label: strings.tile.screen(participant.name) });
        if (this.#tells) toast(strings.announce.shares(participant.name));
      }
      const tile = this.#grid.tiles.get(key);
      if (tile) track.attach(tile.video);
      if (key === this.#focus) track.pin();
      for (const type of /** @type {const} */ (['paused', 'resumed', 'layer'])) track.on(type, () => this.#drawTrack(track));
    }
    if (this.#receive.mode !== 'everything') this.#wish(track);
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

  /** @param {RemoteTrack} track */
  #wish(track) {
    this.#receive.apply(track, track.kind === 'video' ? this.#grid.tiles.get(tileKey(track))?.quality : 'auto');
  }

  /** Shows how a track stands: its picture, or the mark of its microphone. @param {RemoteTrack} track */
  #drawTrack({ participant, source }) {
    const camera = participant.track('camera') ?? participant.track('other');
    const mic = participant.track('microphone');
    const tile = this.#grid.tiles.get(participant.id);
    tile?.setVideo(camera !== null && camera.kind === 'video' && !camera.muted && camera.mediaStreamTrack !== null);
    tile?.setMuted(mic === null || mic.muted);
    tile?.setPaused(this.#pauseText(tile, camera));
    if (source === 'screen') {
      const screen = participant.track('screen');
      const shared = this.#grid.tiles.get(`${participant.id}-screen`);
      shared?.setVideo(screen !== null && !screen.muted);
      shared?.setPaused(this.#pauseText(shared, screen));
    }
    this.#drawPeople();
  }

  /** @param {Tile} tile @param {RemoteTrack | null} track */
  #pauseText(tile, track) {
    if (!track?.paused || track.muted) return '';
    const byMode = track.paused === 'off' && tile.quality === 'auto';
    return (byMode ? strings.receive.notReceived : strings.paused[track.paused]) ?? '';
  }

  /** @param {import('../sdk/room.js').RoomEvents['speakers']['speakers']} speakers */
  #drawSpeakers(speakers) {
    const keys = new Set(speakers.map(({ participant }) => (participant === this.#room.local ? OWN : participant.id)));
    const people = [...this.#grid.tiles.values()].filter(({ screen }) => !screen);
    for (const tile of people) tile.setSpeaking(keys.has(tile.key));
    this.#grid.setSpeaking(people.filter(({ key }) => keys.has(key)));
    const first = speakers.find(({ participant }) => participant !== this.#room.local)?.participant.id;
    clearTimeout(this.#speakerTimer);
    if (first) this.#speakerTimer = setTimeout(() => this.#grid.setSpeaker(first), SPEAKER_MS);
    this.#drawPeople();
  }

  /** @param {Participant} from @param {import('./messages.js').Sign} sign @param {boolean} on */
  #signed(from, sign, on) {
    if (sign === 'hand') this.#grid.tiles.get(from.id)?.setHand(on);
    if (sign === 'hand' && on) toast(strings.announce.hand(from.name));
    if (sign === 'recording') toast(on ? strings.announce.records(from.name) : strings.announce.recordsNot(from.name));
    this.#drawPeople();
  }

  /** @param {import('../sdk/room.js').RoomEvents['quality']['participant']} participant @param {Health} health */
  #drawHealth(participant, health) {
    if (participant === this.#room.local) return this.#status.setHealth(health);
    const id = /** @type {string} */ (participant.id);
    this.#healths.set(id, health);
    this.#grid.tiles.get(id)?.setHealth(health);
    this.#drawPeople();
  }

  #drawSettings() {
    const { locked } = this.#room.settings;
    if (this.#locked.hidden === locked && this.#room.state === 'connected') toast(locked ? strings.announce.locked : strings.announce.unlocked);
    this.#locked.hidden = !locked;
    this.#panel.drawLock();
    this.#drawPeople();
  }

  /**
   * @param {string} key
   * @param {string} name
   * @param {{own?: boolean, screen?: boolean, label?: string}} [more]
   */
  #addTile(key, name, more = {}) {
    if (this.#grid.tiles.has(key)) return;
    const tile = new Tile({ key, name, ...more, pin: (each) => this.#grid.togglePin(each), quality: () => this.#videoOf(key).forEach((track) => this.#wish(track)) });
    if (!more.screen && !more.own) tile.setMuted(true); // until a microphone is published
    if (!more.screen && !more.own) tile.setHand(this.#messages.shows('hand', key));
    this.#grid.add(tile);
    this.#drawPeople();
  }

  /** What is large comes first on a thin link. @param {string | null} key */
  #large(key) {
    const [before, now] = [this.#focus, key].map((each) => (each === null ? [] : this.#videoOf(each)));
    this.#focus = key;
    for (const track of before) track.pin(false);
    for (const track of now) track.pin();
  }

  #tracks() {
    return [...this.#room.participants.values()].flatMap(({ tracks }) => [...tracks.values()]);
  }

  /** The pictures that a tile shows. @param {string} key */
  #videoOf(key) {
    return this.#tracks().filter((track) => track.kind === 'video' && tileKey(track) === key);
  }

  #drawPeople() {
    const room = this.#room;
    const { impairments, admin } = room.settings;
    const impair = (/** @type {string} */ id, /** @type {string} */ name) =>
      impairments && (admin || id === room.local.id) ? () => void import('./impair.js').then(({ showImpair }) => showImpair(room, id, name)) : null;
    const speaking = new Set(room.speakers.map(({ participant }) => participant));
    const others = [...room.participants.values()].map((participant) => {
      const { id, name } = participant;
      const on = (/** @type {import('../sdk/local.js').Source} */ source) => participant.track(source)?.muted === false;
      const signs = { hand: this.#messages.shows('hand', id), recording: this.#messages.shows('recording', id), health: this.#healths.get(id) ?? 'good' };
      return { id, name, own: false, mic: on('microphone'), camera: on('camera'), screen: on('screen'), speaking: () => speaking.has(participant), host: hostOf(room, this.#params, participant), impair: impair(id, name), ...signs };
    });
    const { micOn: mic, cameraOn: camera, screen } = this.#sending;
    const signs = { hand: this.#messages.shows('hand'), recording: this.#messages.shows('recording'), health: /** @type {Health} */ ('good') };
    this.#panel.setPeople([{ id: OWN, name: room.local.name, own: true, mic, camera, screen: screen !== null, speaking: () => speaking.has(room.local), host: null, impair: impair(room.local.id ?? '', room.local.name), ...signs }, ...others]);
    this.#controls.drawCount(others.length + 1);
    this.#alone.hidden = others.length > 0;
  }

  // Oneself

  #drawOwn() {
    const { micOn, cameraOn, screen } = this.#sending;
    this.#controls.drawOwn();
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

  /** @param {boolean} up */
  async #raise(up) {
    const told = this.#messages.show('hand', up);
    this.#controls.drawHand(up);
    this.#grid.tiles.get(OWN)?.setHand(up);
    this.#drawPeople();
    await told.catch(toastError);
  }

  /** @param {string} text */
  async #say(text) {
    try {
      await this.#messages.say(text);
      this.#panel.addLine(this.#room.local.name, text, true);
    } catch (error) {
      toastError(/** @type {import('../sdk/index.js').SfuError} */ (error));
    }
  }

  /**
   * @param {import('./panel.js').View | null} view
   * @param {number} unread
   */
  #panelChanged(view, unread) {
    this.element.classList.toggle('with-panel', view !== null);
    this.#controls.drawPanel(view, unread);
  }
}

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
