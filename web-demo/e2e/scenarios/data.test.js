/** Messages: reliable and lossy, to everyone and to some, text and bytes, between both engines. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

/** @typedef {import('../harness/participant.js').Participant} Participant */
/** @typedef {{from: string, payload: string | number[], reliable: boolean}} Heard */

scenario('messages reach whom they are meant for', async (stage) => {
  const people = await threePeople(stage);
  const [alice, bob, carol] = people;

  for (const sender of people) {
    const others = people.filter((person) => person !== sender);
    await say(sender, `hello from ${sender.name}`);
    await Promise.all(others.map((other) => hearing(other, sender, `hello from ${sender.name}`)));
  }

  await say(alice, 'for bob alone', { to: [bob] });
  await say(alice, 'for all again');
  await Promise.all([hearing(bob, alice, 'for bob alone'), hearing(carol, alice, 'for all again')]);
  // The later one has arrived, on an ordered channel: the earlier one will not come any more.
  const overheard = (await heard(carol)).filter(({ payload }) => payload === 'for bob alone');
  assert.deepEqual(overheard, []);
  const echoes = (await heard(alice)).filter(({ from }) => from === 'alice');
  assert.deepEqual(echoes, [], 'nobody hears themselves');
});

scenario('lossy messages arrive, marked as what they are', async (stage) => {
  const [alice, bob] = await threePeople(stage);
  for (const [from, to] of [[alice, bob], [bob, alice]]) {
    const message = await until('a lossy message', async () => {
      // Lost is lost: it is the sender who has to repeat.
      await say(from, `quick from ${from.name}`, { reliable: false });
      return (await heard(to)).find(({ payload }) => payload === `quick from ${from.name}`);
    });
    assert.equal(message.reliable, false);
  }
});

scenario('long texts and bytes arrive whole', async (stage) => {
  const [alice, bob] = await threePeople(stage);
  const long = 'ä☺'.repeat(10_000);
  await say(alice, long);
  await hearing(bob, alice, long);

  await say(bob, [0, 255, 1, 128]);
  const message = await until('the bytes', async () => {
    return (await heard(alice)).find(({ payload }) => Array.isArray(payload));
  });
  assert.deepEqual(message.payload, [0, 255, 1, 128]);
});

/**
 * Two engines and an onlooker, who keep all messages they hear.
 *
 * @param {import('../harness/scenario.js').Stage} stage
 */
async function threePeople(stage) {
  const silent = { publish: '0' };
  const people = await Promise.all([
    stage.join({ name: 'alice', ...silent }, 'chromium'),
    stage.join({ name: 'bob', ...silent }, 'firefox'),
    stage.join({ name: 'carol', ...silent }, 'chromium'),
  ]);
  await Promise.all(people.map((person) => person.connected()));
  await Promise.all(people.map(({ page }) => page.evaluate(() => {
    globalThis.__heard = [];
    globalThis.__sfu.room.on('data', (/** @type {any} */ { participant, payload, reliable }) => {
      const plain = typeof payload === 'string' ? payload : [...payload];
      globalThis.__heard.push({ from: participant?.name, payload: plain, reliable });
    });
  })));
  await Promise.all(people.map((person) => person.observes('the others', () =>
    person.page.evaluate(() => globalThis.__sfu.room.participants.size === 2))));
  return people;
}

/**
 * @param {Participant} from
 * @param {string | number[]} payload
 * @param {{to?: Participant[], reliable?: boolean}} [options]
 */
async function say(from, payload, { to = [], reliable = true } = {}) {
  const ids = await Promise.all(to.map(({ page }) => page.evaluate(() => globalThis.__sfu.room.local.id)));
  await from.page.evaluate(async (content, options) => {
    const bytes = typeof content === 'string' ? content : Uint8Array.from(content);
    await globalThis.__sfu.room.send(bytes, options);
  }, payload, { to: ids, reliable });
}

/** @param {Participant} person @returns {Promise<Heard[]>} */
async function heard(person) {
  return person.page.evaluate(() => globalThis.__heard);
}

/** @param {Participant} person @param {Participant} from @param {string} text */
async function hearing(person, from, text) {
  const message = await until(`${person.name} to hear "${text.slice(0, 20)}"`, async () => {
    return (await heard(person)).find(({ payload }) => payload === text);
  });
  assert.equal(message.from, from.name);
  assert.equal(message.reliable, true);
}
