/** Statistics by participant and kind, under the same names in every browser; the report for bugs. */

/** @typedef {import('./peer.js').Peer} Peer */
/** @typedef {import('./roster.js').Roster} Roster */

/** Counters copied as they are; a browser that has none gives 0. */
const RECEIVED = /** @type {const} */ ([
  'packetsReceived', 'packetsLost', 'bytesReceived', 'nackCount', 'pliCount', 'jitter',
  'framesReceived', 'framesDecoded', 'framesDropped', 'framesPerSecond', 'frameWidth', 'frameHeight',
  'keyFramesDecoded', 'freezeCount', 'totalFreezesDuration',
  'totalSamplesReceived', 'concealedSamples', 'totalAudioEnergy',
]);
const SENT = /** @type {const} */ ([
  'packetsSent', 'bytesSent', 'retransmittedPacketsSent', 'nackCount', 'pliCount',
  'framesEncoded', 'framesSent', 'framesPerSecond', 'frameWidth', 'frameHeight', 'keyFramesEncoded', 'targetBitrate',
]);

/** @typedef {{participant: string, name: string, track: string, source: string, kind: string, mid: string, codec: string, muted: boolean} & Record<typeof RECEIVED[number], number>} Received */
/** @typedef {{track: string | null, source: string, kind: string, mid: string, rid: string, codec: string, limitedBy: string, rtt_ms: number | null, lossRemote: number | null} & Record<typeof SENT[number], number>} Sent */
/** @typedef {{state: string, dtls: string, cipher: string, local: string, rtt_ms: number | null, outgoing_bps: number | null}} Transport */
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
    const { mid } = row;
    const track = roster.carried(mid);
    if (!track) return [];
    const { participant, id, source, kind, muted } = track;
    return [{ participant: participant.id, name: participant.name, track: id, source, kind, mid, codec: codec(row), muted, ...pick(row, RECEIVED) }];
  });

  const sent = rows.flatMap((row) => {
    if (row.type !== 'outbound-rtp') return [];
    const { mid } = row;
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
  const pair = all.get(row.selectedCandidatePairId) ?? {};
  return {
    state,
    dtls: row.dtlsState ?? '',
    cipher: row.srtpCipher ?? '',
    local: all.get(pair.localCandidateId)?.candidateType ?? '',
    rtt_ms: ms(pair.currentRoundTripTime),
    outgoing_bps: pair.availableOutgoingBitrate ?? null,
  };
}

/** @param {number | undefined} seconds */
const ms = (seconds) => (seconds === undefined ? null : Math.round(seconds * 10_000) / 10);

/**
 * @template {string} Name
 * @param {any} row
 * @param {readonly Name[]} names
 * @param {any} [none]
 */
function pick(row, names, none = 0) {
  return /** @type {Record<Name, number>} */ (Object.fromEntries(names.map((name) => [name, row[name] ?? none])));
}

const LINES_MAX = 200;

/** What happened, for the report: the last of it. */
export class History {
  /** @type {string[]} */
  lines = [];
  #now;

  /** @param {() => number} now */
  constructor(now) {
    this.#now = now;
  }

  /** @param {string} line */
  note(line) {
    this.lines = [...this.lines, `${new Date(this.#now()).toISOString()} ${line}`].slice(-LINES_MAX);
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
    browser: globalThis.navigator?.userAgent ?? '',
    server: session?.signalling.hello?.version ?? '',
    state: room.state,
    room: room.name,
    self: room.local.id,
    participants: [room.local, ...room.participants.values()].map(({ id, tracks }) => ({
      id,
      tracks: [...tracks.values()].map((track) => pick(track, ['id', 'source', 'muted', 'mid', 'paused', 'layer'], null)),
    })),
    mlines: (session?.peer.pc.getTransceivers() ?? []).map((line) => pick(line, ['mid', 'direction', 'currentDirection'], null)),
    stats,
    history: history.lines,
  };
}
