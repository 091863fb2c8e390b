/** Person to person: the mark that says so, and asking for it. */

import { h } from './dom.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/index.js').Room} Room */

/** Shown while media goes past the server. @param {Room} room */
export function directMark(room) {
  const mark = h('span', { class: 'pill connected', hidden: room.path !== 'direct', title: strings.direct.hint }, strings.direct.mark);
  const off = room.on('path', ({ path }) => (mark.hidden = path !== 'direct'));
  return { mark, off };
}

/** Makes it a setting of the room; one who may not leaves it as it is. @param {Room} room @param {string | null} token */
export async function wantDirect(room, token) {
  const headers = { 'Content-Type': 'application/json', 'If-Match': '*', ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  await fetch(`/api/v1/rooms/${encodeURIComponent(room.name)}`, { method: 'PATCH', headers, body: '{"direct":true}' }).catch(() => {});
}
