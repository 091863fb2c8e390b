/** What test code that runs inside a page finds there. */

declare global {
  /** The conference page's handle for tests. */
  var __sfu: { room: any;
    media: any;
    sending: any; snapshot(): Promise<any> };
  /** What harness/picture.js has seen. */
  var __samples: import('./picture.js').Sample[];
  /** Left there by one evaluation for a later one. */
  var __callee: RTCPeerConnection;
  var __http: any;
  var __heard: any[];
  var __before: any;
  var __steps: string[];
  var __share: any;
  var __clock: any;
  var __calm: () => Promise<void>;
  var __times: any;
  /** What harness/frames.js has seen, in ms. */
  var __frames: number[][];
  var __watch: any;
  var __check: any;
  var __rooms: any[];
  var __tasks: number[];
  var axe: any;
}

export {};
