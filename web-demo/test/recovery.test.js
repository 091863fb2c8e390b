/** Failing to join, and coming back: each step of the ladder, by a clock that tests move. */

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Room } from '../sdk/room.js';
import { Clock, FakePeerConnection, FakeServer, FakeTrack, camera, microphone, person, sections, settle, surroundings } from './fakes.js';

/** @type {FakeServer} */ let server;
/** @type {Clock} */ let clock;
/** @type {Room} */ let room;
/** @type {string[]} */ let states;
const ADA = person('ad', 'Ada', camera('ada-cam'), microphone('ada-mic'));
const BOB = person('b0', 'Bob', camera('bob-cam'));

beforeEach(() => {
  server = new FakeServer();
  clock = new Clock();
  room = new Room(surroundings(server, clock));
  states = [];
  room.on('state', ({ state, attempt, reason }) => states.push([state, reason ?? attempt].filter((x) => x !== undefined).join(' ')));
});

const join = (more = {}) => room.join({ url: 'http://sfu.test/ws', room: 'tea', name: 'Me', ...more });
const pc = () => FakePeerConnection.all.at(-1);
const offers = () => server.requested('offer');

test('join: nobody answers', async () => {
  server.refuse = true;
  await assert.rejects(join(), { code: 'unreachable', step: 'signalling' });
  assert.deepEqual(states, ['connecting', 'closed unreachable']);
});

test('join: refused by the server', async () => {
  const answer = server.answer.bind(server);
  server.answer = (request) => (request.type === 'join' ? { type: 'error', code: 'room_full', title: 'full', detail: 'of 2' } : answer(request));
  await assert.rejects(join(), { code: 'room_full', detail: 'of 2' });
  assert.ok(pc().closed);
});

test('join: no greeting within ten seconds', async () => {
  server.WebSocket.prototype.event = () => {};
  const joining = assert.rejects(join(), { code: 'unreachable' });
  await clock.advance(10_001);
  await joining;
});

test('join: closed with a code that says why', async () => {
  server.silent = true;
  const joining = assert.rejects(join(), { code: 'server_full', step: 'signalling' });
  await settle();
  server.socket.drop(1013);
  await joining;
  assert.deepEqual(states, ['connecting', 'closed server_full'], 'a first attempt is not repeated by itself');
});

test('join: no media path is a failure of ICE, no keys one of DTLS', async () => {
  FakePeerConnection.connects = false;
  for (const [ice, code] of [['checking', 'ice_failed'], ['connected', 'dtls_failed']]) {
    const joining = assert.rejects(join(), { code, step: code.split('_')[0] });
    await settle();
    pc().iceConnectionState = ice;
    await clock.advance(15_001);
    await joining;
  }
});

test('join: abandoned by its signal', async () => {
  server.silent = true;
  const abort = new AbortController();
  const joining = assert.rejects(join({ signal: abort.signal }), { name: 'AbortError' });
  await settle();
  abort.abort();
  await joining;
  assert.equal(room.state, 'closed');
  assert.ok(pc().closed);
});

test('left while joining and joined again at once: the first attempt ends, the second stays', async () => {
  FakePeerConnection.connects = false;
  const first = assert.rejects(join(), { code: 'not_connected' });
  await settle();
  const leaving = room.leave();
  FakePeerConnection.connects = true;
  await join();
  await Promise.all([first, leaving]);
  await clock.advance(60_000);
  assert.equal(room.state, 'connected');
  assert.deepEqual(states, ['connecting', 'closed left', 'connecting', 'connected']);
});

test('nothing arrives of a track: told once, unless it is muted', async () => {
  server.participants = [ADA];
  server.assigned = [{ mid: '4', track: 'ada-cam', participant: ADA.id }, { mid: '0', track: 'ada-mic', participant: ADA.id }];
  const errors = [];
  room.on('error', ({ error, track }) => errors.push(`${error.code} ${track.id}`));
  await join();
  for (const track of room.participants.get(ADA.id).tracks.values()) track.mediaStreamTrack.muted = true;
  server.socket.event({ type: 'track_muted', participant: ADA.id, track: 'ada-mic', muted: true });
  await clock.advance(20_000);
  assert.deepEqual(errors, ['no_media ada-cam']);
});

test('join again after a failure works', async () => {
  server.refuse = true;
  await assert.rejects(join());
  server.refuse = false;
  await join();
  assert.equal(room.state, 'connected');
});

