/** What can be said without the server: browser, codecs, devices, screen, recorder. */

import { h } from '../app/dom.js';
import { fromDevices } from '../sdk/index.js';
import { pause } from './card.js';
import { text } from './strings.js';

/** @typedef {import('./card.js').Result} Result */
/** @typedef {import('./card.js').Card} Card */
/** @typedef {import('../app/media.js').Media} Media */

/** Without these there is no call. */
const NEEDED = { RTCPeerConnection: 'WebRTC', WebSocket: 'WebSocket', MediaStream: 'media streams' };
const USED = /** @type {Record<string, () => boolean>} */ ({
  'choosing a speaker': () => 'setSinkId' in HTMLMediaElement.prototype,
  'sharing a screen': () => Boolean(navigator.mediaDevices?.getDisplayMedia),
  'recording': () => 'MediaRecorder' in globalThis,
  'picture-in-picture': () => Boolean(document.pictureInPictureEnabled),
  'simulcast': () => 'RTCRtpSender' in globalThis && 'setParameters' in RTCRtpSender.prototype,
  'counting frames': () => 'requestVideoFrameCallback' in HTMLVideoElement.prototype,
});
const LISTEN_MS = 1_500;
/** Quieter than this is nothing: −54 dBFS. */
const LEVEL_MIN = 0.1;

/** @returns {Promise<Result>} */
export async function browser() {
  const missing = Object.entries(NEEDED).filter(([name]) => !(name in globalThis)).map(([, what]) => what);
  const without = Object.entries(USED).filter(([, has]) => !has()).map(([what]) => what);
  const { userAgent, language, hardwareConcurrency } = navigator;
  const connection = /** @type {any} */ (navigator).connection;
  const figures = { userAgent, language, cores: hardwareConcurrency, secure: isSecureContext, network: connection?.effectiveType ?? null, screen: `${screen.width}×${screen.height}`, pixelRatio: devicePixelRatio, missing, without };
  if (missing.length) return { state: 'bad', said: text.browser.missing(missing.join(', ')), figures };
  if (!isSecureContext) return { state: 'bad', said: text.browser.insecure, figures };
  if (without.length) return { state: 'warn', said: text.browser.limited(without.join(', ')), figures };
  return { state: 'ok', said: text.browser.fine, figures };
}

/** @returns {Promise<Result>} */
export async function codecs() {
  const list = (/** @type {'RTCRtpSender' | 'RTCRtpReceiver'} */ side, /** @type {'audio' | 'video'} */ kind) =>
    (globalThis[side].getCapabilities(kind)?.codecs ?? []).map(({ mimeType, sdpFmtpLine }) => ({ codec: mimeType.split('/')[1], parameters: sdpFmtpLine ?? '' }));
  const names = (/** @type {{codec: string}[]} */ all) => [...new Set(all.map(({ codec }) => codec))].filter((name) => /vp8|vp9|h264|av1|h265/i.test(name)).join(', ');
  const figures = { sends: { audio: list('RTCRtpSender', 'audio'), video: list('RTCRtpSender', 'video') }, plays: { audio: list('RTCRtpReceiver', 'audio'), video: list('RTCRtpReceiver', 'video') } };
  const plays = names(figures.plays.video);
  return { state: plays ? 'ok' : 'bad', said: plays ? text.codecs.list(names(figures.sends.video), plays) : text.codecs.none, figures };
}

/**
 * Opens camera and microphone, shows both, and looks whether anything comes of them.
 * @param {Media} media
 */
