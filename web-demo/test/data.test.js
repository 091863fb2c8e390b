/** The binary envelope, which way a message takes, and what errors say. */

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { decodeEnvelope, encodeEnvelope } from '../sdk/data.js';
import { SfuError, fromClose, fromDevices, fromReply, isFinalClose } from '../sdk/errors.js';
import { Room } from '../sdk/room.js';
import { socketUrl } from '../sdk/session.js';
import { Clock, FakePeerConnection, FakeServer, person, surroundings } from './fakes.js';

/** @type {FakeServer} */ let server;
/** @type {Room} */ let room;
/** @type {any[]} */ let got;
const A = '00000000000000ad';
const B = 'fedcba9876543210';

beforeEach(async () => {
  server = new FakeServer();
  server.participants = [person('ad', 'Ada')];
  room = new Room(surroundings(server, new Clock()));
  got = [];
  room.on('data', (detail) => got.push(detail));
  await room.join({ url: 'ws://sfu.test/ws', room: 'tea' });
});

const channel = (label) => FakePeerConnection.all.at(-1).channels.find((each) => each.label === label);

test('envelope to the server: flags, count, ids in network order, payload', () => {
  assert.deepEqual([...encodeEnvelope('hé', [])], [1, 0, 0x68, 0xc3, 0xa9]);
  assert.deepEqual([...encodeEnvelope(Uint8Array.of(7, 8), [A, B])], [0, 2, 0, 0, 0, 0, 0, 0, 0, 0xad, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 7, 8]);
  assert.throws(() => encodeEnvelope('x', Array(65).fill(A)), { code: 'limit' });
});

test('envelope from the server: sender, text or bytes', () => {
  const from = (flags, id, ...body) => decodeEnvelope(Uint8Array.of(flags, ...id, ...body).buffer, true);
  assert.deepEqual(from(1, [0, 0, 0, 0, 0, 0, 0, 0xad], 0x68, 0x69), { from: A, payload: 'hi', reliable: true });
  assert.deepEqual(from(0, [0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10], 1), { from: B, payload: Uint8Array.of(1), reliable: true });
  assert.equal(from(1, [0, 0, 0, 0, 0, 0, 0, 0]).from, null);
  for (let length = 0; length < 9; length++) assert.equal(decodeEnvelope(new ArrayBuffer(length), true), null);
});

test('text to everyone is a plain string; text to some and bytes are envelopes', async () => {
  await room.send('hello');
  await room.send('you', { to: [A] });
  await room.send(Uint8Array.of(1, 2), { reliable: false });
  assert.equal(channel('reliable').sent[0], 'hello');
  assert.deepEqual([...channel('reliable').sent[1].slice(0, 2)], [1, 1]);
  assert.deepEqual([...channel('lossy').sent[0]], [0, 0, 1, 2]);
  assert.equal(server.requested('data').length, 0);
});

test('a message arrives by either channel, and says by which', () => {
  const message = (...body) => ({ data: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0xad, ...body).buffer });
  channel('reliable').onmessage(message(0x61));
  channel('lossy').onmessage(message(0x62));
  channel('lossy').onmessage({ data: 'no envelope' });
  assert.deepEqual(got.map(({ participant, payload, reliable }) => [participant.name, payload, reliable]), [['Ada', 'a', true], ['Ada', 'b', false]]);
});

test('no channel yet: text goes by the WebSocket, bytes wait', async () => {
  channel('reliable').readyState = 'connecting';
  await room.send('hello', { to: [A] });
  const { id: _, ...request } = server.requested('data')[0];
  assert.deepEqual(request, { type: 'data', payload: 'hello', reliable: true, to: [A] });

  // Bytes wait for the channel, and for nothing else.
  const sent = room.send(Uint8Array.of(1));
  channel('reliable').readyState = 'open';
  channel('reliable').onopen();
  await sent;
  assert.equal(channel('reliable').sent.length, 1);
  channel('reliable').readyState = 'closed';
  await assert.rejects(room.send(Uint8Array.of(1)), { code: 'not_connected' });
});

test('a message by the WebSocket: text, base64, the server itself', () => {
  server.socket.event({ type: 'data', from: A, payload: 'hi', reliable: true });
  server.socket.event({ type: 'data', from: null, payload: 'AQL/', reliable: false, binary: true });
  assert.deepEqual([got[0].participant.name, got[0].payload], ['Ada', 'hi']);
  assert.deepEqual([got[1].participant, got[1].from, [...got[1].payload]], [null, null, [1, 2, 255]]);
});

test('bounds: size, and a slow network', async () => {
  await room.send('x'.repeat(65_536));
  await assert.rejects(room.send('x'.repeat(65_537)), { code: 'message_too_large' });
  await assert.rejects(room.send('é'.repeat(32_769)), { code: 'message_too_large' });
  channel('lossy').bufferedAmount = channel('reliable').bufferedAmount = 10_000_000;
  const before = channel('lossy').sent.length;
  await room.send('lossy', { reliable: false });
  assert.equal(channel('lossy').sent.length, before, 'dropped');
  await assert.rejects(room.send('reliable'), { code: 'send_buffer_full' });
});

test('errors: replies, close codes and devices say the step and a hint', () => {
  const full = fromReply({ code: 'room_full', title: 'Room full', detail: '10 of 10' });
  assert.deepEqual([full.code, full.step, full.detail], ['room_full', 'signalling', '10 of 10']);
  const unknown = fromReply({ code: 'from_the_future', title: 'Says the server', detail: 'd' });
  assert.deepEqual([unknown.code, unknown.message], ['from_the_future', 'Says the server']);
  assert.equal(fromReply({ code: 'sdp_malformed' }).step, 'negotiation');
  assert.equal(fromClose(4403).code, 'kicked');
  assert.equal(fromClose(1006).code, 'connection_lost');
  assert.deepEqual([1000, 1003, 1007, 1009, 4403, 4410, 1001, 1006, 1008, 1011, 1013, 4408].map(isFinalClose), [true, true, true, true, true, true, false, false, false, false, false, false]);
  for (const [name, code] of [['NotAllowedError', 'permission_denied'], ['NotFoundError', 'device_missing'], ['NotReadableError', 'device_busy'], ['OverconstrainedError', 'device_unsuitable']]) {
    const error = fromDevices(new DOMException('why', name));
    assert.deepEqual([error.code, error.step, error.detail], [code, 'devices', 'why']);
    assert.ok(error.hint.length > 10);
  }
  assert.deepEqual(Object.keys(new SfuError('timeout').toJSON()), ['code', 'step', 'message', 'hint', 'detail']);
});

test('the address of the WebSocket', () => {
  assert.equal(socketUrl('https://sfu.test/ws#x'), 'wss://sfu.test/ws');
  assert.equal(socketUrl('ws://sfu.test:7880/ws'), 'ws://sfu.test:7880/ws');
});
