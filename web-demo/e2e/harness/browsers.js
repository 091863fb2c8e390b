/**
 * Debian's Chromium and Firefox ESR, headless, with fake cameras and microphones.
 */

import { existsSync } from 'node:fs';
import puppeteer from 'puppeteer-core';
import { own } from './process.js';

/** @typedef {import('puppeteer-core').Browser} Browser */
/** @typedef {'chromium' | 'firefox'} Engine */

const CHROMIUM = process.env.SFU_CHROMIUM ?? '/usr/bin/chromium';
const FIREFOX = process.env.SFU_FIREFOX ?? '/usr/bin/firefox-esr';

/** How long a browser may take to start, or to answer one command, in ms. */
const PATIENCE = 60_000;

const CHROMIUM_FLAGS = [
  // Fake devices that beep and count, and no questions about them. The second camera measures depth.
  '--use-fake-device-for-media-stream=device-count=3',
  '--use-fake-ui-for-media-stream',
  '--auto-select-desktop-capture-source=Entire screen',
  '--autoplay-policy=no-user-gesture-required',
  '--mute-audio',
  // Root and most containers have no sandbox to offer; the only pages opened are ours.
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  // Nothing but the tests uses the network or the processor.
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-default-apps',
  '--disable-extensions',
  '--no-default-browser-check',
  '--no-first-run',
  // All participants but one are background tabs.
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
  // A host candidate is an address, also before a camera is granted (a viewer has none).
  '--disable-features=WebRtcHideLocalIpsWithMdns,Translate,MediaRouter,OptimizationHints',
];

const FIREFOX_PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'permissions.default.camera': 1,
  'permissions.default.microphone': 1,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  // A host candidate is an address, also before a camera is granted.
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.peerconnection.ice.loopback': true,
  // H.264 comes as a plugin from the network; the tests do without.
  'media.gmp-manager.updateEnabled': false,
  'media.gmp-gmpopenh264.autoupdate': false,
  // Nothing but the tests uses the network or the processor.
  'app.normandy.enabled': false,
  'app.update.enabled': false,
  'browser.safebrowsing.downloads.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'datareporting.healthreport.uploadEnabled': false,
  'dom.ipc.processPriorityManager.enabled': false,
  'dom.min_background_timeout_value': 4,
  'dom.timeout.enable_budget_timer_throttling': false,
  'extensions.getAddons.cache.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,none',
  'toolkit.telemetry.enabled': false,
  'widget.windows.window_occlusion_tracking.enabled': false,
};

/**
 * @param {Engine} engine
 * @param {{flags?: string[], link?: import('./netns.js').Link}} [options] `flags`: more command-line
 *   flags; `link`: the network it runs in (Chromium only)
 * @returns {Promise<Browser>}
 */
export async function launch(engine, { flags = [], link } = {}) {
  const program = engine === 'chromium' ? CHROMIUM : FIREFOX;
  if (!existsSync(program)) {
    throw new Error(`${program} is missing: run \`cargo xtask browsers\``);
  }
  // Orders come by pipe where the browser's loopback is not ours.
  const executablePath = link ? link.wrap(program) : program;
  const common = { executablePath, pipe: Boolean(link), headless: true, timeout: PATIENCE, protocolTimeout: PATIENCE };
  const browser = await (engine === 'chromium'
    ? puppeteer.launch({ ...common, browser: 'chrome', args: [...CHROMIUM_FLAGS, ...flags] })
    : puppeteer.launch({
        ...common,
        browser: 'firefox',
        args: flags,
        extraPrefsFirefox: FIREFOX_PREFERENCES,
      }));
  const child = browser.process();
  if (child) own(child);
  return browser;
}
