/** Candidates of one way stay, those of others go, and nothing else is touched. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keep } from '../app/one-way.js';

const UDP = 'a=candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host\r\n';
const TCP = 'a=candidate:2 1 TCP 1518280447 192.0.2.1 7881 typ host tcptype passive\r\n';
const RELAY = 'a=candidate:3 1 udp 41885439 192.0.2.9 3478 typ relay raddr 192.0.2.1 rport 1\r\n';
const sdp = (...candidates) => `v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n${candidates.join('')}a=end-of-candidates\r\n`;

for (const [way, line] of Object.entries({ udp: UDP, tcp: TCP, relay: RELAY })) {
  test(`${way} alone`, () => assert.equal(keep(sdp(UDP, TCP, RELAY), way), sdp(line)));
}

test('a way that is not offered leaves none', () => assert.equal(keep(sdp(UDP), 'tcp'), sdp()));
