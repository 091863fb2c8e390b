/** A TCP proxy before a server, as a load balancer is: its connections can be broken, and new ones refused. */

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class TcpProxy {
  #server;
  /** @type {Set<import('node:net').Socket>} */
  #sockets = new Set();
  /** Whether new connections end at once. */
  refuses = false;

  /** @param {string} url of the server behind it */
  static async before(url) {
    const { hostname, port } = new URL(url);
    const proxy = new TcpProxy(hostname, Number(port));
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** @param {string} host @param {number} port */
  constructor(host, port) {
    this.#server = createServer((client) => {
      if (this.refuses) return client.resetAndDestroy();
      const server = connect(port, host);
      for (const [socket, other] of [[client, server], [server, client]]) {
        this.#sockets.add(socket);
        socket.on('error', () => {}).on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
      client.pipe(server).pipe(client);
    }).listen(0, '127.0.0.1');
  }

  get url() {
    const { port } = /** @type {import('node:net').AddressInfo} */ (this.#server.address());
    return `http://127.0.0.1:${port}`;
  }

  /** Ends every connection, without a word on either side. */
  breakAll() {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close() {
    this.#server.close();
    this.breakAll();
  }
}
