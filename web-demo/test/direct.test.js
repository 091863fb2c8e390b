/** Person to person: when the other way is shown, what is said of it, and how it ends. */

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import '../sdk/direct.js'; // loaded on demand otherwise
import { Room } from '../sdk/room.js';
import { Clock, FakePeerConnection, FakeServer, FakeTrack, camera, person, settle, surroundings } from './fakes.js';

/** A connection between two browsers, as far as the library can tell; also the server's, with receivers that count. */
class FakeConnection extends FakePeerConnection {
  line(mid) {
    const line = this.addTransceiver('video');
    Object.assign(line, { mid });
    line.receiver.track.frames = 0;
    const { track } = line.receiver;
    line.receiver.getStats = async () => new Map([['in', { type: 'inbound-rtp', kind: 'video', framesDecoded: track.frames }]]);
    return track;
  }
  getConfiguration() {
    return { ...this.configuration, iceServers: [{ urls: 'stun:stun.test' }, { urls: ['turn:turn.test'] }] };
  }
  addTrack(track) {
    const line = this.addTransceiver(track);
    line.mid = 'own';
    return line.sender;
  }
  removeTrack(sender) {
    this.transceivers = this.transceivers.filter((line) => line.sender !== sender);
  }
  async setLocalDescription(description) {
    if (description) return super.setLocalDescription(description);
    this.localDescription = { type: this.signalingState === 'have-remote-offer' ? 'answer' : 'offer', sdp: '' };
    this.signalingState = this.localDescription.type === 'offer' ? 'have-local-offer' : 'stable';
  }
  async setRemoteDescription(description) {
    if (description.sdp) return super.setRemoteDescription(description);
    if (description.type === 'offer') this.signalingState = 'have-remote-offer';
    else this.signalingState = 'stable';
  }
}

/** @type {FakeServer} */ let server;
/** @type {Clock} */ let clock;
/** @type {Room} */ let room;
/** @type {string[]} */ let paths;
/** @type {string[]} */ let tracks;
const PARTICIPANT = person('ad', 'Ada', camera('ada-cam'));
const served = () => FakePeerConnection.all[0];
const past = () => FakePeerConnection.all[1];
const remote = () => room.participants.get(PARTICIPANT.id).tracks.get('ada-cam');
const words = () => server.requested('direct_signal').map(({ payload }) => JSON.parse(payload));
const states = () => server.requested('direct_state').map(({ epoch, state }) => `${epoch} ${state}`);

beforeEach(async () => {
  server = new FakeServer();
  clock = new Clock();
  room = new Room({ ...surroundings(server, clock), RTCPeerConnection: FakeConnection });
  [paths, tracks] = [[], []];
  room.on('path', ({ path, reason }) => paths.push(`${path} ${reason}`.trim()));
  for (const type of ['track', 'trackended']) room.on(type, ({ track }) => tracks.push(`${type} ${track.id}`));
});

/** In a room with Ada, whose camera comes from the server. */
async function join(more = {}) {
  server.participants = [PARTICIPANT];
  await room.join({ url: 'ws://sfu.test/ws', room: 'two', ...more });
  const media = served().line('cam');
  server.socket.event({ type: 'assigned', mid: 'cam', track: 'ada-cam', participant: PARTICIPANT.id });
  await settle();
  assert.equal(remote().mediaStreamTrack, media);
  return media;
}

async function introduce(polite = false) {
  server.socket.event({ type: 'direct', epoch: 1, participant: PARTICIPANT.id, polite });
  await clock.advance(0);
}

/** Ada says that her camera is on a line, which then counts. */
async function hear(type = 'answer') {
  const media = past().line('d');
  const payload = JSON.stringify({ description: { type, sdp: '' }, tracks: { d: 'ada-cam' } });
  server.socket.event({ type: 'direct_signal', epoch: 1, payload });
  await clock.advance(0);
  past().become('connected');
  return media;
}

/** Direct, with what comes either way. */
async function goDirect() {
  const before = await join();
  await introduce();
  const media = await hear();
  media.frames = 3;
  await clock.advance(100);
  server.socket.event({ type: 'direct_on', epoch: 1 });
  await clock.advance(0);
  return { before, media };
}

test('who can says so; who receives by choice, hides its address or does not want to, does not', async () => {
  for (const [options, says] of [[{}, true], [{ direct: false }, undefined], [{ subscribe: 'manual' }, undefined], [{ iceTransport: 'relay' }, undefined]]) {
    const each = new Room({ ...surroundings(server, clock), RTCPeerConnection: FakeConnection });
    await each.join({ url: 'ws://sfu.test/ws', room: 'two', ...options });
    assert.equal(server.requested('join').at(-1).direct, says, JSON.stringify(options));
    await each.leave();
  }
});

