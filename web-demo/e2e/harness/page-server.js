/**
 * The page from its folder, with the headers the server sends, and everything else handed on to a
 * server if there is one: for looks and for work on the page, without building the binary anew.
 */

import { readFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { extname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** `SFU_PAGE_FROM_FOLDER`: 1 for the page as it is written, or the folder of a built one. */
const FOLDER = process.env.SFU_PAGE_FROM_FOLDER ?? '1';
const ROOT = FOLDER === '1' ? fileURLToPath(new URL('../../', import.meta.url)) : resolve(FOLDER);
const ASSETS = fileURLToPath(new URL('../../../sfu-server/src/assets.rs', import.meta.url));

/** @type {Record<string, string>} */
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' };

/** The policy is read where it stands, so that the two cannot differ. */
async function policy() {
  const source = await readFile(ASSETS, 'utf8');
  const found = /const POLICY: &str = "([^;]*(?:;[^"]*)?)";/s.exec(source);
  if (!found) throw new Error('assets.rs names no policy');
  return found[1].replace(/\\\n\s*/g, '');
}

/**
 * @param {string} [backend] URL of a server, for what is no file
 * @returns {Promise<{url: string, close: () => void}>}
 */
export async function servePage(backend) {
  const headers = { 'Content-Security-Policy': await policy(), 'Cache-Control': 'no-cache' };
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://page');
    const file = pathname === '/' ? '/index.html' : pathname === '/test' ? '/test.html' : pathname;
    const type = TYPES[extname(file)];
    const body = type && !file.includes('..') ? await readFile(join(ROOT, file)).catch(() => null) : null;
    if (body) return response.writeHead(200, { ...headers, 'Content-Type': type }).end(body);
    if (!backend) return response.writeHead(404).end();
    const onward = http.request(backend + request.url, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.writeHead(502).end());
    request.pipe(onward);
  });
  server.on('upgrade', (request, socket, head) => {
    if (!backend) return socket.destroy();
    const { hostname, port } = new URL(backend);
    const onward = net.connect(Number(port), hostname, () => {
      const lines = request.rawHeaders.reduce((all, each, i) => all + each + (i % 2 ? '\r\n' : ': '), '');
      onward.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines}\r\n`);
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    for (const each of [onward, socket]) each.on('error', () => [onward, socket].forEach((one) => one.destroy()));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
