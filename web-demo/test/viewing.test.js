/** What a page says it wants of the others' tracks: from where they are shown, and in words. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Room } from '../sdk/room.js';
import { Clock, FakePage, FakeServer, camera, microphone, person, settle, surroundings } from './fakes.js';

/** @type {FakeServer} */ let server;
/** @type {Clock} */ let clock;
/** @type {Room} */ let room;
/** @type {FakePage} */ let page;
const ADA = person('ad', 'Ada', camera('ada-cam'), microphone('ada-mic'));
const BOB = person('b0', 'Bob', camera('bob-cam'));

beforeEach(async () => {
  server = new FakeServer();
  clock = new Clock();
  page = new FakePage();
  globalThis.MediaStream ??= class {};
  room = new Room(surroundings(server, clock));
  server.participants = [ADA, BOB];
});
afterEach(() => page.close());

const join = () => room.join({ url: 'ws://sfu.test/ws', room: 'tea', name: 'Me' });
/** Every preference so far, request by request. */
const said = () => server.requested('prefer').map(({ preferences }) => preferences);
const track = (who) => room.participants.get(who.id).track('camera');

test('attached elements: their sizes in physical pixels, in one request', async () => {
  await join();
  track(ADA).attach(page.video(320, 180));
  track(BOB).attach(page.video(100, 90));
  await clock.advance(50);
  assert.deepEqual(said(), [], 'it waits for what the same layout brings');
  await clock.advance(100);
  assert.deepEqual(said(), [[
    { track: 'ada-cam', max_width: 640, max_height: 368 },
    { track: 'bob-cam', max_width: 208, max_height: 192 },
  ]]);
});

test('nothing is said of what nobody has attached', async () => {
  await join();
  room.participants.get(ADA.id).track('microphone').attach({});
  await clock.advance(5_000);
  assert.deepEqual(said(), []);
});

test('growing is said at once, shrinking later, and both together at once', async () => {
  await join();
  const [ada, bob] = [page.video(320, 180), page.video(320, 180)];
  track(ADA).attach(ada);
  track(BOB).attach(bob);
  await clock.advance(150);

  page.resize(ada, 160, 90);
  await clock.advance(500);
  assert.equal(said().length, 1);
  await clock.advance(150);
  assert.deepEqual(said()[1], [{ track: 'ada-cam', max_width: 320, max_height: 192 }]);

  page.resize(bob, 80, 45);
  page.resize(ada, 640, 360);
  await clock.advance(110);
  assert.deepEqual(said()[2].map((each) => [each.track, each.max_width]), [['bob-cam', 160], ['ada-cam', 1280]]);
});

test('a tile that comes back soon has never been away', async () => {
  await join();
  const ada = page.video(320, 180);
  track(ADA).attach(ada);
  await clock.advance(150);
  page.scroll(ada, false);
  await clock.advance(400);
  page.scroll(ada, true);
  await clock.advance(5_000);
  assert.equal(said().length, 1);
});

test('what nobody sees is not wanted: scrolled away, in a hidden tab, detached', async () => {
  await join();
  const ada = page.video(320, 180);
  track(ADA).attach(ada);
  await clock.advance(150);
  const hidden = [{ track: 'ada-cam', visible: false }];
  const shown = [{ track: 'ada-cam', max_width: 640, max_height: 368 }];
  page.scroll(ada, false);
  await clock.advance(1_000);
  assert.deepEqual(said().at(-1), hidden);
  page.scroll(ada, true);
  await clock.advance(150);
  assert.deepEqual(said().at(-1), shown);

  page.hide(true);
  await clock.advance(1_000);
  assert.deepEqual(said().at(-1), hidden);
  page.pictureInPictureElement = ada;
  page.hide(true);
  await clock.advance(1_000);
  assert.deepEqual(said().at(-1), shown, 'seen in a window of its own');
  page.hide(false);

  const watchers = page.watchers;
  track(ADA).detach();
  assert.equal(page.watchers, watchers - 2);
  await clock.advance(1_000);
  assert.deepEqual(said().at(-1), hidden);
});

test('several elements: the largest one that is seen', async () => {
  await join();
  const large = page.video(640, 360);
  track(ADA).attach(page.video(160, 90));
  track(ADA).attach(large);
  await clock.advance(150);
  assert.equal(said()[0][0].max_width, 1280);
  page.scroll(large, false);
  await clock.advance(1_000);
  assert.equal(said()[1][0].max_width, 320);
});

test('words: at once, each with all that was said before', async () => {
  await join();
  const ada = track(ADA);
  ada.setQuality('low');
  await clock.advance(150);
  ada.pin();
  ada.want({ priority: 200, max_fps: 15 });
  await clock.advance(150);
  ada.pin(false);
  await clock.advance(150);
  const words = { track: 'ada-cam', quality: 'low', priority: 200, max_fps: 15 };
  assert.deepEqual(said(), [[{ track: 'ada-cam', quality: 'low' }], [{ ...words, pinned: true }], [{ ...words, pinned: false }]]);
});

test('more tracks than one request may name: in several', async () => {
  server.participants = Array.from({ length: 300 }, (_, i) => person(`${i + 1}`, 'P', camera(`c${i}`)));
  await join();
  for (const each of server.participants) track(each).setQuality('low');
  await clock.advance(500);
  assert.deepEqual(said().map(({ length }) => length), [250, 50]);
});

test('a new connection is told everything again', async () => {
  await join();
  track(ADA).attach(page.video(320, 180));
  track(BOB).setQuality('off');
  await clock.advance(150);
  server.socket.drop(1006);
  await clock.advance(1_000);
  assert.equal(room.state, 'connected');
  await clock.advance(1_000);
  assert.equal(said().length, 2);
  assert.deepEqual(said()[1], said()[0]);
});

test('a busy server is asked again, one that knows nothing of it is not', async () => {
  await join();
  const answer = server.answer.bind(server);
  let code = 'overloaded';
  server.answer = (request) => (request.type === 'prefer' && code ? { type: 'error', code } : answer(request));
  track(ADA).setQuality('low');
  await clock.advance(150);
  assert.equal(said().length, 1);
  code = '';
  await clock.advance(1_000);
  assert.deepEqual(said()[1], said()[0]);

  code = 'unknown_type';
  track(ADA).setQuality('high');
  await clock.advance(10_000);
  assert.equal(said().length, 3);
});

test('layer, paused, resumed: told of the track, and kept', async () => {
  await join();
  const ada = track(ADA);
  const heard = [];
  for (const type of ['layer', 'paused', 'resumed']) ada.on(type, ({ reason, width }) => heard.push([type, reason ?? width]));
  server.socket.event({ type: 'layer', track: 'ada-cam', encoding: 1, spatial: 0, temporal: 2, width: 640, height: 360, reason: 'bandwidth' });
  assert.deepEqual([ada.layer.width, ada.layer.reason, ada.paused], [640, 'bandwidth', null]);
  server.socket.event({ type: 'paused', track: 'ada-cam', reason: 'priority' });
  assert.deepEqual([ada.layer, ada.paused], [null, 'priority']);
  server.socket.event({ type: 'resumed', track: 'ada-cam' });
  assert.equal(ada.paused, null);
  server.socket.event({ type: 'paused', track: 'nobody', reason: 'priority' });
  assert.deepEqual(heard, [['layer', 'bandwidth'], ['paused', 'priority'], ['resumed', undefined]]);

  server.socket.event({ type: 'paused', track: 'ada-cam', reason: 'priority' });
  server.socket.drop(1006);
  await clock.advance(1_000);
  await settle();
  assert.equal(ada.paused, null, 'of the new connection nothing is known');
});
