/** Things that are done again and again, by scenarios a few times and by scripts many. */

import { Server } from './server.js';

/** @typedef {import('./scenario.js').Stage} Stage */
/** @typedef {import('./participant.js').Participant} Participant */

/** How long people may take to be back after the server is. */
const BACK_MS = 40_000;

/**
 * Ends the server and starts another in its place; settles when everybody sees everybody again.
 *
 * @param {Stage} stage
 * @param {Participant[]} people
 * @param {NodeJS.Signals} how `SIGTERM`: it says goodbye; `SIGKILL`: it does not
 * @returns {Promise<number>} how long that took from the new server's start, in ms
 */
export async function restart(stage, people, how) {
  const server = await stage.server();
  await server.stop(how);
  await Promise.all(people.map((person) => person.observes('the loss', ({ state }) => state === 'reconnecting')));
  stage.replaceServer(await Server.start({ http: new URL(server.url).host }));
  const since = performance.now();
  await allMeet(people, BACK_MS);
  return performance.now() - since;
}

/** @param {Participant[]} people @param {number} [within] */
export async function allMeet(people, within) {
  await Promise.all(people.flatMap((person) => {
    const others = people.filter((other) => other !== person);
    return others.map((other) => person.sees(other.name, within ? { within } : {}));
  }));
}
