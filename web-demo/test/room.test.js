/** Joining, slots, m-lines used again, publishing, muting: a room while its connection holds. */

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Room } from '../sdk/room.js';
import { Clock, FakePeerConnection, FakeServer, FakeTrack, camera, microphone, person, sections, settle, surroundings } from './fakes.js';

/** @type {FakeServer} */ let server;
/** @type {Clock} */ let clock;
/** @type {Room} */ let room;
/** @type {string[]} */ let heard;
const URL = 'ws://sfu.test/ws';
const ADA = person('ad', 'Ada', camera('ada-cam'), microphone('ada-mic'));
const BOB = person('b0', 'Bob', camera('bob-cam'));

beforeEach(() => {
  server = new FakeServer();
  clock = new Clock();
  room = new Room(surroundings(server, clock));
  heard = [];
  for (const type of ['participantjoined', 'participantleft', 'trackpublished', 'track', 'trackended', 'trackunpublished']) {
    room.on(type, ({ participant, track }) => heard.push(`${type} ${track?.id ?? participant.name}`));
  }
  room.on('state', ({ state }) => heard.push(state));
});

const join = (more = {}) => room.join({ url: URL, room: 'tea', name: 'Me', ...more });
const pc = () => FakePeerConnection.all.at(-1);
const offers = () => server.requested('offer').map(({ sdp }) => sections(sdp));
const count = (offer, kind) => offer.filter((m) => m.kind === kind && m.direction === 'recvonly').length;

test('join: one offer with spare slots, then connected', async () => {
  server.participants = [ADA];
  await join({ metadata: 'm' });
  assert.equal(room.state, 'connected');
  const [request] = server.requested('join');
  assert.deepEqual([request.room, request.name, request.metadata], ['tea', 'Me', 'm']);
  assert.equal(server.socket.protocol, 'sfu.v1');
  assert.equal(offers().length, 1);
  assert.deepEqual([count(offers()[0], 'audio'), count(offers()[0], 'video')], [4, 4]);
  assert.deepEqual(pc().channels.map(({ label }) => label), ['reliable', 'lossy']);
  assert.deepEqual(heard, ['connecting', 'participantjoined Ada', 'trackpublished ada-cam', 'trackpublished ada-mic', 'connected']);
  assert.equal(room.local.id, '00000000000000a1');
});

test('join: a slot for every known track', async () => {
  server.participants = Array.from({ length: 9 }, (_, i) => person(`${i + 1}`, `P${i}`, camera(`c${i}`), microphone(`m${i}`)));
  await join();
  assert.deepEqual([count(offers()[0], 'audio'), count(offers()[0], 'video')], [9, 9]);
});

test('join: no slots for who subscribes by hand', async () => {
  server.participants = [ADA];
  await join({ subscribe: 'manual' });
  assert.equal(server.requested('join')[0].subscribe, 'manual');
  assert.equal(offers()[0].length, 0);
});

test('slots_needed beyond the idle slots: they are added and offered', async () => {
  await join();
  server.assigned = ['0', '1', '2', '3'].map((mid) => ({ mid, track: 'ada-mic', participant: ADA.id }));
  for (const assignment of server.assigned) server.socket.event({ type: 'assigned', ...assignment });
  server.socket.event({ type: 'slots_needed', audio: 2, video: 6 });
  await settle();
  assert.equal(offers().length, 2);
  // Audio has no idle slot left: two more. Video has four idle: two more reach six.
  assert.deepEqual([count(offers()[1], 'audio'), count(offers()[1], 'video')], [6, 6]);
  for (const { mid } of offers()[1]) server.socket.event({ type: 'assigned', mid, track: 'ada-mic', participant: ADA.id });
  room.publish(new FakeTrack('audio'));
  await settle();
  assert.deepEqual([count(offers()[2], 'audio'), count(offers()[2], 'video')], [6, 6], 'what was brought is not brought again');
});

test('slots_needed during a negotiation: one more offer, not one for each', async () => {
  await join({ subscribe: 'manual' });
  server.socket.event({ type: 'slots_needed', audio: 0, video: 1 });
  await Promise.resolve();
  for (const video of [1, 2, 3]) server.socket.event({ type: 'slots_needed', audio: 0, video });
  await settle();
  assert.ok(offers().length <= 3, `${offers().length} offers`);
  assert.equal(count(offers().at(-1), 'video'), 3);
});

