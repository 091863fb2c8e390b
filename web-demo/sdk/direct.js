/** Person to person: in a room of two media goes past the server, over a connection of its own. Loaded when the server introduces somebody. What came the other way is shown until the first frames of the new one are decoded, there and back. */

/** @typedef {import('./local.js').LocalTrack} LocalTrack */
/** @typedef {import('./remote.js').RemoteTrack} RemoteTrack */
/** @typedef {import('./protocol.d.ts').EventMessage} EventMessage */
/** @typedef {import('./protocol.d.ts').Requests} Requests */

/** @typedef {object} DirectOwner
 * @property {import('./platform.js').Platform} platform
 * @property {import('./peer.js').Peer} peer the connection to the server
 * @property {Set<LocalTrack>} locals what is published
 * @property {import('./roster.js').Roster} roster
 * @property {<Type extends keyof Requests>(type: Type, fields: Requests[Type]['fields']) => Promise<unknown>} request
 * @property {import('./roster.js').Emit} emit
 * @property {() => void} changed which way media goes may be another
 */

/** @typedef {{description?: RTCSessionDescriptionInit, tracks?: Record<string, string>, candidates?: RTCIceCandidateInit[]}} Word `tracks`: mid → the server's id of the track */

/** While a change is under way, and while all is well. */
const LOOK_MS = { soon: 50, later: 250 };
/** A connection on which nothing comes for so long is broken, whatever it says. */
const SILENCE_MS = 800;
/** So long the server may take to send again. */
const RETURN_MS_MAX = 5_000;
const GATHER_MS = 20;
/** Frames, or packets of sound, before a way is taken for one: the first alone may be followed by a pause. */
const ENOUGH = 3;

export class Direct {
  #owner;
  #epoch;
  #polite;
  /** @type {'trying' | 'on' | 'ending' | 'closed'} */
  #stage = 'trying';
  #begun = false;
  #offering = false;
  /** Whether an offer or an answer is being taken in: what is still to be negotiated after it, browsers say again. */
  #hearing = false;
  #told = false;
  /** Whether all comes from the server again, and the other one knows. */
  #back = false;
  /** One word after the other. @type {Promise<unknown>} */
  #words = Promise.resolve();
  /** The others' tracks by m-line. @type {Record<string, string>} */
  #theirs = {};
  /** @type {Map<LocalTrack, RTCRtpSender>} */
  #senders = new Map();
  /** What each receiver had counted when it began to carry what it carries. @type {Map<string, number>} */
  #before = new Map();
  /** @type {RTCIceCandidateInit[]} */
  #candidates = [];
  #heard = { count: 0, at: 0 };
  #until = 0;
  /** Whether the other one has its media from the server again. */
  #released = false;
  /** @type {RTCDataChannel | null} */
  #channel = null;
  /** What one does not want, as it was said. */
  #unwanted = '[]';
  /** @type {any} */
  #timer;
  /** Why it ended. */
  reason = '';

