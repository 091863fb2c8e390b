//! The header extensions that travel with a packet from publisher to subscriber.

use crate::publish::history::StoredExtensions;
use crate::rtp::extension::Extension;

impl StoredExtensions {
    /// Takes them from an incoming packet; `read` gives the value of an extension, if present.
    #[must_use]
    pub fn collect<'a>(read: impl Fn(Extension) -> Option<&'a [u8]>) -> Self {
        let byte = |extension| read(extension).and_then(|value| value.first().copied());
        Self {
            audio_level: byte(Extension::AudioLevel),
            video_orientation: byte(Extension::VideoOrientation),
            playout_delay: read(Extension::PlayoutDelay).and_then(|v| v.first_chunk().copied()),
            dependency_descriptor: read(Extension::DependencyDescriptor)
                .map(Into::into)
                .unwrap_or_default(),
        }
    }

    /// The value to send on, if the packet had the extension.
    #[must_use]
    pub fn get(&self, extension: Extension) -> Option<&[u8]> {
        match extension {
            Extension::AudioLevel => self.audio_level.as_ref().map(std::slice::from_ref),
            Extension::VideoOrientation => {
                self.video_orientation.as_ref().map(std::slice::from_ref)
            }
            Extension::PlayoutDelay => self.playout_delay.as_ref().map(<[u8; 3]>::as_slice),
            Extension::DependencyDescriptor => {
                Some(&self.dependency_descriptor[..]).filter(|value| !value.is_empty())
            }
            // These belong to one hop and are written anew.
            Extension::Mid
            | Extension::Rid
            | Extension::RepairedRid
            | Extension::TransportCc
            | Extension::AbsSendTime => None,
        }
    }
}
