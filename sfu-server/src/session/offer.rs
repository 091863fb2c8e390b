//! Offers. Text is read and written here, off the media threads; the engine works on values.

use sfu_core::command::{Command, Reply};
use sfu_core::id::{Mid, ParticipantId};
use sfu_core::limits::SDP_BYTES_MAX;
use sfu_core::negotiation::{Answer, Offer};

use super::message::{AnswerView, PublishedView};
use super::{ErrorCode, SessionError, Sessions, TrackKey};
use crate::limits;
use crate::media::MediaError;

/// Answers with more m-lines than this are rendered on a thread that may block.
const SECTIONS_INLINE_MAX: usize = 32;

/// What the engine made of an offer.
pub(super) struct Negotiated {
    pub(super) answer: Box<Answer>,
    pub(super) published: Vec<(Mid, TrackKey)>,
}

impl Sessions {
    /// Answers a WebSocket participant's offer.
    pub(crate) async fn offer(
        &self,
        room: &str,
        id: ParticipantId,
        sdp: String,
    ) -> Result<AnswerView, SessionError> {
        let offer = parse_offer(sdp).await?;
        let Negotiated { answer, published } = self.negotiate(room, id, offer).await?;
        let sdp = render_answer(answer).await;
        let mut registry = self.registry.lock();
        let (_, participant) = registry.participant(room, id).ok_or_else(SessionError::gone)?;
        Ok(AnswerView {
            sdp,
            tracks: published
                .iter()
                .map(|(mid, track)| PublishedView { mid: mid.to_string(), track: (*track).into() })
                .collect(),
            assigned: participant.assigned_views(),
        })
    }

    /// Gives an offer to the engine, with what was said of its m-lines before.
    pub(super) async fn negotiate(
        &self,
        room: &str,
        id: ParticipantId,
        mut offer: Offer,
    ) -> Result<Negotiated, SessionError> {
        let (worker, peer, publish) = {
            let mut registry = self.registry.lock();
            if let Some(room) = registry.room_by_name.get(room) {
                room.settings.restrict(&mut offer);
            }
            let (worker, participant) =
                registry.participant(room, id).ok_or_else(SessionError::gone)?;
            let peer = participant.peer.ok_or_else(SessionError::gone)?;
            (worker, peer, participant.publish_requests.values().cloned().collect())
        };
        let command = Command::Offer { peer, offer: Box::new(offer), publish };
        match self.media.call(worker, command).await? {
            Reply::Answer { answer, published } => {
                if let Some((_, participant)) = self.registry.lock().participant(room, id) {
                    for (mid, _) in &published {
                        participant.publish_requests.remove(mid);
                    }
                }
                let key = |(mid, id)| (mid, TrackKey { worker, id });
                Ok(Negotiated { answer, published: published.into_iter().map(key).collect() })
            }
            _ => Err(MediaError::Panicked.into()),
        }
    }
}

/// Reads an offer; a long one where others need not wait for it.
pub(super) async fn parse_offer(sdp: String) -> Result<Offer, SessionError> {
    if sdp.len() > SDP_BYTES_MAX {
        return Err(SessionError::new(ErrorCode::SdpTooLarge, "the SDP is longer than 64 KiB"));
    }
    if sdp.len() <= limits::SDP_INLINE_BYTES_MAX {
        return Ok(Offer::parse(&sdp)?);
    }
    let parsed = tokio::task::spawn_blocking(move || Offer::parse(&sdp)).await;
    Ok(parsed.map_err(|_| SessionError::from(MediaError::Panicked))??)
}

/// Writes an answer; a long one where others need not wait for it.
pub(super) async fn render_answer(answer: Box<Answer>) -> String {
    if answer.sections.len() <= SECTIONS_INLINE_MAX {
        return answer.to_sdp();
    }
    tokio::task::spawn_blocking(move || answer.to_sdp()).await.unwrap_or_default()
}
