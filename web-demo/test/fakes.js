/** A browser's WebRTC and WebSocket, and a server behind them, as far as the library can tell. */

/** A clock that moves only when told. */
export class Clock {
  now = 0;
  #next = 1;
  #timers = new Map();

  setTimeout = (callback, ms) => {
    const id = this.#next++;
    this.#timers.set(id, { at: this.now + ms, callback });
    return id;
  };

  clearTimeout = (id) => this.#timers.delete(id);

  /** Runs what is due within `ms`, in order, letting promises settle in between. */
  async advance(ms) {
    const end = this.now + ms;
    for (;;) {
      await settle();
      const [id, due] = [...this.#timers].sort((a, b) => a[1].at - b[1].at)[0] ?? [];
      if (id === undefined || due.at > end) break;
      this.#timers.delete(id);
      this.now = Math.max(this.now, due.at);
      due.callback();
    }
    this.now = end;
    await settle();
  }
}

/** Lets everything that waits on promises go on. */
export async function settle() {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

export class FakeTrack extends EventTarget {
  static #next = 1;
  enabled = true;
  readyState = 'live';
  constructor(kind, settings = {}) {
    super();
    this.kind = kind;
    this.id = `media${FakeTrack.#next++}`;
    this.settings = settings;
  }
  getSettings() {
    return this.settings;
  }
  end() {
    this.readyState = 'ended';
    this.dispatchEvent(new Event('ended'));
  }
}

export class FakeStream {
  tracks = new Set();
  addTrack(track) {
    this.tracks.add(track);
  }
  removeTrack(track) {
    this.tracks.delete(track);
  }
}

class FakeChannel {
  readyState = 'connecting';
  bufferedAmount = 0;
  sent = [];
  constructor(label) {
    this.label = label;
  }
  send(data) {
    this.sent.push(data);
  }
}

export class FakeTransceiver {
  /** Whether the engine refuses to change how a stream is layered while it sends. */
  static fixedModes = false;
  mid = null;
  currentDirection = null;
  #direction;
  constructor(kind, track, init) {
    this.kind = kind;
    this.#direction = init.direction ?? 'sendrecv';
    this.receiver = { track: new FakeTrack(kind) };
    this.sender = {
      track,
      encodings: init.sendEncodings ?? [{}],
      replaceTrack: async (next) => void (this.sender.track = next),
      getParameters: () => ({ encodings: this.sender.encodings.map((each) => ({ ...each })) }),
      setParameters: async ({ encodings }) => {
        this.sender.changes++;
        if (FakeTransceiver.fixedModes && encodings.some((each, i) => each.scalabilityMode !== this.sender.encodings[i].scalabilityMode)) throw new Error('InvalidModificationError');
        this.sender.encodings = encodings;
      },
      changes: 0,
    };
  }
  get direction() {
    return this.#direction;
  }
  set direction(direction) {
    if (this.#direction === 'stopped') throw new Error('InvalidStateError');
    this.#direction = direction;
  }
  stop() {
    this.#direction = 'stopped';
  }
}

/** Descriptions are as much SDP as the library and the fake server read: kinds, mids, directions. */
export class FakePeerConnection extends EventTarget {
  static all = [];
  /** Whether a media path comes up by itself after an answer. */
  static connects = true;
  connectionState = 'new';
  iceConnectionState = 'new';
  signalingState = 'stable';
  localDescription = null;
  onconnectionstatechange = null;
  sctp = null;
  channels = [];
  transceivers = [];
  restarts = 0;
  answers = 0;
  closed = false;
  #mids = 0;

  constructor(configuration) {
    super();
    this.configuration = configuration;
    FakePeerConnection.all.push(this);
  }
  createDataChannel(label) {
    const channel = new FakeChannel(label);
    this.channels.push(channel);
    return channel;
  }
  addTransceiver(what, init = {}) {
    const track = typeof what === 'string' ? null : what;
    const transceiver = new FakeTransceiver(track?.kind ?? what, track, init);
    this.transceivers.push(transceiver);
    return transceiver;
  }
  getTransceivers() {
    return this.transceivers.filter(({ mid, direction }) => mid !== null || direction !== 'stopped');
  }
  async createOffer() {
    const lines = this.getTransceivers().map((t) => `m=${t.kind} 9\r\na=mid:${t.mid ?? `new${this.transceivers.indexOf(t)}`}\r\na=${t.direction}\r\n`);
    return { type: 'offer', sdp: `v=0\r\na=restart:${this.restarts}\r\n${lines.join('')}` };
  }
  async setLocalDescription({ type, sdp }) {
    if (type === 'rollback') {
      for (const t of this.transceivers) if (t.currentDirection === null) t.mid = null;
      this.signalingState = 'stable';
      return;
    }
    // Mids are given with the first description that has the m-line.
    const named = sdp.replace(/a=mid:new(\d+)/g, (_, i) => {
      const t = this.transceivers[Number(i)];
      t.mid = String(this.#mids++);
      return `a=mid:${t.mid}`;
    });
    this.signalingState = 'have-local-offer';
    this.localDescription = { type, sdp: named };
  }
  async setRemoteDescription({ sdp }) {
    if (this.signalingState !== 'have-local-offer') throw new Error(`answer in ${this.signalingState}`);
    this.signalingState = 'stable';
    this.answers++;
    const rejected = new Set(/^a=rejected:(.*)$/m.exec(sdp)?.[1].split(' '));
    for (const { mid, direction } of sections(this.localDescription.sdp)) {
      const t = this.transceivers.find((each) => each.mid === mid);
      t.currentDirection = rejected.has(mid) ? 'stopped' : direction;
      if (rejected.has(mid)) t.stop();
    }
    if (FakePeerConnection.connects) setImmediate(() => this.closed || this.become('connected'));
  }
  restartIce() {
    this.restarts++;
  }
  close() {
    this.closed = true;
  }
  /** @param {string} state */
  become(state) {
    this.connectionState = state;
    this.iceConnectionState = state;
    if (state === 'connected') for (const channel of this.channels) channel.readyState = 'open';
    this.onconnectionstatechange?.();
    this.dispatchEvent(new Event('connectionstatechange'));
  }
}

/** The m-lines of one of our descriptions. */
export function sections(sdp) {
  return sdp.split(/^m=/m).slice(1).map((section) => ({
    kind: section.split(' ')[0],
    mid: /a=mid:(\S+)/.exec(section)[1],
    direction: /a=(sendonly|recvonly|sendrecv|inactive|stopped)/.exec(section)[1],
  }));
}

/** A server: answers requests by `on…` methods that tests may replace, and keeps what it was sent. */
export class FakeServer {
  /** @type {FakeSocket[]} */
  sockets = [];
  /** Every request of every connection, in order. */
  requests = [];
  participants = [];
  assigned = [];
  refuse = false;
  silent = false;
  /** Whether another WebSocket may go on where one broke. */
  resumes = false;
  /** What was sent to the participant since it joined, and its last request that was carried out. */
  sent = [];
  lastRequest = null;

  constructor() {
    FakePeerConnection.all = [];
    FakePeerConnection.connects = true;
    FakeTransceiver.fixedModes = false;
  }
  get socket() {
    return this.sockets.at(-1);
  }
  requested(type) {
    return this.requests.filter((request) => request.type === type);
  }
  /** @returns {object} the reply */
  answer(request) {
    switch (request.type) {
      case 'join':
        return { type: 'joined', room: request.room, participant: `00000000000000a${this.sockets.length}`, participants: this.participants, ...(this.resumes ? { resume_key: 'key' } : {}) };
      case 'resume':
        return this.resumes ? { type: 'resumed', last_request: this.lastRequest } : { type: 'error', code: 'no_such_session', title: 'gone' };
      case 'offer': {
        const announced = new Set(this.requested('publish').map(({ mid }) => mid));
        const sending = sections(request.sdp).filter(({ direction }) => direction === 'sendonly');
        const tracks = sending.map(({ mid }) => ({ mid, track: `${this.sockets.length}-track-${mid}${announced.has(mid) ? '' : '-unannounced'}` }));
        return { type: 'answer', sdp: 'v=0', tracks, assigned: this.assigned };
      }
      case 'prefer':
        return { type: 'ok', ignored: [] };
      case 'ping':
        return { type: 'pong' };
      default:
        return { type: 'ok' };
    }
  }
  WebSocket = ((server) =>
    class FakeSocket {
      readyState = 0;
      onmessage = null;
      onclose = null;
      /** The code that it was closed with by us. */
      closed = 0;
      /** Whether what is sent here is of the visit that may go on: its greeting is, a later one's is not. */
      #counts = server.sent.length === 0;
      constructor(url, protocol) {
        Object.assign(this, { url, protocol });
        server.sockets.push(this);
        setImmediate(() => {
          if (server.refuse) return this.drop(1006);
          this.readyState = 1;
          this.event({ type: 'hello', protocol: 'sfu.v1', version: 'test', ping_interval: 20 });
        });
      }
      send(text) {
        const request = JSON.parse(text);
        server.requests.push(request);
        if (server.silent) return;
        const reply = server.answer(request);
        if (request.type !== 'resume') server.lastRequest = request.id;
        if (reply) setImmediate(() => this.event({ ...reply, re: request.id }));
        if (reply?.type === 'resumed') setImmediate(() => this.#goOn(request.received));
      }
      /** What the client says it has not received. */
      #goOn(received) {
        this.#counts = true;
        for (const message of server.sent.splice(received)) this.event(message);
      }
      event(message) {
        if (this.#counts) server.sent.push(message);
        if (this.readyState === 1) this.onmessage?.({ data: JSON.stringify(message) });
      }
      /** The connection breaks, or the server closes it. */
      drop(code, reason = '') {
        this.readyState = 3;
        this.onclose?.({ code, reason });
      }
      close(code) {
        this.closed = code;
        this.readyState = 3;
      }
    })(this);
}

/** What a Room is given instead of a browser. */
export function surroundings(server, clock) {
  return {
    RTCPeerConnection: FakePeerConnection,
    MediaStream: FakeStream,
    WebSocket: server.WebSocket,
    setTimeout: clock.setTimeout,
    clearTimeout: clock.clearTimeout,
    now: () => clock.now,
    random: () => 0.5,
  };
}

/** A participant as the server names it. */
export function person(id, name, ...tracks) {
  return { id: id.padStart(16, '0'), name, metadata: '', tracks };
}

export function camera(track) {
  return { track, kind: 'video', source: 'camera', name: '', muted: false, encodings: 3 };
}

export function microphone(track) {
  return { track, kind: 'audio', source: 'microphone', name: '', muted: false, encodings: 1 };
}

/** A page with elements of which tests say how large they are and whether anybody sees them. */
export class FakePage extends EventTarget {
  hidden = false;
  pictureInPictureElement = null;
  /** @type {Set<{element: object, callback: Function, kind: string}>} */
  #watchers = new Set();

  constructor() {
    super();
    const page = this;
    const observer = (kind) =>
      class {
        #own = [];
        constructor(callback) {
          this.callback = callback;
        }
        observe(element) {
          const watcher = { element, callback: this.callback, kind };
          this.#own.push(watcher);
          page.#watchers.add(watcher);
        }
        disconnect() {
          for (const watcher of this.#own) page.#watchers.delete(watcher);
        }
      };
    Object.assign(globalThis, { document: this, devicePixelRatio: 2, ResizeObserver: observer('size'), IntersectionObserver: observer('sight') });
  }
  get watchers() {
    return this.#watchers.size;
  }
  /** A `<video>`. */
  video(clientWidth, clientHeight) {
    return { clientWidth, clientHeight, srcObject: null };
  }
  resize(element, clientWidth, clientHeight) {
    Object.assign(element, { clientWidth, clientHeight });
    this.#notify(element, 'size', []);
  }
  scroll(element, isIntersecting) {
    this.#notify(element, 'sight', [{ isIntersecting }]);
  }
  hide(hidden) {
    this.hidden = hidden;
    this.dispatchEvent(new Event('visibilitychange'));
  }
  #notify(element, kind, entries) {
    for (const watcher of this.#watchers) if (watcher.element === element && watcher.kind === kind) watcher.callback(entries);
  }
  close() {
    for (const name of ['document', 'devicePixelRatio', 'ResizeObserver', 'IntersectionObserver']) delete globalThis[name];
  }
}
