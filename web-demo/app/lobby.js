/** Before the call: name, devices, a look at oneself. */

import { h, icon, iconButton, copy, setButton } from './dom.js';
import { remember, remembered } from './media.js';
import { deviceNotice, toast } from './notices.js';
import { roomLink } from './params.js';
import { deviceFields } from './settings.js';
import { strings } from './strings.js';
import { hue, initials } from './tiles.js';

/** @typedef {import('./media.js').Media} Media */
/** @typedef {import('./params.js').Params} Params */

/**
 * @param {Params} params
 * @param {Media} media
 * @param {(name: string) => void} join
 */
export function lobby(params, media, join) {
  const video = h('video', { muted: true, autoplay: true, playsInline: true });
  const avatar = h('div', { class: 'avatar', 'aria-hidden': 'true' });
  const level = h('div', { class: 'level', role: 'meter', 'aria-label': strings.lobby.level, 'aria-valuemin': 0, 'aria-valuemax': 100 }, h('span'));
  const camera = iconButton('camera', strings.controls.cameraOff, () => toggle('camera'), { id: 'lobby-camera' });
  const mic = iconButton('mic', strings.controls.muteMic, () => toggle('microphone'), { id: 'lobby-mic' });
  const name = h('input', {
    id: 'name', type: 'text', required: true, maxLength: 60, autocomplete: 'nickname',
    placeholder: strings.lobby.namePlaceholder, value: params.name ?? remembered('name'), oninput: () => drawName(),
  });
  const button = h('button', { type: 'submit', class: 'primary', id: 'join' }, strings.lobby.join);
  const notices = h('div', { class: 'notices' });
  const asking = h('p', { class: 'faint asking' }, strings.lobby.askingDevices);
  const fields = deviceFields(media, (choice) => {
    if (choice !== 'speaker' && media.tracks[choice]) void media.start(choice).catch(() => {});
  });

  const preview = h('div', { class: 'preview tile own' }, avatar, video, h('div', { class: 'preview-controls' }, mic, camera), level);
  const form = h(
    'form',
    { onsubmit: submit },
    h('h1', {}, strings.lobby.heading),
    h('p', { class: 'room-name' }, h('span', { class: 'faint' }, strings.lobby.room), h('strong', {}, params.room), copyButton(params.room)),
    h('div', { class: 'field' }, h('label', { for: 'name' }, strings.lobby.name), name),
    fields.element,
    notices,
    button,
    h('a', { class: 'faint', href: '/test', target: '_blank', rel: 'noopener' }, strings.lobby.check),
  );
  const element = h('div', { class: 'lobby' }, brand(), h('div', { class: 'card lobby-card' }, h('div', { class: 'look' }, preview, asking), form));

  const stopMeter = media.meter((value) => {
    level.style.setProperty('--level', value.toFixed(3));
    level.setAttribute('aria-valuenow', String(Math.round(value * 100)));
  });
  const off = media.on('change', draw);
  draw();
  drawName();
  if (params.publish.audio || params.publish.video) void media.open(params.publish).finally(() => asking.remove());
  else asking.remove();

  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    const chosen = name.value.trim();
    if (!chosen) return name.focus();
    remember('name', chosen);
    button.disabled = true;
    button.textContent = strings.lobby.joining;
    join(chosen);
  }

  /** @param {import('./media.js').Device} device */
  async function toggle(device) {
    const track = media.tracks[device];
    if (track && device === 'microphone') {
      track.enabled = !track.enabled;
      draw();
    } else if (track) {
      media.stop(device);
    } else {
      await media.start(device).catch(() => {}); // the notice says why
    }
  }

  function draw() {
    const { camera: picture, microphone: sound } = media.tracks;
    if (picture && /** @type {MediaStream | null} */ (video.srcObject)?.getTracks()[0] !== picture) video.srcObject = new MediaStream([picture]);
    if (!picture) video.srcObject = null;
    preview.classList.toggle('live', picture !== null);
    setButton(camera, picture ? 'camera' : 'cameraOff', picture ? strings.controls.cameraOff : strings.controls.cameraOn, !picture);
    const hears = sound !== null && sound.enabled;
    setButton(mic, hears ? 'mic' : 'micOff', hears ? strings.controls.muteMic : strings.controls.unmuteMic, !hears);
    level.hidden = !hears;
    const errors = [...new Map(Object.values(media.errors).flatMap((error) => (error ? [[error.code, error]] : []))).values()];
    notices.replaceChildren(...errors.map((error) => deviceNotice(error, () => void media.open({ audio: !sound, video: !picture }))));
    button.textContent = errors.length && !picture && !sound ? strings.lobby.joinWithout : strings.lobby.join;
  }

  function drawName() {
    avatar.textContent = initials(name.value);
    preview.style.setProperty('--hue', String(hue(name.value)));
  }

  return {
    element,
    focus: () => name.value || name.focus(),
    close: () => {
      stopMeter();
      off();
      fields.off();
    },
  };
}

export function brand() {
  return h('div', { class: 'brand' }, h('img', { src: '/favicon.svg', alt: '', width: 28, height: 28 }), strings.brand);
}

/** @param {string} room */
export function copyButton(room) {
  return h(
    'button',
    {
      type: 'button', class: 'quiet small', title: strings.lobby.copy,
      onclick: async () => ((await copy(roomLink(room))) ? toast(strings.lobby.copied) : toast(strings.lobby.copyFailed, { bad: true })),
    },
    icon('link'),
    h('span', {}, strings.lobby.copy),
  );
}
