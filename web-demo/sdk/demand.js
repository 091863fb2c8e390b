/** Which of its encodings a sender sends: those that somebody wants. */

/** @typedef {{encodings: boolean[], max_spatial: number}} Demand */

/** More spatial layers than there are. */
const ALL = 8;

/**
 * Brings a sender in line with a demand; does nothing where it is.
 * @param {RTCRtpSender} sender
 * @param {RTCRtpEncodingParameters[]} planned what it sends when all is wanted
 * @param {Demand} demand
 */
export function limit(sender, planned, { encodings, max_spatial }) {
  const parameters = sender.getParameters();
  const before = JSON.stringify(parameters);
  parameters.encodings.forEach((encoding, i) => Object.assign(encoding, { active: encodings[i] ?? true }, fewer(planned[i], max_spatial)));
  if (JSON.stringify(parameters) === before) return;
  sender.setParameters(parameters).catch(() => {
    // An engine that cannot change the mode while it sends can still stop and start.
    if (max_spatial < ALL) limit(sender, planned, { encodings, max_spatial: ALL });
  });
}

/**
 * The mode with fewer spatial layers, and the scale at which those that remain keep their sizes.
 * @param {RTCRtpEncodingParameters & {scalabilityMode?: string} | undefined} planned
 * @param {number} top the highest layer wanted
 */
function fewer({ scalabilityMode = '', scaleResolutionDownBy = 1 } = {}, top) {
  const [, layers, temporal, key = ''] = /^L([23])(T\d)(_KEY)?$/.exec(scalabilityMode) ?? [];
  if (!layers) return {};
  const count = Math.min(+layers, top + 1);
  return {
    scalabilityMode: `L${count}${temporal}${count > 1 ? key : ''}`,
    scaleResolutionDownBy: scaleResolutionDownBy * 2 ** (+layers - count),
  };
}
