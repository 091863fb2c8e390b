/** A server that stops says so, and pages return by themselves when it is back. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { Server } from '../harness/server.js';

scenario('the page shows that the server stopped, and returns with it', async (stage) => {
  const server = await stage.server();
  const people = await Promise.all([stage.join({ name: 'alice' }), stage.join({ name: 'bob' })]);
  const [alice, bob] = people;
  await Promise.all([alice.meets('bob'), bob.meets('alice')]);

  const { code } = await server.stop('SIGTERM');
  assert.equal(code, 0, 'a clean end');
  await Promise.all(people.map(async (person) => {
    await person.observes('the loss', ({ state }) => state === 'reconnecting');
    const text = await person.page.evaluate(() => document.body.innerText);
    assert.match(text, /reconnect|connection|server/i, 'people are told');
  }));

  await stage.replaceServer(await Server.start({ http: new URL(server.url).host }));
  await Promise.all([
    alice.meets('bob', { within: 40_000 }),
    bob.meets('alice', { within: 40_000 }),
  ]);
});
