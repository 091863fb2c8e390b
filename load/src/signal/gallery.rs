//! [`Gallery`]: what a participant asks to see of the others, as a page with so many tiles would.

use serde_json::{Value, json};

/// The picture is as large as this, in physical pixels.
const SCREEN: (u32, u32) = (1280, 720);
/// Preferences of one request that the server takes.
const PREFERENCES_MAX: usize = 250;

/// How the others are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
pub enum Layout {
    /// One large, five small.
    #[value(name = "speaker")]
    Speaker,
    /// Nine tiles.
    #[value(name = "3x3")]
    Three,
    /// Sixteen tiles.
    #[value(name = "4x4")]
    Four,
    /// Twenty-five tiles.
    #[value(name = "5x5")]
    Five,
}

impl Layout {
    /// Tiles.
    #[must_use]
    pub fn tiles(self) -> usize {
        match self {
            Self::Speaker => 6,
            Self::Three => 9,
            Self::Four => 16,
            Self::Five => 25,
        }
    }

    /// Width and height of a tile, in physical pixels.
    #[must_use]
    pub fn size(self, tile: usize) -> (u32, u32) {
        let parts = match self {
            Self::Speaker if tile == 0 => 1,
            Self::Speaker => 5,
            Self::Three => 3,
            Self::Four => 4,
            Self::Five => 5,
        };
        (SCREEN.0 / parts, SCREEN.1 / parts)
    }
}

/// See the module. Says nothing without a layout: the server then subscribes by itself.
#[derive(Debug)]
pub(super) struct Gallery {
    layout: Option<Layout>,
    /// Galleries of different participants begin with different tracks.
    place: usize,
    audio_slots: usize,
    video_slots: usize,
    /// Tracks that there are: participant and track.
    videos: Vec<(String, String)>,
    audios: Vec<(String, String)>,
    shown: Vec<String>,
    heard: Vec<String>,
}

impl Gallery {
    pub(super) fn new(
        layout: Option<Layout>,
        place: usize,
        audio_slots: usize,
        video_slots: usize,
    ) -> Self {
        let video_slots = layout.map_or(video_slots, |layout| video_slots.min(layout.tiles()));
        Self {
            layout,
            place,
            audio_slots,
            video_slots,
            videos: Vec::new(),
            audios: Vec::new(),
            shown: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// Takes in a participant with its tracks; what is to be asked of the server.
    pub(super) fn see(&mut self, participant: &Value) -> Vec<Value> {
        if let Some(id) = participant["id"].as_str() {
            for track in participant["tracks"].as_array().into_iter().flatten() {
                self.add(id, track);
            }
        }
        self.arrange()
    }

    /// Takes in an event; what is to be asked of the server.
    pub(super) fn on_event(&mut self, event: &Value) -> Vec<Value> {
        let participant = event["participant"].as_str();
        match event["type"].as_str() {
            Some("participant_joined") => return self.see(&event["participant"]),
            Some("track_published") => {
                self.add(participant.unwrap_or_default(), &event["track"]);
            }
            Some("track_unpublished") => {
                let track = event["track"].as_str().unwrap_or_default();
                self.remove(|_, other| other == track);
            }
            Some("participant_left") => {
                let id = participant.unwrap_or_default();
                self.remove(|other, _| other == id);
            }
            _ => return Vec::new(),
        }
        self.arrange()
    }

    fn add(&mut self, participant: &str, track: &Value) {
        let Some(id) = track["track"].as_str() else { return };
        let list = if track["kind"] == "video" { &mut self.videos } else { &mut self.audios };
        if !list.iter().any(|(_, known)| known == id) {
            list.push((participant.to_owned(), id.to_owned()));
        }
    }

    fn remove(&mut self, gone: impl Fn(&str, &str) -> bool) {
        for list in [&mut self.videos, &mut self.audios] {
            list.retain(|(participant, track)| !gone(participant, track));
        }
        let (videos, audios) = (&self.videos, &self.audios);
        self.shown.retain(|track| videos.iter().any(|(_, there)| there == track));
        self.heard.retain(|track| audios.iter().any(|(_, there)| there == track));
    }

    /// Fills free tiles: subscriptions, and sizes if anything was added.
    fn arrange(&mut self) -> Vec<Value> {
        let Some(layout) = self.layout else { return Vec::new() };
        let mut requests = Vec::new();
        let start = if self.videos.is_empty() { 0 } else { self.place % self.videos.len() };
        let videos = self.videos.iter().cycle().skip(start).take(self.videos.len());
        let added = fill(&mut self.shown, self.video_slots, videos, &mut requests);
        fill(&mut self.heard, self.audio_slots, self.audios.iter(), &mut requests);
        if added {
            let sizes = self.shown.iter().enumerate().map(|(tile, track)| {
                let (width, height) = layout.size(tile);
                json!({"track": track, "max_width": width, "max_height": height})
            });
            let sizes = sizes.collect::<Vec<_>>();
            let sets = sizes.chunks(PREFERENCES_MAX);
            requests.extend(sets.map(|set| json!({"type": "prefer", "preferences": set})));
        }
        requests
    }
}

/// Subscribes to tracks until all slots are taken; whether any was added.
fn fill<'a>(
    taken: &mut Vec<String>,
    slots: usize,
    tracks: impl Iterator<Item = &'a (String, String)>,
    requests: &mut Vec<Value>,
) -> bool {
    let before = taken.len();
    for (_, track) in tracks {
        if taken.len() < slots && !taken.contains(track) {
            requests.push(json!({"type": "subscribe", "track": track}));
            taken.push(track.clone());
        }
    }
    taken.len() > before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(participant: &str) -> Value {
        let track = |kind: &str| json!({"track": format!("{participant}-{kind}"), "kind": kind});
        json!({"type": "participant_joined", "participant":
            {"id": participant, "tracks": [track("audio"), track("video")]}})
    }

    #[test]
    fn tiles_are_filled_and_refilled() {
        let mut gallery = Gallery::new(Some(Layout::Speaker), 0, 2, 2);
        let requests = gallery.on_event(&joined("a"));
        let subscribe = |track| json!({"type": "subscribe", "track": track});
        assert_eq!(requests[..2], [subscribe("a-video"), subscribe("a-audio")]);
        assert_eq!(requests[2]["preferences"][0]["max_width"], 1280);
        assert_eq!(gallery.on_event(&joined("b")).len(), 3);
        assert_eq!(gallery.on_event(&joined("c")), Vec::<Value>::new(), "no tile is free");
        assert_eq!(gallery.on_event(&joined("a")), Vec::<Value>::new(), "known already");
        let left = json!({"type": "participant_left", "participant": "a"});
        let requests = gallery.on_event(&left);
        assert_eq!(requests[..2], [subscribe("c-video"), subscribe("c-audio")]);
        let prefer = requests[2]["preferences"].as_array().unwrap();
        assert_eq!(prefer.len(), 2);
        assert_eq!(
            (&prefer[0]["track"], &prefer[1]["max_width"]),
            (&json!("b-video"), &json!(256))
        );
    }

    #[test]
    fn without_a_layout_the_server_chooses() {
        let mut gallery = Gallery::new(None, 0, 9, 9);
        assert!(gallery.on_event(&joined("a")).is_empty());
    }

    #[test]
    fn galleries_begin_at_different_tracks() {
        let mut gallery = Gallery::new(Some(Layout::Three), 1, 0, 1);
        let participants = ["a", "b"].map(|id| joined(id)["participant"].clone());
        gallery.videos = vec![("a".into(), "a-video".into())];
        assert_eq!(gallery.see(&participants[1])[0]["track"], "b-video");
    }
}
