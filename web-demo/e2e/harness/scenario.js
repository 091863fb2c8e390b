/**
 * A scenario: a test with a server, browsers and participants, all of which end with it. When it
 * fails, what they saw is kept in `artifacts/`.
 */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch } from './browsers.js';
import { Link } from './netns.js';
import { Participant } from './participant.js';
import { Server } from './server.js';

/** @typedef {import('./browsers.js').Engine} Engine */
/** @typedef {import('puppeteer-core').Browser} Browser */
/** @typedef {import('puppeteer-core').Viewport} Viewport */
/** @typedef {Partial<import('./participant.js').Wishes> & {name: string, viewport?: Viewport}} Guest */

const ARTIFACTS = fileURLToPath(new URL('../artifacts/', import.meta.url));
/** All participants of a scenario share one machine: small pictures, unless it is about large ones. */
const SMALL = { width: 320, height: 240 };
/** For one page to give its report, in ms: it may be the thing that hangs. */
const EVIDENCE_PATIENCE = 10_000;

/**
 * @param {string} name one sentence: what holds
 * @param {(stage: Stage) => Promise<void>} body
 * @param {{skip?: string | false}} [options] `skip`: why this machine cannot play it
 */
export function scenario(name, body, { skip = false } = {}) {
  test(name, { skip }, async () => {
    const stage = new Stage(name);
    try {
      await body(stage);
      stage.expectNoErrors();
    } catch (error) {
      await stage.keepEvidence(error);
      throw error;
    } finally {
      await stage.close();
    }
  });
}

/** What a scenario plays on. Also used by the scripts, which are no tests. */
export class Stage {
  #name;
  /** @type {Promise<Server> | undefined} */
  #server;
  /** @type {Map<Engine | Link, Promise<Browser>>} */
  #browsers = new Map();
  /** @type {Link[]} */
  #links = [];
  /** @type {Participant[]} */
  participants = [];

  /** @param {string} name */
  constructor(name) {
    this.#name = name;
  }

  /**
   * The server; the first call starts it.
   *
   * @param {Parameters<typeof Server.start>[0]} [options]
   */
  async server(options) {
    return (this.#server ??= Server.start(options));
  }

  /** A link for a browser of its own. */
  link() {
    const link = new Link();
    this.#links.push(link);
    return link;
  }

  /**
   * One browser of a kind, and one behind each link; the first call starts it.
   *
   * @param {Engine} [engine]
   * @param {Link} [link]
   */
  async browser(engine = 'chromium', link) {
    const launched = this.#browsers.get(link ?? engine) ?? launch(engine, { link });
    this.#browsers.set(link ?? engine, launched);
    return launched;
  }

  /**
   * Opens the conference page and lets it join.
   *
   * @param {Guest} guest
   * @param {Engine} [engine]
   * @param {{before?: (given: any) => void, given?: unknown, link?: Link, by?: string}} [options]
   *   `before`: runs in the page ahead of its own scripts; `given`: what it is called with; `link`:
   *   what it is behind; `by`: another address of the server
   */
  async join({ viewport, ...guest }, engine = 'chromium', { before, given, link, by } = {}) {
    const participant = await this.#open(guest.name, engine, link);
    if (viewport) await participant.page.setViewport(viewport);
    if (before) await participant.page.evaluateOnNewDocument(before, given);
    const { url } = by ? { url: by } : await this.server();
    const seen = link ? url.replace('127.0.0.1', link.address) : url;
    await participant.visit(seen, { room: 'e2e', ...SMALL, ...guest });
    return participant;
  }

  /**
   * An empty document of the server: for what uses the library without the page.
   *
   * @param {string} name for the evidence
   * @param {Engine} [engine]
   */
  async blank(name, engine = 'chromium') {
    const { page } = await this.#open(name, engine);
    const { url } = await this.server();
    await page.goto(`${url}/livez`, { waitUntil: 'load' });
    return page;
  }

  /** A server in the place of the one that ended. @param {Server} server */
  replaceServer(server) {
    this.#server = Promise.resolve(server);
  }

  /** @param {string} name @param {Engine} engine @param {Link} [link] */
  async #open(name, engine, link) {
    const browser = await this.browser(engine, link);
    // Its own context: nothing remembered, nothing shared with the participant beside it.
    const context = await browser.createBrowserContext();
    const participant = new Participant(await context.newPage(), name);
    this.participants.push(participant);
    return participant;
  }

  /** A page that throws is broken, even when the media flows. */
  expectNoErrors() {
    for (const { name, errors } of this.participants) {
      if (errors.length > 0) throw new Error(`the page of ${name} threw:\n${errors.join('\n')}`);
    }
  }

  /** @param {unknown} error */
  async keepEvidence(error) {
    const folder = join(ARTIFACTS, this.#name.replaceAll(/[^a-zA-Z0-9]+/g, '-').slice(0, 80));
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const keep = (/** @type {string} */ file, /** @type {string | Uint8Array} */ content) =>
      writeFile(join(folder, file), content);

    const trouble = error instanceof Error ? `${error.stack}\n${error.cause ?? ''}` : String(error);
    await keep('error.txt', trouble);
    const server = await this.#server?.catch(() => undefined);
    await keep('server.log', server?.log ?? 'there was no server');
    await Promise.all(this.participants.map(async (participant) => {
      const { name, page } = participant;
      await keep(`${name}.console.txt`, participant.console);
      const parts = [
        participant.report().then((report) => keep(`${name}.json`, JSON.stringify(report, null, 2))),
        page.screenshot().then((image) => keep(`${name}.png`, image)),
      ];
      await Promise.race([Promise.allSettled(parts), passed(EVIDENCE_PATIENCE)]);
    }));
    console.log(`evidence of the failure is in ${folder}`);
  }

  async close() {
    const browsers = await Promise.allSettled(this.#browsers.values());
    await Promise.allSettled(browsers.map(async (launched) => {
      if (launched.status === 'fulfilled') await launched.value.close();
    }));
    const server = await this.#server?.catch(() => undefined);
    await server?.stop();
    for (const link of this.#links) link.close();
  }
}

/** @param {number} ms */
function passed(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
