/** Who speaks is marked: the mark goes to whoever makes a sound now. */

import { scenario } from '../harness/scenario.js';
import { until } from '../harness/until.js';

for (const engine of /** @type {const} */ (['chromium', 'firefox'])) {
  scenario(`${engine}: of three people the one who is heard is marked`, async (stage) => {
    const [viewer, ...two] = await Promise.all([
      stage.join({ name: 'viewer', publish: '0' }, engine),
      stage.join({ name: 'alice', publish: 'audio' }),
      stage.join({ name: 'bob', publish: 'audio' }),
    ]);
    await Promise.all(two.map(({ name }) => viewer.hears(name)));
    const marked = () => viewer.page.$$eval('.tile.speaking', (tiles) => tiles.map((tile) => tile.querySelector('.tile-name')?.textContent));
    for (const [quiet, loud] of [[0, 1], [1, 0], [0, 1]]) {
      const button = await two[loud].page.$eval('#mic', (element) => element.getAttribute('aria-label'));
      if (button === 'Unmute microphone') await two[loud].press('Unmute microphone');
      await two[quiet].press('Mute microphone');
      await until(`only ${two[loud].name} to be marked`, async () => String(await marked()) === two[loud].name, { describe: marked });
    }
  });
}
