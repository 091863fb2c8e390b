/** Statistics of connections that do not answer. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { roomStats } from '../sdk/stats.js';

test('a connection that is closed before it answers has no statistics', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const pc = { connectionState: 'closed', getStats: () => new Promise(() => {}) };
  const stats = roomStats(/** @type {any} */ ({ pc, senders: [] }), /** @type {any} */ ({}));
  t.mock.timers.tick(10_000);
  const { transport, sent, received } = await stats;
  assert.deepEqual([transport?.state, sent, received], ['closed', [], []]);
});
