/**
 * Waiting for a condition. Tests never sleep for a fixed time: on a slow machine that is too short,
 * on a fast one too long.
 */

import { setTimeout as pause } from 'node:timers/promises';

/** Multiplies all deadlines, for machines that are very slow (valgrind, a loaded CI host). */
const PATIENCE = Number(process.env.SFU_TEST_PATIENCE ?? 1);

/**
 * Asks again and again until the condition holds, and gives back the truthy value it found.
 *
 * @template T
 * @param {string} what what is waited for, as the end of "gave up waiting for …"
 * @param {() => T | Promise<T>} condition an error counts as "not yet"
 * @param {{within?: number, every?: number, describe?: () => unknown}} [options]
 *   `within`: the deadline in ms; `every`: the pause between two attempts in ms; `describe`: more
 *   for the error message, asked at the deadline
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(what, condition, { within = 20_000, every = 100, describe } = {}) {
  const deadline = performance.now() + within * PATIENCE;
  /** @type {unknown} */
  let trouble;
  do {
    try {
      const value = await condition();
      if (value) return value;
      trouble = undefined;
    } catch (error) {
      trouble = error;
    }
    await pause(every);
  } while (performance.now() < deadline);

  let message = `gave up waiting for ${what} after ${(within * PATIENCE) / 1000} s`;
  if (describe) message += `\n${inspect(await attempt(describe))}`;
  throw new Error(message, { cause: trouble });
}

/**
 * The value of a function that may fail, or the error in its place.
 *
 * @param {() => unknown} action
 */
async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    return error;
  }
}

/** @param {unknown} value */
function inspect(value) {
  if (typeof value === 'string') return value;
  return value instanceof Error ? String(value) : JSON.stringify(value, null, 1);
}