test('assigned: the m-line gives its receiver to the track', async () => {
  server.participants = [ADA, BOB];
  server.assigned = [{ mid: '4', track: 'ada-cam', participant: ADA.id }, { mid: '5', track: null, participant: null }];
  await join();
  const ada = room.participants.get(ADA.id);
  const track = ada.track('camera');
  assert.equal(track.mediaStreamTrack, pc().transceivers.find(({ mid }) => mid === '4').receiver.track);
  assert.ok(ada.stream.tracks.has(track.mediaStreamTrack));
  assert.ok(heard.includes('track ada-cam'));
});

test('assigned again: the same receiver belongs to somebody else, without an offer', async () => {
  server.participants = [ADA, BOB];
  server.assigned = [{ mid: '4', track: 'ada-cam', participant: ADA.id }];
  await join();
  heard.length = 0;
  const [adaTrack, bobTrack] = [room.participants.get(ADA.id).track('camera'), room.participants.get(BOB.id).track('camera')];
  const media = adaTrack.mediaStreamTrack;
  server.socket.event({ type: 'assigned', mid: '4', track: 'bob-cam', participant: BOB.id });
  await settle();
  assert.deepEqual(heard, ['trackended ada-cam', 'track bob-cam']);
  assert.equal(adaTrack.mediaStreamTrack, null);
  assert.equal(bobTrack.mediaStreamTrack, media);
  assert.equal(room.participants.get(ADA.id).stream.tracks.size, 0);
  assert.equal(offers().length, 1);
});

test('assigned before the track is known: it is kept until it is', async () => {
  await join();
  server.socket.event({ type: 'assigned', mid: '4', track: 'bob-cam', participant: BOB.id });
  assert.ok(!heard.includes('track bob-cam'));
  server.socket.event({ type: 'participant_joined', participant: { ...BOB, tracks: [] } });
  server.socket.event({ type: 'track_published', participant: BOB.id, track: camera('bob-cam') });
  assert.ok(heard.includes('track bob-cam'));
});

test('a track that moves to another m-line ends on the first', async () => {
  server.participants = [BOB];
  server.assigned = [{ mid: '4', track: 'bob-cam', participant: BOB.id }];
  await join();
  heard.length = 0;
  server.socket.event({ type: 'assigned', mid: '5', track: 'bob-cam', participant: BOB.id });
  server.socket.event({ type: 'assigned', mid: '4', track: null, participant: null });
  assert.deepEqual(heard, ['trackended bob-cam', 'track bob-cam']);
  assert.equal(room.participants.get(BOB.id).track('camera').mid, '5');
});

test('participant_left: tracks and media go with it', async () => {
  server.participants = [ADA];
  server.assigned = [{ mid: '0', track: 'ada-mic', participant: ADA.id }];
  await join();
  heard.length = 0;
  server.socket.event({ type: 'participant_left', participant: ADA.id, reason: 'left' });
  assert.deepEqual(heard, ['trackunpublished ada-cam', 'trackended ada-mic', 'trackunpublished ada-mic', 'participantleft Ada']);
  assert.equal(room.participants.size, 0);
});

test('published before join: announced and in the first offer', async () => {
  const local = room.publish(new FakeTrack('video', { height: 720 }), { name: 'front' });
  await join();
  await local.ready;
  const order = server.requests.map(({ type }) => type).filter((type) => type === 'publish' || type === 'offer');
  assert.deepEqual(order, ['publish', 'offer']);
  const [publish] = server.requested('publish');
  assert.deepEqual([publish.source, publish.name, publish.muted], ['camera', 'front', false]);
  const line = offers()[0].find(({ mid }) => mid === publish.mid);
  assert.deepEqual([line.kind, line.direction], ['video', 'sendonly']);
  assert.deepEqual(pc().transceivers.find(({ mid }) => mid === publish.mid).sender.encodings.map(({ rid, scaleResolutionDownBy }) => [rid, scaleResolutionDownBy]), [['q', 4], ['h', 2], ['f', 1]]);
  assert.equal(local.id, `1-track-${publish.mid}`);
});

