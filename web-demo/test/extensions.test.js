/** The header extensions of receiving m-lines. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takeLayers } from '../sdk/extensions.js';

const DESCRIPTOR = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';

test('the dependency descriptor is offered, everything else stays as the browser has it', () => {
  let set = null;
  const list = [{ uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', direction: 'sendrecv' }, { uri: DESCRIPTOR, direction: 'stopped' }, { uri: 'urn:other', direction: 'stopped' }];
  takeLayers({ getHeaderExtensionsToNegotiate: () => list, setHeaderExtensionsToNegotiate: (next) => (set = next) });
  assert.deepEqual(set.map(({ direction }) => direction), ['sendrecv', 'sendrecv', 'stopped']);
});

test('a browser in which this cannot be chosen is left alone', () => takeLayers({}));