test('silence on the media path: an ICE restart over the live WebSocket', async () => {
  await join();
  pc().become('disconnected');
  await clock.advance(2_900);
  assert.equal(pc().restarts, 0);
  await clock.advance(200);
  assert.equal(pc().restarts, 1);
  assert.match(offers().at(-1).sdp, /a=restart:1/);
  assert.deepEqual(states.slice(-2), ['reconnecting 0', 'connected'], 'the fake path comes back with the answer');
  assert.equal(server.sockets.length, 1);
});

test('silence that ends by itself: nothing is done', async () => {
  await join();
  pc().become('disconnected');
  await clock.advance(2_000);
  pc().become('connected');
  await clock.advance(30_000);
  assert.equal(pc().restarts, 0);
  assert.deepEqual(states, ['connecting', 'connected']);
});

test('an ICE restart that only the server saw the need of', async () => {
  await join();
  FakePeerConnection.connects = false;
  server.socket.event({ type: 'transport', state: 'failed', reason: 'ice_timeout' });
  await settle();
  assert.equal(room.state, 'reconnecting');
  server.socket.event({ type: 'transport', state: 'connected' });
  await clock.advance(30_000);
  assert.equal(room.state, 'connected');
  assert.equal(server.sockets.length, 1);
});

test('an ICE restart in vain: a new connection', async () => {
  await join();
  FakePeerConnection.connects = false;
  const first = pc();
  first.become('failed');
  await clock.advance(7_900);
  assert.equal(server.sockets.length, 1);
  FakePeerConnection.connects = true;
  await clock.advance(1_000);
  assert.equal(server.sockets.length, 2);
  assert.ok(first.closed);
  assert.deepEqual(states.slice(-3), ['reconnecting 0', 'reconnecting 1', 'connected']);
});

test('the WebSocket breaks: joined anew, own tracks published anew, remote media back', async () => {
  server.participants = [ADA, BOB];
  server.assigned = [{ mid: '0', track: 'ada-mic', participant: ADA.id }];
  const muted = room.publish(new FakeTrack('audio'));
  room.publish(new FakeTrack('video', { height: 720 }));
  await join();
  await muted.ready;
  muted.mute();
  const before = { id: muted.id, ada: room.participants.get(ADA.id), first: pc() };
  const heard = [];
  for (const type of ['participantjoined', 'participantleft', 'track', 'trackended']) {
    room.on(type, ({ participant, track }) => heard.push(`${type} ${track?.id ?? participant.name}`));
  }
  server.requests.length = 0;
  server.participants = [ADA];
  server.socket.drop(1006);
  assert.equal(room.state, 'reconnecting');
  assert.ok(!before.first.closed, 'media may flow until the new connection has joined');
  await clock.advance(1_000);
  assert.equal(room.state, 'connected');
  assert.ok(before.first.closed);
  assert.deepEqual(server.requested('publish').map(({ source, muted: was }) => [source, was]), [['microphone', true], ['camera', false]]);
  assert.notEqual(muted.id, before.id);
  assert.deepEqual(heard, ['trackended ada-mic', 'participantleft Bob', 'track ada-mic']);
  assert.equal(room.participants.get(ADA.id), before.ada);
  assert.equal(before.ada.track('microphone').mediaStreamTrack, pc().transceivers.find(({ mid }) => mid === '0').receiver.track);
});

test('the WebSocket breaks and another one goes on: same visit, same media, every message once', async () => {
  server.resumes = true;
  server.participants = [ADA];
  const local = room.publish(new FakeTrack('audio'));
  await join();
  await local.ready;
  const before = { id: local.id, me: room.local.id, offers: offers().length };
  const heard = [];
  for (const type of ['participantjoined', 'participantleft', 'trackended']) room.on(type, ({ participant }) => heard.push(`${type} ${participant.name}`));
  room.on('data', ({ payload }) => heard.push(payload));
  const say = (payload) => server.socket.event({ type: 'data', from: null, payload, reliable: true });
  const steps = [];
  room.on('state', ({ state, step }) => steps.push(`${state} ${step ?? ''}`.trim()));
  server.socket.drop(1006);
  assert.equal(room.state, 'reconnecting');
  server.socket.event({ type: 'participant_joined', participant: BOB });
  say('1');
  await clock.advance(1_000);
  assert.equal(server.requested('join').length, 1);
  assert.deepEqual(steps, ['reconnecting resume', 'connected']);
  assert.deepEqual(heard, ['participantjoined Bob', '1'], 'what was said meanwhile is heard');
  assert.deepEqual([local.id, room.local.id, offers().length], [before.id, before.me, before.offers]);
  assert.equal(FakePeerConnection.all.length, 1);
  assert.ok(!pc().closed);
  // And again: what came since counts, the greeting of the second WebSocket does not.
  server.socket.drop(1006);
  say('2');
  await clock.advance(1_000);
  assert.equal(room.state, 'connected');
  assert.deepEqual(heard.slice(2), ['2']);
});

