/** Encodings that nobody wants are not sent, and come back when somebody does. */

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Room } from '../sdk/room.js';
import { Clock, FakePeerConnection, FakeServer, FakeTrack, FakeTransceiver, settle, surroundings } from './fakes.js';

/** @type {FakeServer} */ let server;
/** @type {Room} */ let room;

beforeEach(async () => {
  server = new FakeServer();
  room = new Room(surroundings(server, new Clock()));
  await room.join({ url: 'ws://sfu.test/ws', room: 'tea', name: 'Me' });
});

const publish = async (options) => {
  const local = room.publish(new FakeTrack('video', { height: 720 }), options);
  await local.ready;
  await settle();
  return local;
};
const sender = () => FakePeerConnection.all.at(-1).transceivers.find(({ sender: { track } }) => track)?.sender;
const active = () => sender().encodings.map((each) => each.active ?? true);
const demand = async (track, encodings, max_spatial = 0) => {
  server.socket.event({ type: 'demand', track, encodings, max_spatial });
  await settle();
};

test('simulcast: what is not wanted stops, in its place, and starts again', async () => {
  const { id } = await publish();
  await demand(id, [true, true, false]);
  assert.deepEqual(active(), [true, true, false]);
  assert.deepEqual(sender().encodings.map(({ rid }) => rid), ['q', 'h', 'f']);
  await demand(id, [false, false, false]);
  assert.deepEqual(active(), [false, false, false]);
  await demand(id, [true, true, true]);
  assert.deepEqual(active(), [true, true, true]);
});

test('a demand that changes nothing touches nothing', async () => {
  const { id } = await publish();
  await demand(id, [true, false, false]);
  const { changes } = sender();
  await demand(id, [true, false, false]);
  room.publish(new FakeTrack('audio'));
  await settle();
  assert.equal(sender().changes, changes);
});

test('a demand that comes before the answer is kept for the track', async () => {
  const answer = server.answer.bind(server);
  server.answer = (request) => {
    const reply = answer(request);
    for (const { track } of reply.tracks ?? []) server.socket.event({ type: 'demand', track, encodings: [true, false, false], max_spatial: 0 });
    return reply;
  };
  await publish();
  assert.deepEqual(active(), [true, false, false]);
});

test('it holds after another track took the place, and after a negotiation', async () => {
  const local = await publish();
  await demand(local.id, [true, false, false]);
  sender().encodings.forEach((each) => (each.active = true)); // an engine that forgets
  await local.replace(new FakeTrack('video', { height: 720 }));
  await settle();
  assert.deepEqual(active(), [true, false, false]);
  sender().encodings.forEach((each) => (each.active = true));
  room.publish(new FakeTrack('audio'));
  await settle();
  assert.deepEqual(active(), [true, false, false]);
});

test('an m-line used again starts with everything', async () => {
  const local = await publish();
  await demand(local.id, [true, false, false]);
  const line = sender();
  local.stop();
  await settle();
  await publish();
  assert.equal(sender(), line, 'the same m-line');
  assert.deepEqual(active(), [true, true, true]);
});

test('SVC: fewer spatial layers of the same sizes, or none', async () => {
  const { id } = await publish({ codec: 'vp9', svc: 'L3T3_KEY' });
  const now = () => sender().encodings.map(({ scalabilityMode, scaleResolutionDownBy, active: on }) => [scalabilityMode, scaleResolutionDownBy, on])[0];
  await demand(id, [true], 1);
  assert.deepEqual(now(), ['L2T3_KEY', 2, true]);
  await demand(id, [true], 0);
  assert.deepEqual(now(), ['L1T3', 4, true]);
  await demand(id, [false], 0);
  assert.equal(now()[2], false);
  await demand(id, [true], 2);
  assert.deepEqual(now(), ['L3T3_KEY', 1, true]);
  await demand(id, [true], 7);
  assert.deepEqual(now(), ['L3T3_KEY', 1, true]);
});

test('SVC: an engine that cannot change the mode can stop and start', async () => {
  const { id } = await publish({ codec: 'av1' });
  FakeTransceiver.fixedModes = true;
  await demand(id, [false], 0);
  await settle();
  assert.deepEqual([sender().encodings[0].scalabilityMode, active()], ['L3T3', [false]]);
  await demand(id, [true], 1);
  await settle();
  assert.deepEqual([sender().encodings[0].scalabilityMode, active()], ['L3T3', [true]]);
});

test('a demand for a track that is gone is nothing', async () => {
  await demand('nobody', [false]);
  assert.equal(room.state, 'connected');
});
