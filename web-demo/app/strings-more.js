/** Texts of what few calls need. */

export const more = {
  /** What the server says of its choices. */
  why: {
    unknown: 'The server does not say.',
    estimate: (/** @type {string} */ rate) => `Your connection carries about ${rate},`,
    limits: /** @type {Record<string, string>} */ ({
      start: 'as far as is known yet.',
      delay: 'as packets begin to queue beyond that.',
      loss: 'as packets are lost beyond that.',
      remb: 'says your browser.',
      outage: 'and is silent now.',
      bounds: 'or more.',
    }),
    shared: (/** @type {string} */ given, /** @type {string} */ wanted) => `In use: ${given} of the ${wanted} that everything would take.`,
    path: (/** @type {number} */ rtt, /** @type {string} */ loss) => `Round trip ${rtt} ms, loss ${loss} %.`,
    wanted: (/** @type {string} */ list) => `Asked for: ${list}`,
    granted: 'Granted:',
    now: 'now',
    nothing: 'nothing',
    pinned: 'pinned',
    records: 'What happened of late',
    graphs: { received: 'Received', estimate: 'Path carries', sent: 'Sent', rtt: 'Round trip', loss: 'Loss' },
    reasons: /** @type {Record<string, string>} */ ({
      best: 'It is the best there is.',
      large_enough: 'It fills its place.',
      wanted: 'You asked for no more.',
      bandwidth: 'More does not fit your connection.',
      settling: 'More would fit, but not for long enough yet.',
      priority: 'Others come first.',
      off: 'You turned it off.',
      hidden: 'You do not see it.',
      last_n: 'The room shows those who spoke last.',
      muted: 'They turned it off.',
      silent: 'Nothing arrives from them.',
      no_slot: 'This browser cannot show it.',
      direct: 'It comes directly, past the server.',
    }),
  },

  figures: {
    noPicture: 'no picture', loss: 'loss', frozen: 'frozen', demand: 'asked', hidden: 'out of sight', grant: 'granted', estimate: 'path', stream: 'video', sent: 'sent', limitedBy: 'limited by',
  },

  record: {
    began: 'Recording',
    told: 'Everybody is told. It stays on this device.',
    saved: (/** @type {number} */ mb) => `Recording saved (${mb.toFixed(1)} MB)`,
  },

  impairNames: { loss_percent: 'Loss', delay_ms: 'Delay', rate_kbps: 'Rate' },
  impairValues: {
    loss_percent: (/** @type {number} */ n) => `${n} %`,
    delay_ms: (/** @type {number} */ n) => `${n} ms`,
    rate_kbps: (/** @type {number} */ n) => (n ? `${n} kbit/s` : 'any'),
  },
  impair: {
    heading: (/** @type {string} */ name) => `Connection of ${name}, made worse`,
    downlink: 'From the server',
    uplink: 'To the server',
    cut: (/** @type {number} */ s) => `Cut for ${s} s`,
    lift: 'As it was',
  },

  shortcuts: {
    heading: 'Keyboard shortcuts',
    list: [
      ['m', 'Microphone on or off'],
      ['v', 'Camera on or off'],
      ['s', 'Share your screen'],
      ['space', 'Hold to talk while muted'],
      ['h', 'Raise or lower your hand'],
      ['l', 'Next layout'],
      ['PgUp PgDn', 'Turn pages'],
      ['c', 'Chat'],
      ['p', 'People'],
      ['d', 'Figures on pictures'],
      ['w', 'Why this picture?'],
      ['?', 'This list'],
    ],
  },
};
