/** Header extensions that browsers know but do not offer by themselves. */

/**
 * Offers the dependency descriptor, without which Chromium cannot put the layers of AV1 together.
 * @param {RTCRtpTransceiver & {getHeaderExtensionsToNegotiate?: () => {uri: string, direction: string}[], setHeaderExtensionsToNegotiate?: (list: object[]) => void}} transceiver
 */
export function takeLayers(transceiver) {
  const list = transceiver.getHeaderExtensionsToNegotiate?.() ?? [];
  for (const extension of list) if (extension.uri.includes('#dependency')) extension.direction = 'sendrecv';
  transceiver.setHeaderExtensionsToNegotiate?.(list);
}
