/** The page's way: lobby → call → end, and around again. */

import { Room, SfuError } from '../sdk/index.js';
import { Call } from './call.js';
import { copy } from './dom.js';
import { lobby } from './lobby.js';
import { Media, remembered } from './media.js';
import { endPage, toast } from './notices.js';
import { newRoom, readParams, roomLink, showRoom } from './params.js';
import { Sending } from './sending.js';
import { applyTheme } from './settings.js';
import { strings } from './strings.js';

const app = /** @type {HTMLElement} */ (document.getElementById('app'));
const params = readParams();
const media = new Media(params);
/** @type {Room} */
let room;
/** @type {Sending} */
let sending;
/** @type {{close: () => void} | null} */
let current = null;
let joined = false;
let name = params.name || remembered('name') || strings.guest(1 + Math.floor(Math.random() * 999));

applyTheme(remembered('theme') || 'auto');
document.title = strings.title(params.room);
showRoom(params.room);
globalThis.addEventListener('hashchange', () => location.reload());
// Nothing is awaited at the top: what is loaded late may import what is here.
void begin();

async function begin() {
  room = await makeRoom();
  sending = new Sending(room, media, params);
  if (params.autojoin || params.mock !== null) (await import('./probe.js')).exposeForTests(room, { media, sending, params });
  room.on('state', ({ state, reason, error }) => {
    if (state !== 'closed') return;
    sending.stop();
    const title = reason === 'left' ? strings.end.left : joined ? strings.end.failed : strings.end.failedJoin;
    ended(title, error);
  });
  globalThis.addEventListener('pagehide', () => void room.leave());
  if (!params.autojoin) return toLobby();
  await media.open(params.publish);
  await enter();
}

async function makeRoom() {
  const { mock, path } = params;
  if (mock !== null) return (await import('./mock.js')).mockRoom(mock);
  return new Room(path ? { RTCPeerConnection: (await import('./one-way.js')).oneWay(path) } : {});
}

/** @param {{element: HTMLElement, close: () => void}} view */
function show(view) {
  current?.close();
  current = view;
  app.replaceChildren(view.element);
}

function toLobby() {
  const view = lobby(params, media, (chosen) => {
    name = chosen;
    void enter();
  });
  show(view);
  view.focus();
}

async function enter() {
  joined = false;
  sending.start();
  room.local.name = name;
  try {
    const joining = room.join({
      room: params.room,
      name,
      url: '/ws',
      ...(params.token ? { token: params.token } : {}),
      direct: params.direct !== false && !params.path,
      ...(params.subscribe ? {} : { subscribe: 'manual' }),
    });
    show(new Call(room, sending, media, params));
    await joining;
    joined = true;
    if (params.direct) await (await import('./direct.js')).wantDirect(room, params.token);
  } catch (error) {
    // The `state` event has told of it; only a mistake of the page itself is left.
    if (!(error instanceof SfuError)) throw error;
  }
}

/**
 * @param {string} title
 * @param {SfuError} [error]
 */
function ended(title, error) {
  const element = endPage({
    title,
    ...(error ? { error } : {}),
    again: () => void media.open(params.publish).then(enter),
    fresh: () => location.assign(roomLink(newRoom())),
    report: async () => {
      const done = await copy(JSON.stringify(await room.report(), null, 1));
      toast(done ? strings.end.reportCopied : strings.lobby.copyFailed);
    },
  });
  show({ element, close: () => {} });
}
