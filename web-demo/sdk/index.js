/** The client library of the SFU; WHIP and WHEP, which need none of it, are in whip.js. See README.md for its use and docs/protocol.md for what it speaks. */

export { Room } from './room.js';
export { LocalTrack } from './local.js';
export { Participant, RemoteTrack } from './remote.js';
export { SfuError, fromDevices } from './errors.js';
