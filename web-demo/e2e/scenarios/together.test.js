/** What people do with the page of a call: how much they receive, raised hands, recording. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

/** @typedef {import('../harness/participant.js').Participant} Participant */

scenario('the receive selector stops and starts pictures and sound', async (stage) => {
  const [viewer] = await Promise.all([stage.join({ name: 'viewer', publish: '0' }), stage.join({ name: 'sender' })]);
  await viewer.meets('sender');
  const receive = (/** @type {string} */ mode) => viewer.page.select('#menu-receive', mode);

  await receive('audio');
  await stands(viewer, 'video', 'framesDecoded');
  await viewer.hears('sender');
  await receive('nothing');
  await stands(viewer, 'audio', 'packetsReceived');
  await receive('everything');
  await viewer.meets('sender');
});

scenario('a raised hand is seen by who is there and by who comes later', async (stage) => {
  const [alice, bob] = await Promise.all([stage.join({ name: 'alice', publish: '0' }), stage.join({ name: 'bob', publish: '0' })]);
  await alice.observes('bob', ({ participants }) => participants.length === 1);
  await alice.press('Raise hand');
  await raised(bob);
  const carol = await stage.join({ name: 'carol', publish: '0' });
  await raised(carol);
  await alice.press('Lower hand');
  await until('the hand to go down', () => bob.page.evaluate(() => document.querySelector('.tile-hand:not([hidden])') === null));
});

scenario('a call is recorded into a file, and the others know', async (stage) => {
  const [alice, bob] = await Promise.all([stage.join({ name: 'alice' }), stage.join({ name: 'bob' })]);
  await alice.meets('bob');
  const said = (/** @type {Participant} */ { page }) => page.$eval('#toasts', (element) => element.textContent ?? '');
  const record = async () => {
    await alice.page.click('#more');
    await alice.page.click('#menu-record');
  };
  await record();
  await until('bob to be told', async () => (await said(bob)).includes('alice records this call'));
  const since = performance.now();
  await until('three seconds of recording', () => performance.now() - since > 3_000);
  await record();
  const text = await until('the file', async () => /Recording saved \(([\d.]+) MB\)/.exec(await said(alice)));
  assert.ok(Number(text[1]) > 0, text[0]);
  await until('bob to be told of the end', async () => (await said(bob)).includes('alice no longer records'));
});

scenario('a host mutes somebody and removes somebody', async (stage) => {
  const [host, bob] = await Promise.all([stage.join({ name: 'host', publish: '0' }), stage.join({ name: 'bob', publish: 'audio' })]);
  await host.hears('bob');
  await host.press(await host.page.$eval('#people', (element) => element.getAttribute('aria-label') ?? ''));
  await host.press('Mute bob');
  await until('bob to be silent', () => bob.page.$eval('#mic', (element) => element.getAttribute('aria-label') === 'Unmute microphone'));
  host.page.on('dialog', (dialog) => void dialog.accept());
  await host.press('Remove bob');
  await until('bob to be told', () => bob.page.$eval('#app', (element) => element.textContent?.includes('A moderator removed you')));
  await host.observes('that bob is gone', ({ participants }) => participants.length === 0);
});

/** @param {Participant} participant */
async function raised({ page, name }) {
  await until(`${name} to see the hand`, () => page.evaluate(() => {
    const tile = [...document.querySelectorAll('.tile')].find((each) => each.querySelector('.tile-hand:not([hidden])'));
    return tile?.getAttribute('aria-label')?.includes('hand raised') && tile.textContent?.includes('alice');
  }));
}

/** Waits until a counter no longer rises. @param {Participant} viewer @param {'audio' | 'video'} kind @param {'framesDecoded' | 'packetsReceived'} counter */
async function stands(viewer, kind, counter) {
  let before = -1;
  await until(`${kind} to stop`, async () => {
    const now = (await viewer.received({ kind }))?.[counter] ?? 0;
    const same = now === before;
    before = now;
    return same;
  }, { every: 1_500 });
}

scenario('a host locks the room: nobody else gets in, and everybody again', async (stage) => {
  const [host, bob] = await Promise.all([stage.join({ name: 'host', publish: '0' }), stage.join({ name: 'bob', publish: '0' })]);
  await host.observes('bob', ({ participants }) => participants.length === 1);
  await host.page.keyboard.press('p');
  const button = await host.page.waitForSelector('#lock', { visible: true });
  await button?.click();
  await until('bob to see it', () => bob.page.$eval('.locked', (element) => !(/** @type {HTMLElement} */ (element).hidden)));
  // A token or a name of one's own is what lets one back; a stranger has neither.
  const late = await stage.join({ name: 'late', publish: '0' });
  await until('late to be refused', () => late.page.$eval('.end', (element) => element.textContent?.includes('The room is locked')));
  await button?.click();
  await until('bob to see that', () => bob.page.$eval('.locked', (element) => /** @type {HTMLElement} */ (element).hidden));
  await late.page.click('.end .primary');
  await late.connected();
});

scenario('a reaction is seen by the others', async (stage) => {
  const [alice, bob] = await Promise.all([stage.join({ name: 'alice', publish: '0' }), stage.join({ name: 'bob', publish: '0' }, 'firefox')]);
  await alice.observes('bob', ({ participants }) => participants.length === 1);
  await alice.page.click('#more');
  await alice.page.click('.reactions button[aria-label="Applause"]');
  await until('bob to see it', () => bob.page.$eval('.tile-reaction [role=img]', (element) => element.textContent === '👏' && element.getAttribute('aria-label') === 'alice: Applause'), { every: 50 });
});
