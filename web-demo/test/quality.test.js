/** Connection quality from counters: what is noticed, what is forgiven, how soon it passes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Grades } from '../sdk/quality.js';

/** @param {object} counters */
const stats = (counters, { rtt_ms = 20, lossRemote = 0 } = {}) => ({
  transport: { state: 'connected', dtls: '', cipher: '', local: '', rtt_ms, outgoing_bps: null },
  sent: [{ lossRemote }],
  received: [{ track: 't', participant: 'p', packetsReceived: 0, packetsLost: 0, totalFreezesDuration: 0, ...counters }],
});

test('loss makes it unsteady, then poor, and it recovers', () => {
  const watch = new Grades();
  let [packetsReceived, packetsLost, now] = [0, 0, 0];
  const step = (got, lost) => {
    packetsReceived += got;
    packetsLost += lost;
    now += 2_000;
    return watch.read(stats({ packetsReceived, packetsLost }), now).others.get('p');
  };
  step(100, 0);
  assert.equal(step(100, 0), 'good');
  assert.equal(step(90, 10), 'fair', '10 % once');
  assert.equal(step(70, 30), 'bad', 'and more');
  const after = Array.from({ length: 8 }, () => step(100, 0));
  assert.equal(after.at(-1), 'good');
  assert.ok(after.includes('fair'), 'not at once');
});

test('a frozen picture is poor although nothing is lost', () => {
  const watch = new Grades();
  watch.read(stats({ packetsReceived: 100 }), 0);
  assert.equal(watch.read(stats({ packetsReceived: 200, totalFreezesDuration: 1.8 }), 2_000).others.get('p'), 'bad');
});

test('counters of another connection are no loss, and repaired ones no gain', () => {
  const watch = new Grades();
  watch.read(stats({ packetsReceived: 900, packetsLost: 5 }), 0);
  assert.equal(watch.read(stats({ packetsReceived: 10, packetsLost: 400 }), 2_000).others.get('p'), 'good');
  assert.equal(watch.read(stats({ packetsReceived: 110, packetsLost: 390 }), 4_000).others.get('p'), 'good');
});

test('one’s own path counts by round trip and by what the server misses', () => {
  assert.equal(new Grades().read(stats({}), 0).own, 'good');
  assert.equal(new Grades().read(stats({}, { rtt_ms: 400 }), 0).own, 'fair');
  assert.equal(new Grades().read(stats({}, { lossRemote: 0.5 }), 0).own, 'bad');
});
