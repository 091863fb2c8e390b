/** The examples of the library's page of documentation, as they stand there. */

import { readFileSync } from 'node:fs';

/** @returns {string[]} */
export function examples() {
  const text = readFileSync(new URL('../sdk/README.md', import.meta.url), 'utf8');
  return Array.from(text.matchAll(/^```js\n(.*?)^```/gms), ([, code]) => code);
}
