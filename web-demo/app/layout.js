/** Where tiles stand: pure geometry, in CSS pixels. */

export const GAP = 10;
const RATIO_MAX = 16 / 9;
/** On a tall window tiles may be nearly square, or upright when there are few. */
const RATIO_MIN = 0.8;
const RATIO_MIN_FEW = 0.62;
const FEW = 6;
/** Smaller tiles than this show nobody: there are pages instead. */
const WIDTH_MIN = 128;
const HEIGHT_MIN = 80;
const PAGE_MAX = 49;
/** The column beside what is large, and the row under it. */
const STRIP = { wide: 208, tall: 124, tallMin: 92, narrow: 104 };
/** On a tall window what is large leaves this much to the others. */
const STAGE_SHARE_MAX = 0.66;

/** @typedef {{x: number, y: number, w: number, h: number}} Rect */

/**
 * @typedef {object} Layout
 * @property {Rect | null} stage where the large one stands
 * @property {number} perPage how many of the others fit at a time
 * @property {Rect[]} cells where they stand, at most `perPage`
 */

/**
 * @param {number} count of tiles beside the large one
 * @param {number} width of the area
 * @param {number} height
 * @param {boolean} focused whether one is large
 * @returns {Layout}
 */
export function layout(count, width, height, focused) {
  if (!focused) return { stage: null, ...grid(count, { x: 0, y: 0, w: width, h: height }) };
  if (count === 0) return { stage: { x: 0, y: 0, w: width, h: height }, perPage: 0, cells: [] };
  const isWide = width > height * 1.1 && width > 640;
  return isWide ? beside(count, width, height) : below(count, width, height);
}

/** The others in a column at the right. @param {number} count @param {number} width @param {number} height */
function beside(count, width, height) {
  const { wide, tall: tallMax, tallMin } = STRIP;
  const perPage = Math.max(1, Math.floor((height + GAP) / (tallMin + GAP)));
  const shown = Math.min(count, perPage);
  const tall = Math.max(tallMin, Math.min(tallMax, Math.floor((height + GAP) / shown) - GAP));
  const top = (height - shown * (tall + GAP) + GAP) / 2;
  const cells = Array.from({ length: shown }, (_, i) => ({ x: width - wide, y: Math.floor(top) + i * (tall + GAP), w: wide, h: tall }));
  return { stage: { x: 0, y: 0, w: width - wide - GAP, h: height }, perPage, cells };
}

/** The others under it, on a phone held upright. @param {number} count @param {number} width @param {number} height */
function below(count, width, height) {
  const tall = Math.floor(Math.min((width * 3) / 4, height * STAGE_SHARE_MAX, height - STRIP.narrow - GAP));
  const y = Math.max(0, tall) + GAP;
  return { stage: { x: 0, y: 0, w: width, h: Math.max(0, tall) }, ...grid(count, { x: 0, y, w: width, h: height - y }) };
}

/**
 * As many as fit, as large as they can be; pages keep one size, so that nothing moves when turning.
 * @param {number} count
 * @param {Rect} area
 */
function grid(count, area) {
  let perPage = Math.min(count, PAGE_MAX);
  let best = fit(perPage, area);
  while (perPage > 1 && (best.w < WIDTH_MIN || best.h < HEIGHT_MIN)) best = fit(--perPage, area);
  const { columns, w, h } = best;
  const rows = Math.ceil(perPage / columns);
  const top = area.y + (area.h - rows * (h + GAP) + GAP) / 2;
  const cells = Array.from({ length: perPage }, (_, i) => {
    const row = Math.floor(i / columns);
    const inRow = Math.min(columns, perPage - row * columns);
    const left = area.x + (area.w - inRow * (w + GAP) + GAP) / 2;
    return { x: Math.floor(left + (i % columns) * (w + GAP)), y: Math.floor(top + row * (h + GAP)), w, h };
  });
  return { perPage, cells };
}

/**
 * The tile size that shows most: as many columns as give the largest tiles.
 * @param {number} count
 * @param {Rect} area
 */
function fit(count, { w: width, h: height }) {
  const ratioMin = width > height ? 4 / 3 : count <= FEW ? RATIO_MIN_FEW : RATIO_MIN;
  let best = { w: 0, h: 0, columns: 1 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    let w = Math.floor((width - GAP * (columns - 1)) / columns);
    let h = Math.floor((height - GAP * (rows - 1)) / rows);
    if (w > h * RATIO_MAX) w = Math.floor(h * RATIO_MAX);
    if (w < h * ratioMin) h = Math.floor(w / ratioMin);
    if (w * h > best.w * best.h) best = { w, h, columns };
  }
  return best;
}
