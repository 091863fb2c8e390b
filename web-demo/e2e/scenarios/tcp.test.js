/** Media by TCP and by nothing else (ICE-TCP): the page takes none of the server's candidates by UDP. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';

/** @param {import('../harness/participant.js').Participant} participant */
async function tcpConnections(participant) {
  const metrics = await participant.page.evaluate(() => fetch('/metrics').then((response) => response.text()));
  return Number(/^sfu_tcp_connections (\d+)$/m.exec(metrics)?.[1]);
}

scenario('Chromium calls by TCP only', async (stage) => {
  const [alice, bob] = await Promise.all([
    stage.join({ name: 'alice', path: 'tcp' }, 'chromium'),
    stage.join({ name: 'bob', path: 'tcp' }, 'chromium'),
  ]);
  await Promise.all([alice.meets('bob'), bob.meets('alice')]);
  assert.ok((await tcpConnections(alice)) >= 2, 'both are connected by TCP');
});

scenario('Chromium by TCP and Chromium by UDP meet', async (stage) => {
  const [alice, bob] = await Promise.all([
    stage.join({ name: 'alice', path: 'tcp' }, 'chromium'),
    stage.join({ name: 'bob', path: 'udp' }, 'chromium'),
  ]);
  await Promise.all([alice.meets('bob'), bob.meets('alice')]);
});

scenario('Firefox and Chromium call by TCP only', async (stage) => {
  const [fox, alice] = await Promise.all([
    stage.join({ name: 'fox', path: 'tcp' }, 'firefox'),
    stage.join({ name: 'alice', path: 'tcp' }, 'chromium'),
  ]);
  await Promise.all([fox.meets('alice'), alice.meets('fox')]);
  assert.ok((await tcpConnections(alice)) >= 2, 'both are connected by TCP');
});
