/** What flows now: the difference between two readings of the counters. */

/** @typedef {import('../sdk/stats.js').Stats} Stats */
/** @typedef {{bps: number, fps: number, loss: number, frozen_ms: number}} Flow of one received track; `loss` of 1 */
/** @typedef {{received_bps: number, sent_bps: number, loss: number, rtt_ms: number | null, outgoing_bps: number | null, tracks: Map<string, Flow>}} Flows */

export class Rates {
  /** @type {{stats: Stats, at: number} | null} */
  #before = null;

  /**
   * @param {Stats} stats
   * @param {number} at in ms
   * @returns {Flows | null} nothing at the first reading
   */
  read(stats, at) {
    const before = this.#before;
    this.#before = { stats, at };
    if (!before || at <= before.at) return null;
    const seconds = (at - before.at) / 1000;
    const { transport } = stats;
    /** @type {Map<string, Flow>} */
    const tracks = new Map();
    let [bits, lost, came, sentBits] = [0, 0, 0, 0];
    for (const now of stats.received) {
      const then = before.stats.received.find(({ track }) => track === now.track);
      if (!then || now.packetsReceived < then.packetsReceived) continue;
      const gone = Math.max(0, now.packetsLost - then.packetsLost);
      const got = now.packetsReceived - then.packetsReceived;
      const bps = ((now.bytesReceived - then.bytesReceived) * 8) / seconds;
      const frozen_ms = Math.max(0, now.totalFreezesDuration - then.totalFreezesDuration) * 1000;
      tracks.set(now.track, { bps, fps: (now.framesDecoded - then.framesDecoded) / seconds, loss: gone / Math.max(1, gone + got), frozen_ms });
      bits += bps;
      lost += gone;
      came += got;
    }
    for (const now of stats.sent) {
      const then = before.stats.sent.find(({ mid, rid }) => mid === now.mid && rid === now.rid);
      if (then && now.bytesSent >= then.bytesSent) sentBits += ((now.bytesSent - then.bytesSent) * 8) / seconds;
    }
    return { received_bps: bits, sent_bps: sentBits, loss: lost / Math.max(1, lost + came), rtt_ms: transport?.rtt_ms ?? null, outgoing_bps: transport?.outgoing_bps ?? null, tracks };
  }
}

/** @param {number} bps */
export function rate(bps) {
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bps / 1e3)} kbit/s`;
}

/** The server's own account of what one receives; `null` where it does not say. @param {import('../sdk/index.js').Room} room @returns {Promise<any>} */
export async function decisions({ name, local }) {
  try {
    const token = new URLSearchParams(location.search).get('token');
    const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
    const response = await fetch(`/api/v1/rooms/${encodeURIComponent(name)}/participants/${local.id}/decisions`, headers && { headers });
    return response.ok ? await response.json() : null;
  } catch {
    return null; // the connection is being mended, and the page says so elsewhere
  }
}
