/** A server with keys: a token lets one in, nothing else does; WHIP and WHEP take theirs too. */

import assert from 'node:assert/strict';
import { scenario } from '../harness/scenario.js';
import { KEYED, sign } from '../harness/token.js';
import { until } from '../harness/until.js';

const JOIN = { roomJoin: true, room: 'e2e' };

for (const engine of /** @type {const} */ (['chromium', 'firefox'])) {
  scenario(`${engine}: a token lets one in, none or a forged one does not`, async (stage) => {
    await stage.server({ flags: KEYED });
    const [alice, bob] = await Promise.all([
      stage.join({ name: 'alice', token: sign('alice', JOIN) }, engine),
      stage.join({ name: 'bob', token: sign('bob', JOIN) }),
    ]);
    await Promise.all([alice.meets('bob'), bob.meets('alice')]);

    const forged = sign('mallory', JOIN, { secret: 'another secret of thirty-two bytes or so' });
    for (const token of [undefined, forged, sign('mallory', { ...JOIN, room: 'other' })]) {
      const mallory = await stage.join({ name: 'mallory', publish: '0', ...(token ? { token } : {}) }, engine);
      const text = await until('the end', () => mallory.page.$eval('.end', (element) => element.textContent));
      assert.match(text, /does not let you in/, 'it says what is wrong');
      assert.match(text, /Ask for a new one/, 'and what to do');
      await mallory.close();
    }
    assert.equal((await alice.snapshot()).participants.length, 1);
  });

  scenario(`${engine}: WHIP and WHEP with tokens`, async (stage) => {
    await stage.server({ flags: KEYED });
    const page = await stage.blank('encoder', engine);
    const refused = await page.evaluate(async () => {
      const { whepPlay } = await import(/** @type {any} */ ('/sdk/whip.js'));
      return whepPlay('/whep/e2e').then(() => 'let in', (/** @type {any} */ { name, code, hint }) => `${name} ${code} ${hint}`);
    });
    assert.match(refused, /^SfuError \w+ .+/);
    await page.evaluate(async (publish, play) => {
      const { whepPlay, whipPublish } = await import(/** @type {any} */ ('/sdk/whip.js'));
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
      await whipPublish('/whip/e2e', stream, { token: publish });
      globalThis.__http = await whepPlay('/whep/e2e', { token: play });
      const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, srcObject: globalThis.__http.stream });
      document.body.append(video);
      await video.play();
    }, sign('encoder', { ...JOIN, canSubscribe: false }), sign('screen', { ...JOIN, canPublish: false }));
    await until('pictures over WHEP', () => page.evaluate(async () => {
      const stats = [...(await globalThis.__http.pc.getStats()).values()];
      return stats.some(({ type, framesDecoded }) => type === 'inbound-rtp' && framesDecoded > 10);
    }));
  });
}
