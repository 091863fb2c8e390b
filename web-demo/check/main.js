/** The diagnostics page: checks one after the other, and their result as one JSON. */

import { copy, h } from '../app/dom.js';
import { brand } from '../app/lobby.js';
import { Media, remembered } from '../app/media.js';
import { toast } from '../app/notices.js';
import { applyTheme, deviceFields } from '../app/settings.js';
import { Card } from './card.js';
import { browser, codecs, devices, playNotes, recorder, shareScreen } from './here.js';
import { text } from './strings.js';
import { Echo, paths, server } from './there.js';

applyTheme(remembered('theme') || 'auto');
const media = new Media({ width: 1280, height: 720 });
const opened = devices(media);
const fields = deviceFields(media, (choice) => {
  if (choice !== 'speaker') void media.start(choice).then(() => cards.devices.run(), () => {});
});
const back = h('video', { muted: true, autoplay: true, playsInline: true, hidden: true, tabIndex: -1, 'aria-hidden': 'true' });
/** @type {Echo | null} */
let echo = null;

const cards = {
  browser: new Card('browser', text.browser.name, browser),
  codecs: new Card('codecs', text.codecs.name, codecs),
  server: new Card('server', text.server.name, server),
  paths: new Card('paths', text.paths.name, paths),
  devices: new Card('devices', text.devices.name, opened.run, fields.element, ...opened.elements),
  echo: new Card('echo', text.echo.name, async () => {
    back.hidden = false;
    echo = new Echo(back);
    return echo.run();
  }, back),
  data: new Card('data', text.data.name, async () => {
    const result = echo ? await echo.messages() : /** @type {import('./card.js').Result} */ ({ state: 'skip', said: '' });
    await echo?.close();
    back.hidden = true;
    return result;
  }),
  recorder: new Card('recorder', text.recorder.name, recorder),
};
/** These ask people something. */
const asking = {
  speaker: new Card('speaker', text.speaker.name, async () => {
    await playNotes(media.chosen('speaker'));
    return { state: 'ok', said: text.speaker.hint };
  }, button(text.speaker.play, () => void asking.speaker.run())),
  screen: new Card('screen', text.screen.name, shareScreen, h('p', { class: 'faint' }, text.screen.hint), button(text.screen.start, () => void asking.screen.run())),
};

const verdict = h('p', { class: 'verdict', role: 'status', hidden: true });
const run = h('button', { type: 'button', class: 'primary', id: 'run', onclick: () => void runAll() }, text.run);
const keep = h('div', { class: 'row', hidden: true }, button(text.copy, () => void copyReport()), button(text.save, saveReport));
const app = /** @type {HTMLElement} */ (document.getElementById('app'));
app.append(
  h(
    'div',
    { class: 'checks' },
    brand(),
    h('header', {}, h('h1', {}, text.title), h('p', { class: 'faint' }, text.lead), h('div', { class: 'row' }, run, h('a', { class: 'quiet', href: '/' }, text.toCall))),
    verdict,
    keep,
    ...[...Object.values(cards), ...Object.values(asking)].map(({ element }) => element),
  ),
);
Object.assign(globalThis, { __check: { report, runAll } });
if (new URLSearchParams(location.search).has('run')) await runAll();

async function runAll() {
  run.disabled = true;
  run.textContent = text.running;
  for (const card of Object.values(cards)) await card.run();
  run.disabled = false;
  run.textContent = text.again;
  const states = Object.values(cards).map(({ result }) => result.state);
  const state = states.includes('bad') ? 'bad' : states.includes('warn') ? 'warn' : 'ok';
  verdict.hidden = keep.hidden = false;
  verdict.className = `verdict ${state}`;
  verdict.textContent = text.verdict[state];
}

/** Without addresses, keys and ids of devices. */
function report() {
  const results = Object.fromEntries([...Object.values(cards), ...Object.values(asking)].map(({ key, result }) => [key, result]));
  return { page: 'sfu check', version: 1, at: new Date().toISOString(), results };
}

async function copyReport() {
  toast((await copy(JSON.stringify(report(), null, 1))) ? text.copied : text.copyFailed);
}

function saveReport() {
  const link = h('a', { href: URL.createObjectURL(new Blob([JSON.stringify(report(), null, 1)], { type: 'application/json' })), download: 'sfu-check.json' });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** @param {string} label @param {() => void} onclick */
function button(label, onclick) {
  return h('button', { type: 'button', class: 'quiet small', onclick }, label);
}
