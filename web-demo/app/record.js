/** Records the call as one sees it, into a file: the pictures on the page, everybody's sound. */

import { layout } from './layout.js';

/** @typedef {import('../sdk/index.js').Room} Room */
/** @typedef {import('./tiles.js').Tile} Tile */

const [WIDTH, HEIGHT, FPS] = [1280, 720, 15];
const BITS = { videoBitsPerSecond: 2_500_000, audioBitsPerSecond: 96_000 };
/** What players take, best first. */
const TYPES = ['video/mp4;codecs=avc1,mp4a.40.2', 'video/webm;codecs=vp9,opus', 'video/webm;codecs=vp8,opus', 'video/webm'];

export class Recording {
  #canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
  #audio = new AudioContext();
  #mix = this.#audio.createMediaStreamDestination();
  /** @type {Map<MediaStreamTrack, MediaStreamAudioSourceNode>} */
  #heard = new Map();
  /** @type {Blob[]} the browser keeps large ones on disk */
  #parts = [];
  #recorder;
  #timer;
  #tiles;
  #sounds;

  /**
   * @param {() => Tile[]} tiles those to be seen
   * @param {() => (MediaStreamTrack | null)[]} sounds those to be heard
   */
  constructor(tiles, sounds) {
    this.#tiles = tiles;
    this.#sounds = sounds;
    const type = TYPES.find((each) => MediaRecorder.isTypeSupported(each)) ?? '';
    const stream = new MediaStream([...this.#canvas.captureStream(FPS).getVideoTracks(), ...this.#mix.stream.getAudioTracks()]);
    this.#recorder = new MediaRecorder(stream, { ...BITS, ...(type ? { mimeType: type } : {}) });
    this.#recorder.ondataavailable = ({ data }) => void this.#parts.push(data);
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), 1000 / FPS);
    this.#recorder.start(2_000);
  }

  /** Ends it. @returns {Promise<Blob>} */
  async stop() {
    const ended = new Promise((resolve) => this.#recorder.addEventListener('stop', resolve, { once: true }));
    this.#recorder.stop();
    clearInterval(this.#timer);
    await ended;
    await this.#audio.close();
    return new Blob(this.#parts, { type: this.#recorder.mimeType });
  }

  #draw() {
    this.#listen();
    const c = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext('2d'));
    c.fillStyle = '#0e1214';
    c.fillRect(0, 0, WIDTH, HEIGHT);
    const tiles = this.#tiles();
    const large = tiles.find(({ element }) => element.classList.contains('large'));
    const others = tiles.filter((tile) => tile !== large);
    const { stage, cells } = layout(others.length, WIDTH, HEIGHT, large !== undefined);
    if (large && stage) drawTile(c, large, stage, true);
    others.forEach((tile, i) => cells[i] && drawTile(c, tile, cells[i], tile.screen));
  }

  /** Sound comes and goes with people. */
  #listen() {
    const now = new Set(this.#sounds().filter((track) => track?.readyState === 'live'));
    for (const [track, node] of this.#heard) {
      if (now.has(track)) continue;
      node.disconnect();
      this.#heard.delete(track);
    }
    for (const track of now) {
      if (!track || this.#heard.has(track)) continue;
      const node = this.#audio.createMediaStreamSource(new MediaStream([track]));
      node.connect(this.#mix);
      this.#heard.set(track, node);
    }
  }
}

/**
 * @param {CanvasRenderingContext2D} c
 * @param {Tile} tile
 * @param {import('./layout.js').Rect} rect
 * @param {boolean} whole or cut to fill its place
 */
function drawTile(c, { video, live, name, label }, { x, y, w, h }, whole) {
  c.save();
  c.beginPath();
  c.rect(x, y, w, h);
  c.clip();
  c.fillStyle = '#20282c';
  c.fillRect(x, y, w, h);
  c.textAlign = 'center';
  if (live) {
    const { videoWidth, videoHeight } = video;
    const scale = Math[whole ? 'min' : 'max'](w / videoWidth, h / videoHeight);
    const [vw, vh] = [videoWidth * scale, videoHeight * scale];
    c.drawImage(video, x + (w - vw) / 2, y + (h - vh) / 2, vw, vh);
  } else {
    c.fillStyle = '#e8eef0';
    c.font = '600 28px sans-serif';
    c.fillText(name, x + w / 2, y + h / 2, w - 16);
  }
  c.textAlign = 'left';
  c.font = '15px sans-serif';
  c.fillStyle = '#0009';
  c.fillRect(x, y + h - 26, Math.min(w, c.measureText(label).width + 20), 26);
  c.fillStyle = '#fff';
  c.fillText(label, x + 10, y + h - 9, w - 20);
  c.restore();
}

/** @param {Blob} blob @param {string} name without ending */
export function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${name}.${blob.type.includes('mp4') ? 'mp4' : 'webm'}`;
  link.click();
  // The browser reads it after the click; how long that takes nobody says.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