test('encodings: as many as are of use, by request, or layers of one stream', async () => {
  const of = (height, options) => room.publish(new FakeTrack('video', { height }), options).encodings;
  const counts = [of(720), of(480), of(240), of(240, { simulcast: true }), of(720, { simulcast: false }), of(1080, { source: 'screen' }), of(1080, { source: 'screen', simulcast: false })];
  assert.deepEqual(counts.map(({ length }) => length), [3, 2, 1, 3, 1, 2, 1]);
  assert.deepEqual(of(720).map(({ maxBitrate }) => Math.round(maxBitrate / 1e5)), [2, 6, 17]);
  const modes = (options) => of(720, options).map(({ scalabilityMode }) => scalabilityMode);
  assert.deepEqual(modes({ codec: 'vp9' }), ['L3T3']);
  assert.deepEqual(modes({ codec: 'av1' }), ['L3T3']);
  assert.deepEqual(modes({ codec: 'av1', svc: 'L1T2' }), ['L1T2']);
  assert.deepEqual(modes({ codec: 'vp9', simulcast: true }), ['L1T1', 'L1T1', 'L1T1'], 'else Chromium makes layers of them');
  assert.deepEqual(modes({ codec: 'vp9', simulcast: false }), [undefined]);
  assert.deepEqual(modes({ codec: 'vp9', source: 'screen' }), [undefined]);
});

test('published together: one offer', async () => {
  await join();
  room.publish(new FakeTrack('audio'));
  room.publish(new FakeTrack('video', { height: 480 }));
  await settle();
  assert.equal(offers().length, 2);
  assert.equal(offers()[1].filter(({ direction }) => direction === 'sendonly').length, 2);
});

test('stop and publish again: the m-line is used again', async () => {
  await join();
  const first = room.publish(new FakeTrack('video', { height: 480 }));
  await first.ready;
  first.stop();
  await settle();
  const stopped = offers().at(-1);
  assert.equal(stopped.filter(({ direction }) => direction === 'inactive').length, 1);
  const lines = stopped.length;
  const media = new FakeTrack('video', { height: 480 });
  const second = room.publish(media);
  await second.ready;
  assert.equal(offers().at(-1).length, lines);
  assert.equal(pc().transceivers.find(({ mid }) => `1-track-${mid}` === second.id).sender.track, media);
  assert.equal(server.requested('publish').length, 2);
});

test('stopped while the offer is made: nothing is published unannounced', async () => {
  await join();
  const local = room.publish(new FakeTrack('audio'));
  await Promise.resolve();
  local.stop();
  room.publish(new FakeTrack('audio'));
  await settle();
  const sending = offers().flatMap((offer) => offer.filter(({ direction }) => direction === 'sendonly').map(({ mid }) => mid));
  const announced = new Set(server.requested('publish').map(({ mid }) => mid));
  assert.deepEqual(sending.filter((mid) => !announced.has(mid)), []);
});

test('mute before the server knows the track: told as soon as it does', async () => {
  await join();
  const media = new FakeTrack('audio');
  const local = room.publish(media);
  await settle();
  assert.equal(server.requested('mute').length, 0);
  local.mute();
  local.mute();
  assert.equal(media.enabled, false);
  assert.deepEqual(server.requested('mute').map(({ track }) => track), [local.id]);
  local.unmute();
  assert.equal(server.requested('unmute').length, 1);
  assert.equal(media.enabled, true);
  assert.equal(offers().length, 2);
});

test('muted between the announcement and the answer: told after it', async () => {
  await join();
  const answer = server.answer.bind(server);
  let local;
  server.answer = (request) => {
    if (request.type === 'offer') local.mute();
    return answer(request);
  };
  local = room.publish(new FakeTrack('audio'));
  await settle();
  assert.equal(server.requested('publish')[0].muted, false);
  assert.deepEqual(server.requested('mute').map(({ track }) => track), [local.id]);
});

test('muted by the server: the track is silenced and the room says so', async () => {
  const media = new FakeTrack('audio');
  const local = room.publish(media);
  await join();
  await local.ready;
  const told = [];
  room.on('trackmuted', (detail) => told.push(detail));
  server.socket.event({ type: 'track_muted', participant: room.local.id, track: local.id, muted: true });
  await settle();
  assert.equal(media.enabled, false);
  assert.deepEqual([told[0].participant, told[0].track, told[0].muted], [room.local, local, true]);
  assert.equal(server.requested('mute').length, 0, 'no echo to the server');
});