  /**
   * @param {DirectOwner} owner
   * @param {Extract<EventMessage, {type: 'direct'}>} message
   */
  constructor(owner, { epoch, polite, participant }) {
    this.#owner = owner;
    this.#epoch = epoch;
    this.#polite = polite;
    this.participant = participant;
    // A relay is no better than the server, which is one.
    const stun = (owner.peer.pc.getConfiguration().iceServers ?? []).filter(({ urls }) => /^stun/.test(String(urls)));
    const pc = (this.pc = new owner.platform.RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: stun }));
    pc.onnegotiationneeded = () => this.#begun && !this.#hearing && void this.#offer();
    pc.onicecandidate = ({ candidate }) => candidate && this.#gather(candidate.toJSON());
    pc.onconnectionstatechange = () => /disconnected|failed|closed/.test(pc.connectionState) && this.#fail();
    if (!polite) this.#begin();
    this.#look();
  }

  /** Whether media goes this way. */
  get on() {
    return this.#stage === 'on' || (this.#stage === 'ending' && !this.#back);
  }

  /** What the server says. @param {EventMessage} message */
  receive(message) {
    if (!('epoch' in message) || message.epoch !== this.#epoch || this.#stage === 'closed') return;
    if (message.type === 'direct_signal') {
      this.#words = this.#words.then(() => this.#hear(JSON.parse(message.payload))).catch(() => this.#fail());
    } else if (message.type === 'direct_on') {
      this.#stage = 'on';
      this.#heard.at = this.#owner.platform.now();
      this.#owner.changed();
    } else if (message.type === 'direct_end') {
      this.#end(message.reason);
    }
  }

  /** What is published has changed. */
  sync() {
    const { locals } = this.#owner;
    if (!this.#begun || this.#stage === 'closed') return;
    for (const [local, sender] of this.#senders) {
      if (locals.has(local)) void sender.replaceTrack(local.mediaStreamTrack).catch(() => this.#fail());
      else {
        this.pc.removeTrack(sender);
        this.#senders.delete(local);
      }
    }
    for (const local of locals) {
      const media = local.mediaStreamTrack;
      // The other one learns of a track from the server, and by the server's name for it.
      if (!media || !local.id || this.#senders.has(local)) continue;
      this.#senders.set(local, this.pc.addTrack(media));
    }
  }

  /** The track that an m-line brings. @param {string} mid */
  carried(mid) {
    return this.#owner.roster.find(this.#theirs[mid] ?? '');
  }

  /** The track that an m-line takes. @param {string} mid */
  sent(mid) {
    return [...this.#senders].find(([, sender]) => this.#lineOf(sender)?.mid === mid)?.[0] ?? null;
  }

  close() {
    if (this.#stage === 'closed') return;
    this.#stage = 'closed';
    this.#owner.platform.clearTimeout(this.#timer);
    for (const track of this.#remotes) this.#show(track, null);
    if (this.#channel) this.#channel.onclose = null;
    this.pc.onconnectionstatechange = null;
    this.pc.close();
    this.#owner.changed();
  }

  get #remotes() {
    return [...this.#owner.roster.participants.values()].flatMap(({ tracks }) => [...tracks.values()]);
  }

  /** The polite one begins when the other one has: then both share m-lines, and offers do not meet. */
  #begin() {
    if (this.#begun) return;
    this.#begun = true;
    const channel = (this.#channel = this.pc.createDataChannel('', { negotiated: true, id: 0 }));
    // Closes at once when the other side does, where media would only be missed.
    channel.onclose = () => this.#fail();
    channel.onmessage = ({ data }) => {
      if (data) return this.#withhold(JSON.parse(data));
      this.#released = true;
      this.#look();
    };
    this.sync();
  }

  async #offer() {
    this.#offering = true;
    try {
      await this.pc.setLocalDescription();
      this.#describe();
    } catch {
      this.#fail();
    } finally {
      this.#offering = false;
    }
  }

  #describe() {
    const lines = [...this.#senders].map(([{ id }, sender]) => [this.#lineOf(sender)?.mid, id]);
    const tracks = Object.fromEntries(lines.filter(([mid]) => mid));
    this.#say({ description: /** @type {RTCSessionDescription} */ (this.pc.localDescription), tracks });
    for (const [local, sender] of this.#senders) {
      const parameters = sender.getParameters();
      const maxBitrate = local.encodings.at(-1)?.maxBitrate;
      if (!maxBitrate || !parameters.encodings[0] || parameters.encodings[0].maxBitrate === maxBitrate) continue;
      parameters.encodings[0].maxBitrate = maxBitrate;
      sender.setParameters(parameters).catch(() => {}); // a worse bitrate, no failure
    }
  }

  /** @param {RTCIceCandidateInit} candidate */
  #gather(candidate) {
    if (this.#candidates.push(candidate) > 1) return;
    this.#owner.platform.setTimeout(() => this.#say({ candidates: this.#candidates.splice(0) }), GATHER_MS);
  }

  /** @param {Word} word */
  #say(word) {
    const said = this.#owner.request('direct_signal', { epoch: this.#epoch, payload: JSON.stringify(word) });
    // `no_direct`: it has ended meanwhile, which comes as an event.
    said.catch(({ code }) => code === 'no_direct' || this.#fail());
  }

  /** @param {Word} word */
  async #hear({ description, tracks = {}, candidates = [] }) {
    const { pc } = this;
    if (description) {
      const isOffer = description.type === 'offer';
      if (isOffer && !this.#polite && (this.#offering || pc.signalingState !== 'stable')) return;
      this.#hearing = true;
      this.#begin();
      await pc.setRemoteDescription(description);
      if (isOffer) await pc.setLocalDescription();
      this.#hearing = false;
      if (isOffer) this.#describe();
      await this.#note(tracks);
    }
    // Those of an offer that was passed over belong to nothing.
    for (const candidate of candidates) await pc.addIceCandidate(candidate).catch(() => {});
  }

  /** @param {Record<string, string>} tracks */
  async #note(tracks) {
    for (const [mid, id] of Object.entries(tracks)) {
      const line = this.#line(mid);
      if (this.#theirs[mid] !== id && line) this.#before.set(mid, await progress(line.receiver));
    }
    this.#theirs = tracks;
  }

  /** Looks what has come, and what follows. */
  #look() {
    const { platform } = this.#owner;
    platform.clearTimeout(this.#timer);
    if (this.#stage === 'closed') return;
    const look = async () => {
      if (this.#stage === 'ending') await this.#return();
      else await this.#advance();
      this.#look();
    };
    this.#timer = platform.setTimeout(() => void look().catch(() => this.#fail()), this.#stage === 'on' ? LOOK_MS.later : LOOK_MS.soon);
  }

  /** The other one does not want these. @param {string[]} ids */
  #withhold(ids) {
    for (const [{ id }, sender] of this.#senders) {
      const parameters = sender.getParameters();
      for (const encoding of parameters.encodings) encoding.active = !ids.includes(id ?? '');
      sender.setParameters(parameters).catch(() => {}); // it comes in vain
    }
  }

  /** What nobody looks at or wants to hear comes no more, this way either. */
  #want() {
    const unwanted = JSON.stringify(this.#remotes.filter((track) => !isWanted(track)).map(({ id }) => id));
    if (unwanted === this.#unwanted || this.#channel?.readyState !== 'open') return;
    this.#unwanted = unwanted;
    this.#channel.send(unwanted);
  }

  /** Shows what has come this way, and says so when that is everything. */
  async #advance() {
    this.#want();
    let count = 0;
    for (const mid of Object.keys(this.#theirs)) {
      const [track, receiver] = [this.carried(mid), this.#line(mid)?.receiver];
      if (!track || !receiver) continue;
      const now = await progress(receiver);
      count += now;
      if (this.#stage !== 'trying' && this.#stage !== 'on') return;
      if (track.direct !== receiver.track && now >= (this.#before.get(mid) ?? 0) + ENOUGH) this.#show(track, receiver.track);
    }
    const live = this.#remotes.filter((track) => !track.muted && isWanted(track));
    if (this.#stage === 'trying' && !this.#told && this.pc.connectionState === 'connected' && live.every(({ direct }) => direct)) {
      this.#told = true;
      this.#tell('connected');
    }
    const now = this.#owner.platform.now();
    const speaks = live.some(({ source, direct }) => direct && /camera|microphone/.test(source));
    if (count !== this.#heard.count || !speaks) this.#heard = { count, at: now };
    else if (this.#stage === 'on' && now - this.#heard.at > SILENCE_MS) this.#fail();
  }

  /** @param {string} reason */
  #end(reason) {
    if (this.#stage === 'ending') return;
    const was = this.#stage;
    this.#stage = 'ending';
    this.reason = reason;
    this.#until = this.#owner.platform.now() + RETURN_MS_MAX;
    this.#before.clear();
    if (was === 'trying') for (const track of this.#remotes) this.#show(track, null); // the server never ceased
    this.#look();
  }

  /** Shows what has come from the server again; the other one may need this connection for longer. */
  async #return() {
    const lines = this.#owner.peer.pc.getTransceivers();
    for (const track of this.#remotes.filter(({ direct }) => direct)) {
      const receiver = lines.find(({ mid }) => mid !== null && mid === track.mid)?.receiver;
      const now = receiver ? await progress(receiver) : 0;
      if (!this.#before.has(track.id)) this.#before.set(track.id, now);
      if (track.muted || !isWanted(track) || now >= (this.#before.get(track.id) ?? 0) + ENOUGH) this.#show(track, null);
    }
    if (this.#owner.platform.now() > this.#until) return this.close();
    if (this.#remotes.some(({ direct }) => direct)) return;
    if (this.#channel?.readyState !== 'open') return this.close();
    if (!this.#back) {
      this.#back = true;
      this.#channel.send('');
      this.#owner.changed();
    }
    if (this.#released) this.close();
  }

  /** @param {RemoteTrack} track @param {MediaStreamTrack | null} media */
  #show(track, media) {
    if (track.direct === media) return;
    const had = track.mediaStreamTrack;
    track.go(media);
    // Whoever attached it sees and hears it go on: another way is no event, media or none is.
    if (!had === !track.mediaStreamTrack) return;
    this.#owner.emit(had ? 'trackended' : 'track', { participant: track.participant, track });
  }

  #fail() {
    if (this.#stage === 'trying' || this.#stage === 'on') this.#tell('failed');
    else if (this.#stage === 'ending') this.#look();
  }

  /** @param {'connected' | 'failed'} state */
  #tell(state) {
    // Without the server there is nothing to fall back to; its return begins anew.
    this.#owner.request('direct_state', { epoch: this.#epoch, state }).catch(() => {});
  }

  /** @param {string} mid */
  #line(mid) {
    return this.pc.getTransceivers().find((line) => line.mid === mid);
  }

  /** @param {RTCRtpSender} sender */
  #lineOf(sender) {
    return this.pc.getTransceivers().find((line) => line.sender === sender);
  }
}

/** @param {RemoteTrack} track */
function isWanted(track) {
  const { quality, visible } = track.preference();
  return quality !== 'off' && visible !== false;
}

/** Decoded frames, or packets of sound: how far a receiver has come. @param {RTCRtpReceiver} receiver */
async function progress(receiver) {
  for (const row of (await receiver.getStats()).values()) {
    if (row.type === 'inbound-rtp') return (row.kind === 'video' ? row.framesDecoded : row.packetsReceived) ?? 0;
  }
  return 0;
}
