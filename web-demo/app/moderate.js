/** What hosts do with others: by the server's API, which is asked with the token that one joined with. */

import { SfuError } from '../sdk/index.js';
import { toastError } from './notices.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/index.js').Room} Room */
/** @typedef {import('../sdk/index.js').Participant} Participant */

/**
 * What one may do with somebody.
 * @param {Room} room
 * @param {import('./params.js').Params} params
 * @param {Participant} participant
 */
export function hostOf(room, { host, token }, participant) {
  const act = (/** @type {'mute' | 'remove'} */ what) => void moderate(room, participant, what, token).catch(toastError);
  return host ? { mute: () => act('mute'), remove: () => confirm(strings.people.removeSure(participant.name)) && act('remove') } : null;
}

/**
 * @param {Room} room
 * @param {Participant} participant
 * @param {'mute' | 'remove'} what `mute`: the microphone
 * @param {string | null} token
 */
export async function moderate(room, participant, what, token) {
  const track = participant.track('microphone')?.id;
  const [method, path, body] = what === 'mute' ? ['POST', '/mute', JSON.stringify({ track, muted: true })] : ['DELETE', ''];
  const headers = { ...(body ? { 'Content-Type': 'application/json' } : {}), ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const url = `/api/v1/rooms/${encodeURIComponent(room.name)}/participants/${participant.id}${path}`;
  const response = await fetch(url, { method, headers, ...(body ? { body } : {}) }).catch((cause) => {
    throw new SfuError('unreachable', { cause });
  });
  if (response.ok) return;
  const { code = 'internal', title, detail } = await response.json().catch(() => ({}));
  throw new SfuError(code, { message: title, detail });
}
