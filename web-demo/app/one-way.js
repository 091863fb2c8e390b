/** Connections that are told of one way to the server only: to try each by itself. */

/** @typedef {'udp' | 'tcp' | 'relay'} Way */

/**
 * @param {Way} way
 * @param {(offered: boolean) => void} [told] whether the server's answer offers it
 * @returns {typeof RTCPeerConnection}
 */
export function oneWay(way, told = () => {}) {
  return class extends RTCPeerConnection {
    /** @override @param {RTCSessionDescriptionInit} description */
    async setRemoteDescription({ type, sdp = '' }) {
      const only = keep(sdp, way);
      told(/^a=candidate:/m.test(only));
      return super.setRemoteDescription({ type, sdp: only });
    }
  };
}

/**
 * A description without the candidates of other ways.
 * @param {string} sdp
 * @param {Way} way
 */
export function keep(sdp, way) {
  return sdp.replace(/^a=candidate:\S+ \d+ (\S+) .*?typ (\S+).*\r?\n/gim, (line, transport, type) =>
    (type === 'relay' ? 'relay' : transport.toLowerCase()) === way ? line : '',
  );
}