test('what was asked when the WebSocket broke, and since, is carried out once', async () => {
  server.resumes = true;
  await join();
  server.silent = true;
  const lost = room.subscribe({ id: 'lost on the way' });
  await settle();
  server.socket.drop(1006);
  const later = room.subscribe({ id: 'while there is none' });
  const local = room.publish(new FakeTrack('audio'));
  await settle();
  server.silent = false;
  const before = server.requests.length;
  const answer = server.answer.bind(server);
  let meanwhile;
  server.answer = (request) => {
    if (request.type === 'resume') meanwhile = room.subscribe({ id: 'before it goes on' });
    return answer(request);
  };
  await clock.advance(1_000);
  await Promise.all([lost, later, local.ready, meanwhile]);
  const sent = server.requests.slice(before).filter(({ type }) => type !== 'resume').map(({ type, track }) => track ?? type).sort();
  assert.deepEqual(sent, ['lost on the way', 'while there is none', 'publish', 'offer', 'before it goes on'].sort());

  // Carried out, and only the reply was lost: it comes again, nothing is asked twice.
  server.answer = (request) => {
    const reply = answer(request);
    if (request.type === 'subscribe') server.socket.readyState = 3;
    return reply;
  };
  const answered = room.subscribe({ id: 'once' });
  await settle();
  server.answer = answer;
  server.socket.drop(1006);
  await clock.advance(1_000);
  await answered;
  assert.equal(server.requested('subscribe').filter(({ track }) => track === 'once').length, 1);
});

test('the path of media broke with the WebSocket: an ICE restart follows', async () => {
  server.resumes = true;
  await join();
  server.socket.drop(1006);
  pc().become('disconnected');
  await clock.advance(1_000);
  assert.equal(pc().restarts, 1);
  assert.equal(FakePeerConnection.all.length, 1);
  assert.deepEqual(states.slice(-3), ['reconnecting 1', 'reconnecting 0', 'connected']);
});

test('nobody to go on with: joined anew at once when told so, else after sixteen seconds', async () => {
  server.resumes = true;
  await join();
  const steps = [];
  room.on('state', ({ state, step }) => steps.push(step ?? state));
  server.resumes = false;
  server.socket.drop(1006);
  await clock.advance(2_000);
  assert.equal(room.state, 'connected');
  assert.deepEqual(steps, ['resume', 'rejoin', 'connected']);
  assert.equal(server.requested('join').length, 2);

  server.resumes = true;
  await room.leave();
  await join();
  steps.length = 0;
  server.refuse = true;
  server.socket.drop(1006);
  const waits = assert.rejects(room.subscribe({ id: 'never' }), { code: 'timeout' });
  await clock.advance(14_000);
  assert.ok(steps.length > 3 && steps.every((step) => step === 'resume'), steps.join());
  await clock.advance(10_000);
  assert.equal(steps.at(-1), 'rejoin');
  await waits;
  server.refuse = false;
  await clock.advance(11_000);
  assert.equal(room.state, 'connected');
  assert.equal(server.requested('resume').length, 1, 'of the first part');
});

test('a WebSocket that answers no ping is given up, which is no farewell', async () => {
  server.resumes = true;
  await join();
  const [socket] = server.sockets;
  server.silent = true;
  await clock.advance(28_100);
  assert.equal(socket.closed, 4000);
  server.silent = false;
  await clock.advance(1_000);
  assert.equal(room.state, 'connected');
  assert.equal(server.requested('join').length, 1);
});

test('the server closes while one goes on: what it says counts', async () => {
  server.resumes = true;
  await join();
  server.socket.drop(1006);
  server.silent = true;
  await clock.advance(400);
  server.socket.drop(4403);
  await settle();
  assert.equal(states.at(-1), 'closed kicked');
});

test('left while the WebSocket is mended: it ends there', async () => {
  server.resumes = true;
  await join();
  server.refuse = true;
  server.socket.drop(1006);
  const leaving = room.leave();
  await clock.advance(1_500);
  await leaving;
  const { length } = server.sockets;
  await clock.advance(60_000);
  assert.equal(server.sockets.length, length);
  assert.equal(states.at(-1), 'closed left');
});

test('events of the old connection are not heard after the new one has joined', async () => {
  await join();
  const old = server.socket;
  const listener = old.onmessage;
  old.drop(1006);
  await clock.advance(1_000);
  listener({ data: JSON.stringify({ type: 'participant_joined', participant: ADA }) });
  assert.equal(room.participants.size, 0);
});

