//! What WHIP and WHEP ask of an offer beyond what any offer must be: one way, one audio and one
//! video m-line, one MediaStream, and all or nothing (RFC 9725 §4.2, §4.4; the WHEP draft §4.3).

use super::{Direction, MediaKind, Offer, OfferError, OfferedContent, OfferedMedia};

impl Offer {
    /// Makes it the offer of a WHIP client, which only sends. The answer will be `recvonly`.
    pub fn publish_only(&mut self) -> Result<(), OfferError> {
        self.one_way(Direction::SendOnly)
    }

    /// Makes it the offer of a WHEP client, which only receives. The answer will be `sendonly`.
    pub fn play_only(&mut self) -> Result<(), OfferError> {
        self.one_way(Direction::RecvOnly)
    }

    fn one_way(&mut self, direction: Direction) -> Result<(), OfferError> {
        let mut media: Vec<&mut OfferedMedia> = Vec::new();
        for section in &mut self.sections {
            match &mut section.content {
                OfferedContent::Media(offered) => media.push(offered),
                // Data channels are not forbidden; the session may use or ignore them.
                OfferedContent::Data(_) => {}
                OfferedContent::Rejected => {
                    return Err(OfferError::Unsupported("an m-line that would be rejected"));
                }
            }
        }
        let count = |kind| media.iter().filter(|media| media.kind == kind).count();
        if media.is_empty() {
            return Err(OfferError::Unsupported("neither audio nor video"));
        }
        if count(MediaKind::Audio) > 1 || count(MediaKind::Video) > 1 {
            return Err(OfferError::Unsupported("more than one audio or video m-line"));
        }
        if media.iter().any(|media| media.codecs.is_empty()) {
            return Err(OfferError::Unsupported("no codec of an m-line is known"));
        }
        let other_way = |media: &&mut OfferedMedia| match direction {
            Direction::SendOnly => !media.direction.sends(),
            _ => !media.direction.receives(),
        };
        if media.iter().any(other_way) {
            return Err(OfferError::Unsupported("an m-line of the wrong direction"));
        }
        let mut streams = media.iter().filter_map(|media| media.msid.as_ref()).map(|m| &m.stream);
        let first = streams.next();
        if direction == Direction::SendOnly && streams.any(|stream| Some(stream) != first) {
            return Err(OfferError::Unsupported("more than one MediaStream"));
        }
        media.into_iter().for_each(|media| media.direction = direction);
        Ok(())
    }
}
