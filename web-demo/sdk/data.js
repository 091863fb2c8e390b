/** Messages between participants: two data channels, the binary envelope, the WebSocket as a spare way. */

import { SfuError } from './errors.js';

export const MESSAGE_BYTES_MAX = 64 * 1024;
const ADDRESSEES_MAX = 64;
/** More than this waiting to be sent: lossy messages are dropped, reliable ones refused. */
const BUFFERED_BYTES_MAX = { lossy: 256 * 1024, reliable: 4 * 1024 * 1024 };
const TEXT = 1;
const ID_BYTES = 8;

/**
 * @typedef {object} Message
 * @property {string | null} from the sender's id; `null` is the server
 * @property {string | Uint8Array} payload
 * @property {boolean} reliable
 */

/**
 * The envelope of a message to some participants, or of binary data to all.
 * @param {string | Uint8Array} payload
 * @param {string[]} to ids; none: everyone else
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeEnvelope(payload, to) {
  if (to.length > ADDRESSEES_MAX) throw new SfuError('limit', { detail: `more than ${ADDRESSEES_MAX} addressees` });
  const body = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
  const head = 2 + to.length * ID_BYTES;
  const bytes = new Uint8Array(head + body.length);
  bytes[0] = typeof payload === 'string' ? TEXT : 0;
  bytes[1] = to.length;
  const view = new DataView(bytes.buffer);
  to.forEach((id, i) => view.setBigUint64(2 + i * ID_BYTES, BigInt(`0x${id}`)));
  bytes.set(body, head);
  return bytes;
}

/**
 * @param {ArrayBuffer} buffer
 * @param {boolean} reliable
 * @returns {Message | null} `null` when it is too short to be one
 */
export function decodeEnvelope(buffer, reliable) {
  if (buffer.byteLength < 1 + ID_BYTES) return null;
  const view = new DataView(buffer);
  const id = view.getBigUint64(1);
  const body = new Uint8Array(buffer, 1 + ID_BYTES);
  return {
    from: id === 0n ? null : id.toString(16).padStart(16, '0'),
    payload: view.getUint8(0) & TEXT ? new TextDecoder().decode(body) : body,
    reliable,
  };
}

/** @param {string} base64 */
const fromBase64 = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

/**
 * The `data` event of the WebSocket.
 * @param {{from: string | null, payload: string, reliable: boolean, binary?: boolean}} event
 * @returns {Message}
 */
export function fromEvent({ from, payload, reliable, binary }) {
  return { from, payload: binary ? fromBase64(payload) : payload, reliable };
}

/** The two channels of one peer connection. */
export class Channels {
  /**
   * @param {RTCPeerConnection} pc
   * @param {(message: Message) => void} deliver
   */
  constructor(pc, deliver) {
    this.reliable = pc.createDataChannel('reliable');
    this.lossy = pc.createDataChannel('lossy', { ordered: false, maxRetransmits: 0 });
    for (const channel of [this.reliable, this.lossy]) {
      channel.binaryType = 'arraybuffer';
      channel.onmessage = ({ data }) => {
        const message = data instanceof ArrayBuffer ? decodeEnvelope(data, channel === this.reliable) : null;
        if (message) deliver(message);
      };
    }
  }

  /**
   * Waits until a channel opens, or the connection is over.
   * @param {boolean} reliable
   * @returns {Promise<void>}
   */
  opened(reliable) {
    const channel = reliable ? this.reliable : this.lossy;
    return new Promise((resolve) => {
      if (channel.readyState !== 'connecting') return resolve();
      channel.onopen = channel.onclose = () => resolve();
    });
  }

  /**
   * @param {string | Uint8Array} payload
   * @param {{to: string[], reliable: boolean}} options
   * @returns {boolean} false: the channel is not open, use the WebSocket
   */
  send(payload, { to, reliable }) {
    const channel = reliable ? this.reliable : this.lossy;
    if (channel.readyState !== 'open') return false;
    if (channel.bufferedAmount > BUFFERED_BYTES_MAX[reliable ? 'reliable' : 'lossy']) {
      if (!reliable) return true; // lossy: lost
      throw new SfuError('send_buffer_full');
    }
    if (typeof payload === 'string' && !to.length) channel.send(payload);
    else channel.send(encodeEnvelope(payload, to));
    return true;
  }
}

/**
 * Throws when a payload is over the limit.
 * @param {string | Uint8Array} payload
 */
export function checkSize(payload) {
  const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload).length : payload.length;
  if (bytes > MESSAGE_BYTES_MAX) throw new SfuError('message_too_large', { detail: `${bytes} bytes` });
}