export function devices(media) {
  const video = h('video', { class: 'self', muted: true, autoplay: true, playsInline: true, hidden: true, tabIndex: -1 });
  const level = h('div', { class: 'level', role: 'meter', 'aria-label': text.devices.level, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': 0, hidden: true }, h('span'));
  /** @type {(() => void) | null} */
  let stop = null;
  const run = async () => {
    await media.open({ audio: true, video: true });
    const { camera, microphone } = media.tracks;
    video.hidden = !camera;
    level.hidden = !microphone;
    video.srcObject = camera && new MediaStream([camera]);
    let loudest = 0;
    stop?.();
    stop = media.meter((value) => {
      loudest = Math.max(loudest, value);
      level.style.setProperty('--level', value.toFixed(3));
      level.setAttribute('aria-valuenow', String(Math.round(value * 100)));
    });
    await pause(LISTEN_MS);
    const { camera: noCamera, microphone: noMicrophone } = media.errors;
    const errors = [...new Set([noMicrophone, noCamera].filter((error) => error !== null))];
    const hints = errors.map((error) => `${error.message} ${error.hint}`);
    if (camera && !video.videoWidth) hints.push(text.devices.black);
    if (microphone && loudest < LEVEL_MIN) hints.push(text.devices.silent);
    const works = [camera, microphone].flatMap((track) => (track ? [track.label] : []));
    const settings = (/** @type {MediaStreamTrack | null} */ track) => track && { label: track.label, ...pick(track.getSettings()) };
    const count = Object.fromEntries(Object.entries(media.devices).map(([kind, list]) => [kind, list.length]));
    const figures = { camera: settings(camera), microphone: settings(microphone), loudest, count, errors: errors.map((error) => error.toJSON()) };
    const state = !works.length ? 'bad' : hints.length ? 'warn' : 'ok';
    return /** @type {Result} */ ({ state, said: works.length ? text.devices.found(works.join(', ')) : '', hints, figures });
  };
  return { run, elements: [video, level] };
}

/** The settings that say something and identify nothing. @param {MediaTrackSettings} settings */
function pick({ width, height, frameRate, sampleRate, channelCount, echoCancellation, noiseSuppression, autoGainControl }) {
  return { width, height, frameRate, sampleRate, channelCount, echoCancellation, noiseSuppression, autoGainControl };
}

/** Three notes from the chosen speaker. @param {string} sink its id; empty: the default one */
export async function playNotes(sink) {
  const audio = new AudioContext();
  const out = audio.createMediaStreamDestination();
  const element = new Audio();
  element.srcObject = out.stream;
  if (sink && 'setSinkId' in element) await element.setSinkId(sink);
  await element.play();
  [523, 659, 784].forEach((frequency, i) => {
    const gain = audio.createGain();
    const at = audio.currentTime + 0.1 + i * 0.28;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.25, at + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.001, at + 0.4);
    const note = Object.assign(audio.createOscillator(), { type: 'triangle' });
    note.frequency.value = frequency;
    note.connect(gain).connect(out);
    note.start(at);
    note.stop(at + 0.45);
  });
  await pause(1_500);
  element.srcObject = null;
  await audio.close();
}

/** @returns {Promise<Result>} */
export async function shareScreen() {
  if (!navigator.mediaDevices?.getDisplayMedia) return { state: 'skip', said: text.screen.unsupported };
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: true, audio: true });
    const [track] = stream.getVideoTracks();
    const { width, height, displaySurface } = track.getSettings();
    const figures = { width, height, displaySurface, sound: stream.getAudioTracks().length > 0 };
    for (const each of stream.getTracks()) each.stop();
    return { state: 'ok', said: text.screen.works(`${width}×${height}`), figures };
  } catch (cause) {
    const error = fromDevices(cause);
    const refused = error.code === 'permission_denied';
    return { state: refused ? 'warn' : 'bad', said: refused ? text.screen.refused : error.message, hints: refused ? [] : [error.hint], figures: { error: error.toJSON() } };
  }
}

/** @returns {Promise<Result>} */
export async function recorder() {
  if (!('MediaRecorder' in globalThis)) return { state: 'warn', said: text.recorder.missing };
  const types = ['video/mp4;codecs=avc1,mp4a.40.2', 'video/webm;codecs=vp9,opus', 'video/webm;codecs=vp8,opus'].filter((type) => MediaRecorder.isTypeSupported(type));
  const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
  const c = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const timer = setInterval(() => {
    c.fillStyle = `hsl(${performance.now() / 5} 60% 50%)`;
    c.fillRect(0, 0, 320, 180);
  }, 50);
  const [type] = types;
  const recording = new MediaRecorder(canvas.captureStream(20), type ? { mimeType: type } : {});
  let bytes = 0;
  recording.ondataavailable = ({ data }) => void (bytes += data.size);
  recording.start();
  await pause(1_000);
  const ended = new Promise((resolve) => recording.addEventListener('stop', resolve, { once: true }));
  recording.stop();
  await ended;
  clearInterval(timer);
  for (const track of recording.stream.getTracks()) track.stop();
  const figures = { types, bytes };
  return bytes ? { state: 'ok', said: text.recorder.works(recording.mimeType, bytes), figures } : { state: 'bad', said: text.recorder.empty, figures };
}
