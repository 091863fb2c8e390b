/**
 * The server is restarted during a call of three, again and again: how often remote video is back.
 * Exit code 1 if it is not each time.
 *
 *     npm run restarts [-- ROUNDS]
 */

import os from 'node:os';
import { allMeet, restart } from '../harness/rounds.js';
import { Stage } from '../harness/scenario.js';

const ROUNDS = Number(process.argv[2] ?? 50);

/** @type {number[]} */
const took = [];
let failed = 0;
let stage = await call();
for (let round = 1; round <= ROUNDS; round++) {
  try {
    const ms = await restart(stage, stage.participants, round % 2 ? 'SIGTERM' : 'SIGKILL');
    took.push(ms);
    console.log(`${round}: back ${Math.round(ms)} ms after the server`);
  } catch (error) {
    failed += 1;
    console.log(`${round}: not back: ${/** @type {Error} */ (error).message.split('\n')[0]}`);
    await stage.keepEvidence(error);
    await stage.close();
    stage = await call();
  }
}
await stage.close();
took.sort((a, b) => a - b);
console.log(`remote video back in ${took.length} of ${ROUNDS}, median ${Math.round(took[took.length >> 1])} ms, longest ${Math.round(took.at(-1) ?? NaN)} ms (load ${os.loadavg()[0].toFixed(1)})`);
process.exitCode = failed ? 1 : 0;

async function call() {
  const made = new Stage('restarts');
  await Promise.all(['alice', 'bob', 'carol'].map((name) => made.join({ name, width: 160, height: 120 })));
  await allMeet(made.participants, 60_000);
  return made;
}
