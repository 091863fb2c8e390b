/** `globalThis.__sfu`: what tests read; the same page that people use is the test rig. */

/** @typedef {import('../sdk/index.js').Room} Room */

/**
 * @param {Room} room
 * @param {object} more
 */
export function exposeForTests(room, more) {
  Object.assign(globalThis, {
    __sfu: {
      room,
      ...more,
      /** One JSON-able picture of the call; counters belong to m-lines: see sdk/stats.js. */
      snapshot: async () => {
        const { transport, sent, received } = await room.stats();
        return {
          state: room.state,
          path: room.path,
          self: room.local.id,
          participants: [...room.participants.values()].map(({ id, name, tracks }) => ({
            id,
            name,
            tracks: [...tracks.values()].map((track) => ({
              id: track.id, kind: track.kind, source: track.source, muted: track.muted, mid: track.mid, live: track.mediaStreamTrack !== null,
            })),
          })),
          speakers: room.speakers.map(({ participant, level }) => ({ id: participant.id, name: participant.name, level })),
          transport,
          sent,
          received,
        };
      },
    },
  });
}
