/**
 * A thin link to one browser: a network namespace behind a veth pair, whose direction towards the
 * browser the kernel shapes (`tc tbf`). Needs root and iproute2, and fails without them.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

/**
 * Why a test that needs a thin link is skipped; `false`: it is not. Only who runs the tests can say
 * that the machine has none of this: a test that skips by itself is never missed.
 */
export const NO_LINKS = process.env.SFU_NO_NETNS ? 'SFU_NO_NETNS says that there are no network namespaces' : false;

/** What a home router's queue holds, in ms at the shaped rate. */
const QUEUE_MS = 200;
/** Hardly more than a packet: a full bucket would let whole probes through at the speed of memory. */
const BURST_BYTES = 2_000;
/** 198.18.0.0/15 is for tests of networks (RFC 2544): no network of the machine uses it. */
const NETWORK = '198.18';

let opened = 0;
/** @type {Set<Link>} */
const open = new Set();

export class Link {
  #folder = mkdtempSync(join(tmpdir(), 'sfu-link-'));
  #device;

  constructor() {
    const number = opened++;
    if (number >= 64) throw new Error('64 links are enough for one process');
    /** The namespace: names are the machine's, so they hold the process. */
    this.name = `sfu-${process.pid}-${number}`;
    this.#device = `sfu${process.pid}h${number}`;
    const prefix = `${NETWORK}.${process.pid % 256}`;
    /** The server's address as the namespace sees it. */
    this.address = `${prefix}.${4 * number + 1}`;
    this.#build(`${prefix}.${4 * number + 2}`);
    open.add(this);
  }

  /** @param {string} far the address inside */
  #build(far) {
    const inside = `sfu${process.pid}n${opened}`;
    try {
      run('ip', 'netns', 'add', this.name);
      run('ip', 'link', 'add', this.#device, 'type', 'veth', 'peer', 'name', inside, 'netns', this.name);
      run('ip', 'address', 'add', `${this.address}/30`, 'dev', this.#device);
      // An IPv6 address comes seconds later, and browsers outside drop what they load when one does.
      run('ip', 'link', 'set', this.#device, 'addrgenmode', 'none');
      run('ip', 'link', 'set', this.#device, 'up');
      run('ip', '-n', this.name, 'address', 'add', `${far}/30`, 'dev', inside);
      // Nor inside: an address that appears a second later is a change of network to a browser.
      run('ip', '-n', this.name, 'link', 'set', inside, 'addrgenmode', 'none');
      run('ip', '-n', this.name, 'link', 'set', inside, 'up');
      run('ip', '-n', this.name, 'link', 'set', 'lo', 'up');
    } catch (error) {
      this.close();
      throw new Error('no thin link: it takes root and iproute2, or SFU_NO_NETNS=1 to do without', { cause: error });
    }
  }

  /**
   * Lets so much through towards the browser, from now on.
   *
   * @param {number} kilobits per second
   */
  throttle(kilobits) {
    run('tc', 'qdisc', 'replace', 'dev', this.#device, 'root', 'tbf', 'rate', `${kilobits}kbit`,
      'burst', String(BURST_BYTES), 'latency', `${QUEUE_MS}ms`);
  }

  /** Lets everything through again; what queues is lost. */
  release() {
    run('tc', 'qdisc', 'del', 'dev', this.#device, 'root');
  }

  /** What the shaper sent and dropped. @returns {{bytes: number, packets: number, drops: number}} */
  get shaped() {
    const [{ kind, bytes, packets, drops }] = JSON.parse(run('tc', '-j', '-s', 'qdisc', 'show', 'dev', this.#device));
    if (kind !== 'tbf') throw new Error(`the link is not shaped: ${kind}`);
    return { bytes, packets, drops };
  }

  /**
   * A program that runs another one inside.
   *
   * @param {string} program
   * @returns {string} its path
   */
  wrap(program) {
    const path = join(this.#folder, 'inside');
    writeFileSync(path, `#!/bin/sh\nexec ip netns exec ${this.name} ${program} "$@"\n`, { mode: 0o755 });
    return path;
  }

  /** Takes everything down; never throws, for it runs after whatever went wrong. */
  close() {
    open.delete(this);
    attempt(() => run('ip', 'link', 'del', this.#device));
    attempt(() => run('ip', 'netns', 'del', this.name));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

process.on('exit', () => {
  for (const link of open) link.close();
});

/** @param {string} program @param {...string} words */
function run(program, ...words) {
  return execFileSync(program, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** @param {() => void} action */
function attempt(action) {
  try {
    action();
  } catch {
    // it is not there
  }
}
