/** Media by IPv6 and by nothing else: the page, the signalling and every candidate of the server are there. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { hostAddresses } from '../harness/server.js';

const BY_IPV6 = { http: '[::1]:0', advertise: hostAddresses('IPv6') };

for (const others of /** @type {const} */ (['chromium', 'firefox'])) {
  scenario(`Chromium and ${others} call by IPv6 only`, async (stage) => {
    const server = await stage.server(BY_IPV6);
    assert.match(server.url, /^http:\/\/\[::1\]:/);
    const [alice, bob] = await Promise.all([
      stage.join({ name: 'alice' }, 'chromium'),
      stage.join({ name: 'bob' }, others),
    ]);
    await Promise.all([alice.meets('bob'), bob.meets('alice')]);
    const metrics = await server.metrics();
    assert.equal(metrics.get('sfu_peers{state="connected"}'), 2);
  });
}
