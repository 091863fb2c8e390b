/** Where tiles stand: they fit, do not overlap, and are never too small to show somebody. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layout } from '../app/layout.js';

/** Areas left for pictures on a phone (both ways), a laptop, a desk, beside a panel. */
const AREAS = [[344, 560], [700, 250], [1252, 640], [1892, 920], [900, 640]];

for (const [width, height] of AREAS) {
  for (const focused of [false, true]) {
    test(`1 to 49 people fit ${width}×${height}${focused ? ' beside somebody large' : ''}`, () => {
      for (let count = 1; count <= 49; count++) {
        const { stage, perPage, cells } = layout(count, width, height, focused);
        const all = stage ? [stage, ...cells] : cells;
        assert.equal(cells.length, Math.min(count, perPage), `${count}: a cell for each on the page`);
        assert.ok(perPage >= 1, `${count}: somebody is shown`);
        for (const { x, y, w, h } of all) {
          assert.ok(x >= 0 && y >= 0 && x + w <= width && y + h <= height, `${count}: ${JSON.stringify({ x, y, w, h })} is inside`);
          assert.ok(w >= 100 && h >= 60, `${count}: ${w}×${h} shows somebody`);
        }
        all.forEach((a, i) => all.slice(i + 1).forEach((b) => {
          const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
          assert.ok(apart, `${count}: ${JSON.stringify([a, b])} do not overlap`);
        }));
      }
    });
  }
}

test('a laptop shows 49 at once, a phone some of 25', () => {
  assert.equal(layout(49, 1252, 640, false).perPage, 49);
  const phone = layout(25, 344, 560, false).perPage;
  assert.ok(phone >= 6 && phone <= 12, `${phone}`);
});

test('two beside each other on a laptop, one above the other on a phone', () => {
  const [a, b] = layout(2, 1252, 640, false).cells;
  assert.equal(a.y, b.y);
  const [c, d] = layout(2, 344, 560, false).cells;
  assert.equal(c.x, d.x);
});

test('with nobody else, what is large has it all', () => {
  assert.deepEqual(layout(0, 800, 600, true), { stage: { x: 0, y: 0, w: 800, h: 600 }, perPage: 0, cells: [] });
});
