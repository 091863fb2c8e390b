/** What the address says: the room, and how a test wants the page to behave. */

import { strings } from './strings.js';

/**
 * @typedef {object} Params
 * @property {string} room
 * @property {string | null} name
 * @property {string | null} token
 * @property {boolean} host may mute and remove others: where nobody has a token, everybody may
 * @property {boolean} autojoin skip the lobby
 * @property {{audio: boolean, video: boolean}} publish
 * @property {boolean} subscribe
 * @property {import('../sdk/local.js').VideoCodec | undefined} codec
 * @property {boolean | 'auto'} simulcast
 * @property {string | null} svc a scalability mode
 * @property {number} width of the camera's picture, wanted
 * @property {number} height
 * @property {import('./one-way.js').Way | null} path to the server; `null`: whichever is best
 * @property {boolean | null} direct person to person: `true` makes it a setting of the room, `false` never
 * @property {number | null} mock so many invented participants instead of a server
 */

/** @returns {Params} */
export function readParams() {
  const query = new URLSearchParams(location.search);
  const hash = decode(location.hash.slice(1));
  const codec = query.get('codec')?.toLowerCase() ?? '';
  const publish = query.get('publish') ?? 'both';
  const simulcast = query.get('simulcast');
  const token = query.get('token');
  return {
    room: query.get('room')?.trim() || hash.trim() || newRoom(),
    name: query.get('name'),
    token,
    host: token === null || isAdmin(token),
    autojoin: query.get('autojoin') === '1',
    publish: {
      audio: publish === 'both' || publish === 'audio' || publish === '1',
      video: publish === 'both' || publish === 'video' || publish === '1',
    },
    subscribe: query.get('subscribe') !== '0',
    codec: /** @type {any} */ (['vp8', 'vp9', 'h264', 'av1'].includes(codec) ? codec : undefined),
    simulcast: simulcast === '1' ? true : simulcast === '0' ? false : 'auto',
    svc: query.get('svc'),
    width: positive(query.get('width')) ?? 1280,
    height: positive(query.get('height')) ?? 720,
    path: /** @type {any} */ (['udp', 'tcp', 'relay'].find((way) => way === query.get('path')) ?? null),
    direct: { 1: true, 0: false }[query.get('direct') ?? ''] ?? null,
    mock: query.has('mock') ? Number(query.get('mock')) || 0 : null,
  };
}

/** The link to send to others. @param {string} room */
export function roomLink(room) {
  const url = new URL(location.pathname, location.origin);
  url.searchParams.set('room', room);
  return url.href;
}

/** Puts the room into the address, so that copying that works too. @param {string} room */
export function showRoom(room) {
  const url = new URL(location.href);
  if (url.searchParams.has('room') || url.hash.length > 1) return;
  url.searchParams.set('room', room);
  history.replaceState(null, '', url);
}

/** A name nobody guesses by chance: two words and five digits. */
export function newRoom() {
  const [a, b, c] = crypto.getRandomValues(new Uint16Array(3));
  return `${strings.words.first[a % strings.words.first.length]}-${strings.words.second[b % strings.words.second.length]}-${String(c).padStart(5, '0')}`;
}

/** @param {string | null} text */
function positive(text) {
  const number = Number(text);
  return number > 0 ? number : null;
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What a token claims; its signature is the server's business, which also decides. @param {string} token */
export function isAdmin(token) {
  try {
    const body = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(atob(body)).video?.roomAdmin === true;
  } catch {
    return false;
  }
}
