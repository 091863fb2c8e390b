// What travels over the WebSocket, as docs/protocol.md says. Types only: never loaded by a browser.

export type Kind = 'audio' | 'video';
export type Source = 'camera' | 'microphone' | 'screen' | 'screen_audio' | 'other';

export interface TrackMessage {
  track: string;
  kind: Kind;
  source: Source;
  name: string;
  muted: boolean;
  encodings: number;
}

export interface ParticipantMessage {
  id: string;
  name: string;
  metadata?: string | null;
  tracks: TrackMessage[];
}

export interface Assignment {
  mid: string;
  track: string | null;
  participant: string | null;
}

export type Quality = 'off' | 'low' | 'medium' | 'high' | 'auto';

export interface Wish {
  quality?: Quality;
  /** Frames per second. */
  max_fps?: number;
  /** 0 last, 255 first. */
  priority?: number;
  pinned?: boolean;
}

export interface Preference extends Wish {
  track: string;
  /** Physical pixels. */
  max_width?: number;
  max_height?: number;
  visible?: boolean;
}

export interface Layer {
  encoding: number;
  spatial: number;
  temporal: number;
  /** Pixels; 0: unknown. */
  width: number;
  height: number;
  reason: string;
}

/** What this library reads of the room's settings and one's own permissions. */
export interface Settled {
  locked?: boolean;
  /** Whether `impair` works on this server. */
  impairments?: boolean;
  permissions?: { room_admin?: boolean };
}

/** One direction of a connection, made worse for a test; absent or 0: not in this way. */
export interface Leg {
  loss_percent?: number;
  delay_ms?: number;
  rate_kbps?: number;
  cut_seconds?: number;
}

export interface Requests {
  join: {
    fields: { room: string; name: string; metadata?: string; subscribe?: 'auto' | 'manual'; token?: string; direct?: boolean; resume?: boolean };
    reply: { room: string; participant: string; participants: ParticipantMessage[]; ice_servers?: RTCIceServer[]; resume_key?: string } & Settled;
  };
  resume: { fields: { key: string; received: number }; reply: { last_request: number | null } };
  publish: { fields: { mid: string; source: Source; name?: string; muted?: boolean }; reply: {} };
  offer: {
    fields: { sdp: string };
    reply: { sdp: string; tracks: { mid: string; track: string }[]; assigned: Assignment[] };
  };
  mute: { fields: { track: string }; reply: {} };
  unmute: { fields: { track: string }; reply: {} };
  unpublish: { fields: { track: string }; reply: {} };
  subscribe: { fields: { track: string }; reply: {} };
  unsubscribe: { fields: { track: string }; reply: {} };
  prefer: { fields: { preferences: Preference[] }; reply: { ignored: string[] } };
  data: { fields: { payload: string; to?: string[]; reliable?: boolean }; reply: {} };
  lock: { fields: { locked: boolean }; reply: {} };
  impair: { fields: { participant?: string; downlink?: Leg; uplink?: Leg }; reply: {} };
  direct_signal: { fields: { epoch: number; payload: string }; reply: {} };
  direct_state: { fields: { epoch: number; state: 'connected' | 'failed' }; reply: {} };
  ping: { fields: {}; reply: {} };
  leave: { fields: {}; reply: {} };
}

export type EventMessage =
  | { type: 'hello'; protocol: string; version: string; ping_interval: number }
  | { type: 'participant_joined'; participant: ParticipantMessage }
  | { type: 'participant_left'; participant: string; reason: string }
  | { type: 'track_published'; participant: string; track: TrackMessage }
  | { type: 'track_unpublished'; participant: string; track: string }
  | { type: 'track_muted'; participant: string; track: string; muted: boolean }
  | ({ type: 'assigned' } & Assignment)
  | { type: 'slots_needed'; audio: number; video: number }
  | ({ type: 'layer'; track: string } & Layer)
  | { type: 'paused'; track: string; reason: string }
  | { type: 'resumed'; track: string }
  | { type: 'demand'; track: string; encodings: boolean[]; max_spatial: number }
  | { type: 'unplayable'; track: string }
  | { type: 'speakers'; speakers: { participant: string; level: number }[] }
  | { type: 'data'; from: string | null; payload: string; reliable: boolean; binary?: boolean }
  | { type: 'transport'; state: string; reason?: string | null }
  | { type: 'room_settings'; locked?: boolean }
  | { type: 'permissions'; room_admin?: boolean }
  | { type: 'impairment'; downlink: Leg; uplink: Leg }
  | { type: 'direct'; epoch: number; participant: string; polite: boolean }
  | { type: 'direct_signal'; epoch: number; payload: string }
  | { type: 'direct_on'; epoch: number }
  | { type: 'direct_end'; epoch: number; reason: 'participants' | 'settings' | 'failed' }
  | { type: 'draining' };
