/** Statistics by participant and kind, under the same names in every browser; the report for bugs. */

/** @typedef {import('./peer.js').Peer} Peer */
/** @typedef {import('./roster.js').Roster} Roster */

/** Counters copied as they are; a browser that has none gives 0. */
const RECEIVED = /** @type {const} */ ([
  'packetsReceived', 'packetsLost', 'bytesReceived', 'nackCount', 'pliCount', 'firCount', 'jitter',
  'framesReceived', 'framesDecoded', 'framesDropped', 'framesPerSecond', 'frameWidth', 'frameHeight',
  'keyFramesDecoded', 'freezeCount', 'totalFreezesDuration', 'pauseCount',
  'totalSamplesReceived', 'concealedSamples', 'totalAudioEnergy', 'audioLevel',
  'jitterBufferDelay', 'jitterBufferEmittedCount',
]);
const SENT = /** @type {const} */ ([
  'packetsSent', 'bytesSent', 'retransmittedPacketsSent', 'nackCount', 'pliCount', 'firCount',
  'framesEncoded', 'framesSent', 'framesPerSecond', 'frameWidth', 'frameHeight', 'keyFramesEncoded', 'targetBitrate',
]);

/** @typedef {{participant: string, name: string, track: string, source: string, kind: string, mid: string, codec: string, muted: boolean} & Record<typeof RECEIVED[number], number>} Received */
/** @typedef {{track: string | null, source: string, kind: string, mid: string, rid: string, codec: string, limitedBy: string, rtt_ms: number | null, lossRemote: number | null} & Record<typeof SENT[number], number>} Sent */
/** @typedef {{state: string, dtls: string, cipher: string, local: string, remote: string, protocol: string, rtt_ms: number | null, outgoing_bps: number | null, bytesSent: number, bytesReceived: number}} Transport */
/** @typedef {{transport: Transport | null, sent: Sent[], received: Received[]}} Stats */

/**
 * An m-line is used again for other tracks, and its counters go on: compare two readings of the
 * same `track`.
 * @param {Peer | null} peer
 * @param {Roster} roster
 * @returns {Promise<Stats>}
 */
export async function roomStats(peer, roster) {
  if (!peer) return { transport: null, sent: [], received: [] };
  /** @type {Map<string, any>} */
  const all = new Map(await peer.pc.getStats());
  const rows = [...all.values()];
  const codec = (/** @type {any} */ row) => all.get(row.codecId)?.mimeType?.split('/')[1]?.toLowerCase() ?? '';

  const received = rows.flatMap((row) => {
    if (row.type !== 'inbound-rtp') return [];
    const mid = row.mid ?? peer.midOf(row.trackIdentifier);
    const track = mid === null ? null : roster.carried(mid);
    if (!track) return [];
    const { participant, id, source, kind, muted } = track;
    return [{ participant: participant.id, name: participant.name, track: id, source, kind, mid, codec: codec(row), muted, ...pick(row, RECEIVED) }];
  });

  const sent = rows.flatMap((row) => {
    if (row.type !== 'outbound-rtp') return [];
    const mid = row.mid ?? '';
    const local = peer.senders.find(({ transceiver }) => transceiver.mid === mid)?.local;
    if (!local) return [];
    const remote = all.get(row.remoteId) ?? {};
    return [{
      track: local.id, source: local.source, kind: local.kind, mid, rid: row.rid ?? '', codec: codec(row),
      limitedBy: row.qualityLimitationReason ?? '', rtt_ms: ms(remote.roundTripTime), lossRemote: remote.fractionLost ?? null,
      ...pick(row, SENT),
    }];
  });

  return { transport: transport(rows, all, peer.pc.connectionState), sent, received };
}

/**
 * @param {any[]} rows
 * @param {Map<string, any>} all
 * @param {string} state
 * @returns {Transport}
 */
function transport(rows, all, state) {
  const row = rows.find(({ type }) => type === 'transport') ?? {};
  // Firefox has no transport row in older versions, but marks the pair.
  const pair = all.get(row.selectedCandidatePairId) ?? rows.find((each) => each.type === 'candidate-pair' && (each.selected || each.nominated)) ?? {};
  const local = all.get(pair.localCandidateId) ?? {};
  const remote = all.get(pair.remoteCandidateId) ?? {};
  return {
    state,
    dtls: row.dtlsState ?? '',
    cipher: row.srtpCipher ?? '',
    local: local.candidateType ?? '',
    remote: remote.candidateType ?? '',
    protocol: local.protocol ?? '',
    rtt_ms: ms(pair.currentRoundTripTime),
    outgoing_bps: pair.availableOutgoingBitrate ?? null,
    bytesSent: pair.bytesSent ?? 0,
    bytesReceived: pair.bytesReceived ?? 0,
  };
}

/** @param {number | undefined} seconds */
const ms = (seconds) => (seconds === undefined ? null : Math.round(seconds * 10_000) / 10);

/**
 * @template {string} Name
 * @param {Record<string, number>} row
 * @param {readonly Name[]} names
 */
function pick(row, names) {
  return /** @type {Record<Name, number>} */ (Object.fromEntries(names.map((name) => [name, row[name] ?? 0])));
}

/** What happened, for the report: the last of it. */
export class History {
  static LINES_MAX = 200;
  /** @type {string[]} */
  lines = [];
  #now;

  /** @param {() => number} now */
  constructor(now) {
    this.#now = now;
  }

  /** @param {string} line */
  note(line) {
    this.lines.push(`${new Date(this.#now()).toISOString()} ${line}`);
    if (this.lines.length > History.LINES_MAX) this.lines.shift();
  }
}

/**
 * @param {import('./room.js').Room} room
 * @param {import('./session.js').Session | null} session
 * @param {Stats} stats
 * @param {History} history
 */
export function roomReport(room, session, stats, history) {
  return {
    at: history.lines.at(-1)?.slice(0, 24) ?? '',
    browser: globalThis.navigator?.userAgent ?? '',
    server: session?.signalling.hello?.version ?? '',
    state: room.state,
    room: room.name,
    self: room.local.id,
    published: [...room.local.tracks].map(({ id, source, muted }) => ({ id, source, muted })),
    participants: [...room.participants.values()].map(({ id, tracks }) => ({
      id,
      tracks: [...tracks.values()].map(({ id: track, source, muted, mid }) => ({ track, source, muted, mid })),
    })),
    mlines: (session?.peer.pc.getTransceivers() ?? []).map(({ mid, direction, currentDirection }) => ({ mid, direction, currentDirection })),
    stats,
    history: history.lines,
  };
}
