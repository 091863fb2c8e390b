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
 * What comes and goes past the server has an m-line that begins with `direct`, and is told instead of
 * what the server sends of the same track.
 * @param {Peer | null} peer
 * @param {Roster} roster
 * @param {import('./direct.js').Direct | null} [direct]
 * @returns {Promise<Stats>}
 */
export async function roomStats(peer, roster, direct) {
  if (!peer) return { transport: null, sent: [], received: [] };
  const lines = (/** @type {string} */ mid) => peer.senders.find(({ transceiver }) => transceiver.mid === mid)?.local ?? null;
  const served = await read(peer.pc, (mid) => roster.carried(mid), lines);
  if (!direct?.on) return served;
  const past = await read(direct.pc, (mid) => direct.carried(mid), (mid) => direct.sent(mid), 'direct ');
  const isPast = (/** @type {Received} */ { track }) => Boolean(roster.find(track)?.direct);
  return {
    transport: past.transport,
    sent: [...served.sent, ...past.sent],
    received: [...served.received.filter((row) => !isPast(row)), ...past.received.filter(isPast)],
  };
}

/** Longest time to wait for statistics, in ms. */
const PATIENCE_MS = 3_000;

/**
 * Statistics, or none: Firefox never answers for a connection that is closed meanwhile.
 *
 * @param {RTCPeerConnection} source
 * @returns {Promise<Map<string, any>>}
 */
async function counters(source) {
  /** @type {any} */
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(resolve, PATIENCE_MS, new Map()); });
  try {
    return /** @type {any} */ (await Promise.race([source.getStats(), late]));
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {RTCPeerConnection} pc
 * @param {(mid: string) => import('./remote.js').RemoteTrack | null} carried
 * @param {(mid: string) => import('./local.js').LocalTrack | null} taken
 * @param {string} [prefix] of m-lines
 * @returns {Promise<Stats>}
 */
async function read(pc, carried, taken, prefix = '') {
  /** @type {Map<string, any>} */
  const all = new Map(await counters(pc));
  const rows = [...all.values()];
  const codec = (/** @type {any} */ row) => all.get(row.codecId)?.mimeType?.split('/')[1]?.toLowerCase() ?? '';

  const received = rows.flatMap((row) => {
    if (row.type !== 'inbound-rtp') return [];
    const track = carried(row.mid);
    if (!track) return [];
    const mid = prefix + row.mid;
    const { participant, id, source, kind, muted } = track;
    return [{ participant: participant.id, name: participant.name, track: id, source, kind, mid, codec: codec(row), muted, ...pick(row, RECEIVED) }];
  });

  const sent = rows.flatMap((row) => {
    if (row.type !== 'outbound-rtp') return [];
    const local = taken(row.mid);
    if (!local) return [];
    const mid = prefix + row.mid;
    const remote = all.get(row.remoteId) ?? {};
    return [{
      track: local.id, source: local.source, kind: local.kind, mid, rid: row.rid ?? '', codec: codec(row),
      limitedBy: row.qualityLimitationReason ?? '', rtt_ms: ms(remote.roundTripTime), lossRemote: remote.fractionLost ?? null,
      ...pick(row, SENT),
    }];
  });

  return { transport: transport(rows, all, pc.connectionState), sent, received };
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
