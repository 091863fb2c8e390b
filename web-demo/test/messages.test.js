/** What pages say to each other: signs reach newcomers, strangers' messages do no harm. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Messages, parse } from '../app/messages.js';
import { wanted } from '../app/receive.js';
import { Emitter } from '../sdk/events.js';

class FakeRoom extends Emitter {
  sent = [];
  async send(payload, options = {}) {
    this.sent.push([JSON.parse(payload), options.to ?? []]);
  }
  hears(id, payload) {
    this.emit('data', { participant: id && { id, name: id }, from: id, payload, reliable: true });
  }
  raise(type, detail) {
    this.emit(type, detail);
  }
}

test('a raised hand is told to whoever joins later, until it is lowered', async () => {
  const room = new FakeRoom();
  const messages = new Messages(/** @type {any} */ (room));
  await messages.show('hand', true);
  room.raise('participantjoined', { participant: { id: 'late' } });
  await messages.show('hand', false);
  room.raise('participantjoined', { participant: { id: 'later' } });
  assert.deepEqual(room.sent, [[{ type: 'hand', on: true }, []], [{ type: 'hand', on: true }, ['late']], [{ type: 'hand', on: false }, []]]);
});

test('hands of others are known, told once, and go with them', () => {
  const room = new FakeRoom();
  const messages = new Messages(/** @type {any} */ (room));
  const told = [];
  messages.on('sign', ({ from, on }) => told.push([from.id, on]));
  room.hears('a', '{"type":"hand","on":true}');
  room.hears('a', '{"type":"hand","on":true}');
  assert.deepEqual(told, [['a', true]]);
  assert.equal(messages.shows('hand', 'a'), true);
  room.raise('participantleft', { participant: { id: 'a' } });
  assert.equal(messages.shows('hand', 'a'), false);
});

test('what is no message of ours is chat, or nothing', () => {
  assert.deepEqual(parse('good morning'), { type: 'chat', text: 'good morning' });
  assert.deepEqual(parse('42'), { type: 'chat', text: '42' });
  assert.equal(parse('{"type":"hand","on":"yes"}'), null);
  assert.equal(parse('{"cursor":[1,2]}'), null);
  assert.equal(parse(new Uint8Array(2)), null);
});

test('the server raises no hand', () => {
  const room = new FakeRoom();
  const messages = new Messages(/** @type {any} */ (room));
  messages.on('sign', () => assert.fail('a sign of nobody'));
  room.hears(null, '{"type":"hand","on":true}');
});

test('how much is received of what', () => {
  const [camera, screen, sound] = [{ kind: 'video', source: 'camera' }, { kind: 'video', source: 'screen' }, { kind: 'audio', source: 'microphone' }];
  const table = (mode) => [camera, screen, sound].map((track) => wanted(mode, track));
  assert.deepEqual(table('everything'), ['auto', 'auto', 'auto']);
  assert.deepEqual(table('low'), ['low', 'auto', 'auto']);
  assert.deepEqual(table('screen'), ['off', 'auto', 'auto']);
  assert.deepEqual(table('audio'), ['off', 'off', 'auto']);
  assert.deepEqual(table('nothing'), ['off', 'off', 'off']);
});
