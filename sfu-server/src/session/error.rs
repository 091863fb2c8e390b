//! Why a request failed, as every door can say it.

use sfu_core::command::CommandError;
use sfu_core::negotiation::OfferError;

use super::message::ErrorCode;
use crate::media::MediaError;

/// A request that was not carried out, and what to say of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct SessionError {
    pub(crate) code: ErrorCode,
    pub(crate) detail: String,
}

impl SessionError {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// The participant or its room has gone in the meantime.
    pub(crate) fn gone() -> Self {
        Self::new(ErrorCode::NotJoined, "this participant is no longer in the room")
    }

    /// The server is full.
    pub(crate) fn overloaded() -> Self {
        Self::new(ErrorCode::Overloaded, "the server is overloaded; try again later")
    }

    /// There is no token, or it does not count. Which of the two, or why, is not said.
    pub(crate) fn unauthorized() -> Self {
        Self::new(ErrorCode::Unauthorized, "a valid token is needed")
    }

    /// The server is about to stop.
    pub(crate) fn draining() -> Self {
        Self::new(ErrorCode::Draining, "the server is about to stop; try again later")
    }
}

impl From<MediaError> for SessionError {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::Refused(refusal) => refusal.into(),
            MediaError::Overloaded => Self::overloaded(),
            MediaError::Panicked => Self::new(ErrorCode::Internal, "internal error"),
            MediaError::Stopped => Self::draining(),
        }
    }
}

impl From<CommandError> for SessionError {
    fn from(error: CommandError) -> Self {
        let code = match error {
            CommandError::NoSuchRoom | CommandError::NoSuchPeer | CommandError::OwnWorker => {
                ErrorCode::NotJoined
            }
            CommandError::NoSuchTrack | CommandError::MirroredTrack => ErrorCode::NoSuchTrack,
            CommandError::NoTransport
            | CommandError::FingerprintChanged
            | CommandError::Negotiation(_) => ErrorCode::SdpUnsupported,
            CommandError::Limit(_) => ErrorCode::Limit,
            CommandError::NotPermitted => ErrorCode::Forbidden,
        };
        Self::new(code, error.to_string())
    }
}

impl From<OfferError> for SessionError {
    fn from(error: OfferError) -> Self {
        let code = match error {
            OfferError::TooLarge => ErrorCode::SdpTooLarge,
            OfferError::Malformed(_) => ErrorCode::SdpMalformed,
            OfferError::Unsupported(_) => ErrorCode::SdpUnsupported,
        };
        Self::new(code, error.to_string())
    }
}
