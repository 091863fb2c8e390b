/** A picture that shows the time in black and white, and beeps: what comes back tells how long it took. */

const BITS = 24;
const CELL = 16;
const HEIGHT = 240;
/** The first two cells are white and black, always: a picture without them is none of ours. */
const CELLS = BITS + 2;
const BEEP_EVERY_MS = 1_000;
const BEEP_MS = 150;
const BEEP_HZ = 880;
/** As loud as this on the scale of an AnalyserNode, in dB: the beep has come. */
const HEARD_DB = -50;

/** A camera's stand-in. */
export function clock() {
  const canvas = Object.assign(document.createElement('canvas'), { width: CELLS * CELL, height: HEIGHT });
  const c = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const draw = () => {
    const time = Math.round(performance.now()) % 2 ** BITS;
    for (let i = 0; i < CELLS; i++) {
      const white = i === 0 || (i > 1 && (time >> (i - 2)) & 1);
      c.fillStyle = white ? '#fff' : '#000';
      c.fillRect(i * CELL, 0, CELL, HEIGHT);
    }
  };
  draw();
  const timer = setInterval(draw, 33);
  const [track] = canvas.captureStream(30).getVideoTracks();
  return {
    track,
    stop: () => {
      clearInterval(timer);
      track.stop();
    },
  };
}

/** Reads the clock in every frame that is shown; what is given back are the delays in ms. @param {HTMLVideoElement} video */
export function readClock(video) {
  const canvas = Object.assign(document.createElement('canvas'), { width: CELLS, height: 1 });
  const c = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
  /** @type {number[]} */
  const delays = [];
  let live = true;
  const look = () => {
    if (!live) return;
    const now = Math.round(performance.now()) % 2 ** BITS;
    c.drawImage(video, 0, 0, CELLS, 1);
    const time = decode(c.getImageData(0, 0, CELLS, 1).data);
    if (time !== null && now >= time) delays.push(now - time);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  return {
    stop: () => {
      live = false;
      return delays;
    },
  };
}

/**
 * The time in a row of cells; `null`: it shows none.
 * @param {ArrayLike<number>} pixels red, green, blue and opacity of each cell
 */
export function decode(pixels) {
  const bits = Array.from({ length: CELLS }, (_, i) => pixels[i * 4]);
  if (bits[0] < 170 || bits[1] > 85) return null;
  return bits.slice(2).reduce((time, bit, i) => (bit > 127 ? time + 2 ** i : time), 0);
}

/** A microphone's stand-in; `times`: when it beeped. */
export function beeps() {
  const audio = new AudioContext();
  const out = audio.createMediaStreamDestination();
  const gain = audio.createGain();
  const tone = audio.createOscillator();
  gain.gain.value = 0;
  tone.frequency.value = BEEP_HZ;
  tone.connect(gain).connect(out);
  tone.start();
  /** @type {number[]} */
  const times = [];
  const timer = setInterval(() => {
    gain.gain.setValueAtTime(0.5, audio.currentTime);
    gain.gain.setValueAtTime(0, audio.currentTime + BEEP_MS / 1000);
    times.push(performance.now());
  }, BEEP_EVERY_MS);
  return {
    track: out.stream.getAudioTracks()[0],
    times,
    stop: () => {
      clearInterval(timer);
      void audio.close();
    },
  };
}

/**
 * Listens for the beeps; what is given back are the delays in ms.
 * @param {MediaStreamTrack} track
 * @param {number[]} times when they were sent
 */
export function hearBeeps(track, times) {
  const audio = new AudioContext();
  const analyser = Object.assign(audio.createAnalyser(), { fftSize: 512, smoothingTimeConstant: 0 });
  audio.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  const bin = Math.round((BEEP_HZ * analyser.fftSize) / audio.sampleRate);
  /** @type {number[]} */
  const delays = [];
  let loud = false;
  const timer = setInterval(() => {
    analyser.getFloatFrequencyData(bins);
    const now = Math.max(...bins.slice(Math.max(0, bin - 1), bin + 2)) > HEARD_DB;
    const sent = times.at(-1);
    if (now && !loud && sent !== undefined) delays.push(performance.now() - sent);
    loud = now;
  }, 5);
  return {
    stop: () => {
      clearInterval(timer);
      void audio.close();
      return delays;
    },
  };
}