test('replace: another device or nothing, without an offer', async () => {
  const local = room.publish(new FakeTrack('video', { height: 480 }));
  await join();
  await local.ready;
  const sender = pc().transceivers.find(({ mid }) => local.id.endsWith(`-${mid}`)).sender;
  await local.replace(null);
  assert.equal(sender.track, null);
  const other = new FakeTrack('video');
  await local.replace(other);
  assert.equal(sender.track, other);
  assert.equal(offers().length, 1);
});

test('a device that ends is told once, of the track in use', async () => {
  const ended = [];
  room.on('localtrackended', ({ track }) => ended.push(track));
  const [old, now] = [new FakeTrack('audio'), new FakeTrack('audio')];
  const local = room.publish(old);
  await local.replace(now);
  old.end();
  now.end();
  assert.deepEqual(ended, [local]);
});

test('a refused offer: an error, back to before, and the next one works', async () => {
  await join();
  const errors = [];
  room.on('error', ({ error }) => errors.push(error));
  const answer = server.answer.bind(server);
  server.answer = (request) => (request.type === 'offer' ? { type: 'error', code: 'sdp_unsupported', title: 'no', detail: 'no such codec' } : answer(request));
  const local = room.publish(new FakeTrack('video'));
  await assert.rejects(local.ready, { code: 'sdp_unsupported', step: 'negotiation', detail: 'no such codec' });
  await settle();
  assert.deepEqual(errors.map(({ code }) => code), ['sdp_unsupported'], 'told once');
  assert.equal(pc().signalingState, 'stable');
  assert.equal(room.local.tracks.size, 0);
  server.answer = answer;
  await room.publish(new FakeTrack('audio')).ready;
  assert.ok(offers().at(-1).every(({ kind, direction }) => kind !== 'video' || direction !== 'sendonly'));
});

test('a track the answer does not name was not accepted', async () => {
  await join();
  room.on('error', () => {});
  const answer = server.answer.bind(server);
  server.answer = (request) => (request.type === 'offer' ? { ...answer(request), tracks: [] } : answer(request));
  await assert.rejects(room.publish(new FakeTrack('video')).ready, { code: 'not_accepted' });
  await settle();
  assert.equal(offers().at(-1).filter(({ direction }) => direction === 'sendonly').length, 0, 'and the line stops sending');
});

test('speakers: participants, oneself among them', async () => {
  server.participants = [ADA];
  await join();
  const told = new Promise((resolve) => room.on('speakers', resolve));
  server.socket.event({ type: 'speakers', speakers: [{ participant: ADA.id, level: -20 }, { participant: room.local.id, level: -30 }, { participant: 'gone', level: -40 }] });
  const { speakers } = await told;
  assert.deepEqual(speakers.map(({ participant, level }) => [participant.name, level]), [['Ada', -20], ['Me', -30]]);
});

test('unplayable: an error that names the track', async () => {
  server.participants = [ADA];
  await join();
  const told = new Promise((resolve) => room.on('error', resolve));
  server.socket.event({ type: 'unplayable', track: 'ada-cam' });
  const { error, track } = await told;
  assert.deepEqual([error.code, error.step, track.id], ['unplayable', 'media', 'ada-cam']);
});

test('leave: told to the server, closed, everybody gone', async () => {
  server.participants = [ADA];
  await join();
  const connection = pc();
  await room.leave();
  assert.equal(server.requests.at(-1).type, 'leave');
  assert.equal(room.state, 'closed');
  assert.ok(connection.closed);
  assert.equal(room.participants.size, 0);
  await clock.advance(60_000);
  assert.equal(server.sockets.length, 1, 'and no reconnection');
});

test('what is not understood is ignored', async () => {
  await join();
  server.socket.event({ type: 'news_of_tomorrow', x: 1 });
  server.socket.event({ re: 4711, type: 'ok' });
  server.socket.onmessage({ data: '{' });
  assert.equal(room.state, 'connected');
});
