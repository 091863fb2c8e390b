/** What is typed into the page's chat is read by the others. */

import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

scenario('a chat message is read by the others', async (stage) => {
  const [alice, bob] = await Promise.all([
    stage.join({ name: 'alice', publish: '0' }),
    stage.join({ name: 'bob', publish: '0' }),
  ]);
  await alice.observes('bob', () => alice.page.evaluate(() => globalThis.__sfu.room.participants.size));
  await bob.press('Chat');
  await alice.press('Chat');
  const field = await alice.page.waitForSelector('textarea', { visible: true });
  await field?.type('good morning <b>all</b>\n');

  await until('the message on the page of bob', () => bob.page.evaluate(() => {
    const text = document.querySelector('[role=log]')?.textContent ?? '';
    // As it was typed: nobody writes markup into the page of somebody else.
    return text.includes('good morning <b>all</b>') && text.includes('alice');
  }));
});