test('back-off: longer and longer, at most ten seconds', async () => {
  await join();
  server.refuse = true;
  server.socket.drop(1006);
  const at = [];
  for (let i = 0; i < 60; i++) {
    const before = server.sockets.length;
    await clock.advance(1_000);
    if (server.sockets.length > before) at.push(i);
  }
  const gaps = at.slice(1).map((t, i) => t - at[i]);
  assert.ok(gaps.every((gap) => gap <= 10) && gaps.at(-1) >= 7, `gaps ${gaps}`);
  assert.ok(at.length >= 6 && at.length <= 12, `${at.length} attempts`);
  server.refuse = false;
  await clock.advance(11_000);
  assert.equal(room.state, 'connected');
});

test('reconnect() while waiting: tried at once', async () => {
  await join();
  server.refuse = true;
  server.socket.drop(1006);
  await clock.advance(5_000);
  server.refuse = false;
  const before = server.sockets.length;
  room.reconnect();
  await settle();
  assert.equal(server.sockets.length, before + 1);
  assert.equal(room.state, 'connected');
});

test('given up after five minutes', async () => {
  await join();
  server.refuse = true;
  server.socket.drop(1006);
  await clock.advance(330_000);
  assert.equal(states.at(-1), 'closed unreachable');
  const { length } = server.sockets;
  await clock.advance(60_000);
  assert.equal(server.sockets.length, length);
});

test('a close code that is final: no attempt', async () => {
  for (const [code, reason] of [[4403, 'kicked'], [4410, 'room_closed']]) {
    await join();
    const { length } = server.sockets;
    server.socket.drop(code);
    await clock.advance(60_000);
    assert.equal(states.at(-1), `closed ${reason}`);
    assert.equal(server.sockets.length, length);
  }
});

test('the server shuts down: tried again', async () => {
  await join();
  server.socket.drop(1001, 'bye');
  await clock.advance(1_000);
  assert.equal(room.state, 'connected');
});

test('left while reconnecting: it ends there', async () => {
  await join();
  server.refuse = true;
  server.socket.drop(1006);
  await clock.advance(2_000);
  await room.leave();
  const { length } = server.sockets;
  await clock.advance(60_000);
  assert.equal(server.sockets.length, length);
  assert.equal(states.at(-1), 'closed left');
});

test('left while a new connection is being made: it is not kept', async () => {
  await join();
  server.socket.drop(1006);
  server.silent = true;
  await clock.advance(1_000);
  await room.leave();
  server.silent = false;
  await clock.advance(60_000);
  assert.equal(room.state, 'closed');
  assert.ok(FakePeerConnection.all.every(({ closed }) => closed));
});

test('a dead WebSocket is noticed by an unanswered ping', async () => {
  await join();
  await clock.advance(20_100);
  assert.equal(server.requested('ping').length, 1);
  server.silent = true;
  await clock.advance(20_100);
  server.silent = false;
  assert.equal(server.sockets.length, 1);
  await clock.advance(9_000);
  assert.equal(server.sockets.length, 2);
  assert.equal(room.state, 'connected');
});

test('published while reconnecting: in the next first offer', async () => {
  await join();
  server.refuse = true;
  server.socket.drop(1006);
  await clock.advance(2_000);
  const local = room.publish(new FakeTrack('audio'));
  assert.ok(FakePeerConnection.all[0].transceivers.every(({ direction }) => direction === 'recvonly'), 'not on the old one');
  server.refuse = false;
  await clock.advance(5_000);
  await local.ready;
  assert.equal(sections(offers().at(-1).sdp).filter(({ direction }) => direction === 'sendonly').length, 1);
  assert.equal(offers().length, 2);
});

test('the WebSocket breaks while a track is being published: the track is not lost', async () => {
  await join();
  server.silent = true;
  const local = room.publish(new FakeTrack('audio'));
  await settle();
  assert.equal(server.requested('publish').length, 1);
  server.socket.drop(1006);
  server.silent = false;
  await clock.advance(1_000);
  await local.ready;
  assert.ok(room.local.tracks.has(local));
});

test('the server says that the path failed: ICE is restarted, anything else joins anew', async () => {
  await join();
  server.socket.event({ type: 'transport', state: 'failed', reason: 'consent_expired' });
  await settle();
  assert.equal(pc().restarts, 1);
  server.socket.event({ type: 'transport', state: 'failed', reason: 'closed_by_peer' });
  await clock.advance(1_000);
  assert.equal(server.sockets.length, 2);
  assert.equal(room.state, 'connected');
});
