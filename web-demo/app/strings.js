/** Every text of the page. What failed and what to try is said by the library (sdk/errors.js). */

export const strings = {
  brand: 'SFU',
  title: (/** @type {string} */ room) => `${room} · SFU`,
  you: 'you',
  youLabel: (/** @type {string} */ name) => `${name} (you)`,
  guest: (/** @type {number} */ n) => `Guest ${n}`,

  lobby: {
    heading: 'Ready to join?',
    room: 'Room',
    name: 'Your name',
    namePlaceholder: 'How others will see you',
    join: 'Join',
    joinWithout: 'Join without camera and microphone',
    joining: 'Joining…',
    copy: 'Copy link',
    copied: 'Link copied',
    copyFailed: 'Could not copy: take the link from the address bar.',
    newRoom: 'Use another room',
    cameraOff: 'Camera is off',
    askingDevices: 'Your browser may ask for camera and microphone.',
    level: 'Microphone level',
    retryDevices: 'Try again',
    check: 'Check devices and connection',
  },

  direct: { mark: 'Direct', hint: 'Sound and picture go straight between the two of you, past the server.' },

  deviceNames: { camera: 'Camera', microphone: 'Microphone', speaker: 'Speaker' },

  devices: {
    heading: 'Settings',
    none: 'None found',
    unnamed: (/** @type {string} */ kind, /** @type {number} */ n) => `${kind} ${n}`,
    systemDefault: 'System default',
    lost: (/** @type {string} */ kind) => `${kind} disconnected`,
    lostHint: 'Choose another one in the settings.',
    theme: 'Appearance',
    themes: { auto: 'As the system', light: 'Light', dark: 'Dark' },
  },

  controls: {
    toolbar: 'Call controls',
    muteMic: 'Mute microphone',
    unmuteMic: 'Unmute microphone',
    cameraOff: 'Turn camera off',
    cameraOn: 'Turn camera on',
    share: 'Share screen',
    stopShare: 'Stop sharing',
    chat: 'Chat',
    people: 'People',
    settings: 'Settings',
    help: 'Keyboard shortcuts',
    raiseHand: 'Raise hand',
    lowerHand: 'Lower hand',
    more: 'More',
    record: 'Record to a file',
    stopRecording: 'Stop and save recording',
    figures: 'Figures on pictures',
    why: 'Why this picture?',
    pip: (/** @type {string} */ name) => `Show ${name} in a window of its own`,
    leave: 'Leave',
    close: 'Close',
    quality: (/** @type {string} */ name) => `Quality of ${name}`,
    pin: (/** @type {string} */ name) => `Enlarge ${name}`,
    unpin: 'Back to the grid',
  },

  layout: {
    heading: 'Layout',
    modes: { grid: 'Grid', speaker: 'Speaker' },
    area: 'Pictures',
    pages: 'Pages of pictures',
    page: (/** @type {number} */ n, /** @type {number} */ of) => `Page ${n} of ${of}`,
    speaks: (/** @type {string} */ name) => `· ${name} is speaking`,
    back: 'Page before',
    next: 'Next page',
  },

  receive: {
    heading: 'Receive',
    modes: { everything: 'Everything', low: 'Low quality', screen: 'Screens only', audio: 'Sound only', nothing: 'Nothing' },
    notReceived: 'Not received',
  },

  tile: {
    muted: 'microphone off',
    speaking: 'speaking',
    hand: 'hand raised',
    recording: 'records the call',
    screen: (/** @type {string} */ name) => `${name}’s screen`,
    ownScreen: 'Your screen',
    size: (/** @type {number} */ width, /** @type {number} */ height, /** @type {number} */ fps) => `${width}×${height} · ${fps} fps`,
    alone: 'Nobody else is here yet.',
    aloneHint: 'Send them the link.',
  },

  /** @type {Record<string, string>} */
  health: { good: 'Good connection', fair: 'Unsteady connection', bad: 'Poor connection' },

  react: 'React',
  reactions: { '👍': 'Thumbs up', '👏': 'Applause', '❤️': 'Heart', '😂': 'Laughter', '🎉': 'Party' },

  quality: { auto: 'Auto', high: 'High', medium: 'Medium', low: 'Low', off: 'Off' },

  /** Why no picture comes. @type {Record<string, string>} */
  paused: {
    bandwidth: 'Paused: your connection is too slow',
    priority: 'Paused: others come first on your connection',
    settling: 'Paused: your connection is not steady yet',
    off: 'You turned this picture off',
    last_n: 'Shown when they speak',
    silent: 'No picture arrives from them',
    no_slot: 'This browser cannot show it',
  },

  chat: {
    empty: 'Everyone in the room sees messages; nothing is kept.',
    placeholder: 'Message everyone',
    send: 'Send',
    unread: (/** @type {number} */ n) => `${n} unread`,
    server: 'Server',
    gone: 'Somebody who left',
  },

  people: { heading: (/** @type {number} */ n) => `People (${n})`, mute: (/** @type {string} */ name) => `Mute ${name}`, remove: (/** @type {string} */ name) => `Remove ${name}`, removeSure: (/** @type {string} */ name) => `Remove ${name} from the call?`, impair: (/** @type {string} */ name) => `Make the connection of ${name} worse`, lock: 'Lock room', unlock: 'Unlock room', locked: 'Room is locked' },

  states: { idle: 'Not connected', connecting: 'Connecting', connected: 'Connected', reconnecting: 'Reconnecting', closed: 'Disconnected' },

  state: {
    steps: {
      ice_restart: 'The connection is unstable. Repairing it…',
      resume: 'The server does not answer. Reaching it again…',
      rejoin: 'Connection lost. Joining again…',
    },
    attempt: (/** @type {number} */ n) => `Attempt ${n}`,
    next: (/** @type {number} */ s) => `in ${s} s.`,
    trying: 'under way.',
    tryNow: 'Try now',
    back: 'Connected again',
    draining: 'The server restarts: you will be reconnected.',
  },

  announce: {
    joined: (/** @type {string} */ name) => `${name} joined`,
    left: (/** @type {string} */ name) => `${name} left`,
    mutedByServer: 'You were muted by a moderator',
    shares: (/** @type {string} */ name) => `${name} shares a screen`,
    hand: (/** @type {string} */ name) => `${name} raises a hand`,
    locked: 'The room is locked: nobody else gets in',
    unlocked: 'The room is open again',
    impaired: 'Your connection is made worse for a test',
    records: (/** @type {string} */ name) => `${name} records this call`,
    recordsNot: (/** @type {string} */ name) => `${name} no longer records`,
  },

  hear: 'Click to hear the others',
  notLoaded: 'This could not be loaded.',

  end: {
    left: 'You left the room',
    failedJoin: 'Could not join',
    failed: 'The call ended',
    rejoin: 'Join again',
    retry: 'Try again',
    newRoom: 'New room',
    report: 'Copy report',
    reportCopied: 'Report copied',
    failedStep: (/** @type {string} */ step) => `What failed: ${step}`,
  },

  steps: {
    devices: 'camera and microphone',
    signalling: 'the connection to the server',
    negotiation: 'agreeing on what to send',
    ice: 'finding a path for media',
    dtls: 'setting up encryption',
    media: 'sound and picture',
  },

  /** For the names of new rooms. */
  words: {
    first: 'amber bold calm clear early fair golden green happy kind quick quiet sunny swift warm'.split(' '),
    second: 'badger birch brook cedar comet coral crane falcon fern forest heron island lake maple meadow otter pine raven river'.split(' '),
  },
};
