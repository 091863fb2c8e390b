/** Tokens as an application would sign them, for servers that want some. */

import { createHmac } from 'node:crypto';

const [KEY, SECRET] = ['e2e', 'a secret of thirty-two bytes or more'];

/** Flags of a server that lets nobody in without a token. */
export const KEYED = ['--set', `auth.keys.${KEY}.secret=${SECRET}`, '--set', 'auth.open=false'];

/**
 * @param {string} identity
 * @param {object} grants `video` of the token: which room, and what one may do there
 * @param {{secret?: string}} [options]
 */
export function sign(identity, grants, { secret = SECRET } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const body = { iss: KEY, sub: identity, nbf: now - 5, exp: now + 600, video: grants };
  const text = [{ alg: 'HS256', typ: 'JWT' }, body].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}