test('the other way is shown after its third frame, and told; nothing changes its name for who listens', async () => {
  const own = room.publish(new FakeTrack('video', { height: 180 }));
  const before = await join();
  await own.ready;
  await introduce();
  assert.deepEqual(past().configuration.iceServers, [{ urls: 'stun:stun.test' }], 'no relay');
  past().onnegotiationneeded();
  await settle();
  assert.deepEqual(words().map(({ description, tracks }) => [description.type, tracks]), [['offer', { own: own.id }]]);
  const media = await hear();
  media.frames = 2;
  await clock.advance(100);
  assert.equal(remote().mediaStreamTrack, before);
  assert.deepEqual(states(), []);
  media.frames = 3;
  await clock.advance(100);
  assert.equal(remote().mediaStreamTrack, media);
  assert.deepEqual([...remote().stream.tracks], [media]);
  assert.deepEqual([states(), paths], [['1 connected'], []], 'the other one has yet to say so');
  server.socket.event({ type: 'direct_on', epoch: 1 });
  await clock.advance(0);
  assert.deepEqual([room.path, paths, tracks], ['direct', ['direct'], ['track ada-cam']]);
});

test('the polite one waits for the offer of the other one and answers it', async () => {
  await join();
  await introduce(true);
  past().onnegotiationneeded();
  await settle();
  assert.deepEqual(words(), []);
  await hear('offer');
  assert.deepEqual(words().map(({ description }) => description.type), ['answer']);
});

test('offers that meet: the one who is not polite does not hear the other', async () => {
  await join();
  await introduce();
  past().onnegotiationneeded();
  await settle();
  await hear('offer');
  assert.deepEqual(words().map(({ description }) => description.type), ['offer']);
  assert.equal(past().signalingState, 'have-local-offer');
});

test('the end: what came directly is shown until the server has sent three frames; the connection stays for the other one', async () => {
  const { before, media } = await goDirect();
  before.frames = 40;
  server.socket.event({ type: 'direct_end', epoch: 1, reason: 'participants' });
  await clock.advance(200);
  before.frames = 42;
  await clock.advance(100);
  assert.deepEqual([remote().mediaStreamTrack, room.path], [media, 'direct']);
  before.frames = 43;
  await clock.advance(200);
  assert.deepEqual([remote().mediaStreamTrack, room.path], [before, 'server']);
  assert.deepEqual(paths, ['direct', 'server participants']);
  assert.equal(past().closed, false);
  const [channel] = past().channels;
  assert.deepEqual(channel.sent, ['']);
  channel.onmessage({ data: '' });
  await clock.advance(100);
  assert.equal(past().closed, true);
  assert.deepEqual(tracks, ['track ada-cam']);
});

test('the end: a server that sends nothing for five seconds, or another one who says nothing, is not waited for', async () => {
  const { before } = await goDirect();
  server.socket.event({ type: 'direct_end', epoch: 1, reason: 'settings' });
  await clock.advance(4_900);
  assert.equal(past().closed, false);
  await clock.advance(300);
  assert.deepEqual([past().closed, remote().mediaStreamTrack], [true, before]);
});

test('silence, a broken connection and a closed channel are told at once, once the path is that', async () => {
  const { media } = await goDirect();
  for (let i = 0; i < 8; i++) {
    media.frames += 5;
    await clock.advance(250);
  }
  assert.deepEqual(states(), ['1 connected']);
  await clock.advance(1_500);
  assert.equal(states()[1], '1 failed', 'nothing came for longer than it takes');
  const told = states().length;
  past().become('disconnected');
  past().channels[0].onclose();
  assert.equal(states().length, told + 2);
});

test('what is muted may be silent', async () => {
  await goDirect();
  server.socket.event({ type: 'track_muted', participant: PARTICIPANT.id, track: 'ada-cam', muted: true });
  await clock.advance(5_000);
  assert.deepEqual(states(), ['1 connected']);
});

test('what is said of another attempt is not heard, and a participant that goes takes its media along', async () => {
  const { before, media } = await goDirect();
  server.socket.event({ type: 'direct_end', epoch: 2, reason: 'failed' });
  await clock.advance(300);
  before.frames = media.frames += 9;
  await clock.advance(300);
  assert.equal(room.path, 'direct');
  assert.equal(remote().mediaStreamTrack, media);
  const track = remote();
  server.socket.event({ type: 'participant_left', participant: PARTICIPANT.id, reason: 'left' });
  server.socket.event({ type: 'direct_end', epoch: 1, reason: 'participants' });
  await clock.advance(300);
  assert.deepEqual([track.mediaStreamTrack, room.path], [null, 'server']);
});

test('what one does not want is not sent directly either', async () => {
  await goDirect();
  remote().setQuality('off');
  await clock.advance(300);
  const [channel] = past().channels;
  assert.deepEqual(channel.sent, ['["ada-cam"]']);
  remote().setQuality('auto');
  await clock.advance(300);
  assert.deepEqual(channel.sent, ['["ada-cam"]', '[]']);
});

test('a lost WebSocket ends it: who joins anew is another participant', async () => {
  await goDirect();
  server.socket.drop(1006);
  await clock.advance(2_000);
  assert.equal(room.state, 'connected');
  assert.deepEqual([past().closed, room.path], [true, 'server']);
});
