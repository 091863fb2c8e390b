/** Who is taken for a host: what the token claims; nonsense is none. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAdmin } from '../app/params.js';

/** @param {object} claims */
const token = (claims) => `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.y`;

test('a token that says so makes a host', () => {
  assert.equal(isAdmin(token({ sub: 'ada', video: { roomAdmin: true } })), true);
  // Bytes whose base64 differs between the two alphabets.
  assert.equal(isAdmin(token({ name: '???>>>~~~', video: { roomAdmin: true } })), true);
});

test('others do not', () => {
  for (const each of [token({ video: { roomJoin: true } }), token({ video: { roomAdmin: 'true' } }), token({}), 'nonsense', '', 'a.%.c']) assert.equal(isAdmin(each), false, each);
});
