/**
 * Child processes that end with the test, however it ends.
 */

import process from 'node:process';

/** @type {Set<import('node:child_process').ChildProcess>} */
const alive = new Set();

/**
 * Makes sure that a child does not outlive this process.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
export function own(child) {
  alive.add(child);
  child.once('exit', () => alive.delete(child));
}

/**
 * Asks a child to end, and insists after a while.
 *
 * @param {import('node:child_process').ChildProcess} child
 * @param {{signal?: NodeJS.Signals, within?: number}} [options] `within`: ms until SIGKILL
 * @returns {Promise<{code: number | null, signal: NodeJS.Signals | null}>} how it ended
 */
export async function end(child, { signal = 'SIGTERM', within = 10_000 } = {}) {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    const insist = setTimeout(() => child.kill('SIGKILL'), within);
    await exited;
    clearTimeout(insist);
  }
  return { code: child.exitCode, signal: child.signalCode };
}

process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});
// The test runner ends a file that takes too long with SIGTERM; `exit` has to run then, too.
for (const signal of /** @type {const} */ (['SIGTERM', 'SIGINT', 'SIGHUP'])) {
  process.once(signal, () => process.exit(1));
}
