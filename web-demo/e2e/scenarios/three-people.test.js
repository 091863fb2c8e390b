/** The call itself: everybody sees and hears everybody else. */

import { scenario } from '../harness/scenario.js';

scenario('three people in Chromium see and hear each other', async (stage) => {
  const people = await Promise.all(
    ['alice', 'bob', 'carol'].map((name) => stage.join({ name })),
  );
  await Promise.all(people.flatMap((person) => {
    const others = people.filter((other) => other !== person);
    return others.map((other) => person.meets(other.name));
  }));
});
