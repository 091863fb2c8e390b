/**
 * The server under test: the release binary on free ports, one process per scenario.
 */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { fileURLToPath } from 'node:url';
import { servePage } from './page-server.js';
import { end, own } from './process.js';
import { until } from './until.js';

const BINARY =
  process.env.SFU_BINARY ?? fileURLToPath(new URL('../../../target/release/sfu', import.meta.url));

/** The page comes from its folder, not from the binary: for work on the page alone. */
const FROM_FOLDER = Boolean(process.env.SFU_PAGE_FROM_FOLDER);

/** Characters of log kept for a failed scenario. */
const LOG_LENGTH_MAX = 4_000_000;

export class Server {
  /** @type {import('node:child_process').ChildProcess} */
  #child;
  #log = '';
  /** @type {{url: string, close: () => void} | undefined} */
  #page;
  /** Where the page is, without a slash at the end. */
  url = '';

  /** @param {import('node:child_process').ChildProcess} child */
  constructor(child) {
    this.#child = child;
    own(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => {
        this.#log = (this.#log + text).slice(-LOG_LENGTH_MAX);
      });
    }
  }

  /**
   * Starts a server and waits until it is ready.
   *
   * @param {{http?: string, advertise?: string[], flags?: string[], environment?: Record<string, string>}} [options]
   *   `http`: address and port, by default a free one; `advertise`: where media goes
   */
  static async start({ http = '127.0.0.1:0', advertise = hostAddresses(), flags = [], environment = {} } = {}) {
    if (!existsSync(BINARY)) {
      throw new Error(`${BINARY} is missing: run \`cargo build --release\``);
    }
    const advertised = advertise.flatMap((address) => ['--advertise', address]);
    const ports = ['--http-addr', http, '--udp-port', '0'];
    const child = spawn(BINARY, [...ports, ...advertised, ...flags], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const server = new Server(child);
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    try {
      await server.#ready();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  async #ready() {
    const describe = () => this.#log;
    this.url = await until('the address in the log', () => {
      const { exitCode, signalCode } = this.#child;
      if (exitCode !== null || signalCode !== null) return 'ended';
      return /http:\/\/[^\s/"']+:[1-9]\d*/.exec(this.#log)?.[0];
    }, { every: 20, describe });
    this.url = this.url.replace('0.0.0.0', '127.0.0.1');
    if (this.url === 'ended') throw new Error(`the server ended at once:\n${this.#log}`);
    const ready = async () => (await fetch(`${this.url}/readyz`)).ok;
    await until('/readyz', ready, { every: 20, describe });
    if (!FROM_FOLDER) return;
    this.#page = await servePage(this.url);
    this.url = this.#page.url;
  }

  /** Where its media is received: the address that both engines can reach, and the one port. */
  get udp() {
    const port = Number(/udp 0\.0\.0\.0:([1-9]\d*)/.exec(this.#log)?.[1]);
    return { address: hostAddresses()[0], port };
  }

  get pid() {
    return this.#child.pid;
  }

  /** What the server wrote so far. */
  get log() {
    return this.#log;
  }

  /**
   * What the server counts, by name and labels as they are written.
   *
   * @returns {Promise<Map<string, number>>}
   */
  async metrics() {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const samples = text.matchAll(/^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)$/gm);
    return new Map(Array.from(samples, ([, name, value]) => [name, Number(value)]));
  }

  /** Asks the server to end; gives back how it did. @param {NodeJS.Signals} [signal] */
  async stop(signal = 'SIGTERM') {
    this.#page?.close();
    return end(this.#child, { signal });
  }
}

/**
 * Addresses to advertise: one that is not the loopback, since Firefox never pairs with 127.0.0.1
 * while another interface is up, and the loopback for machines that have nothing else.
 */
export function hostAddresses(/** @type {'IPv4' | 'IPv6'} */ wanted = 'IPv4') {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  // A link-local address says nothing without its interface.
  const outward = all.find(({ family, internal, address }) => family === wanted && !internal && !address.startsWith('fe80:'));
  const loopback = wanted === 'IPv4' ? '127.0.0.1' : '::1';
  return outward ? [outward.address, loopback] : [loopback];
}
