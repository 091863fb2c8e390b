//! What RTP and RTCP packets say. Borrowed views and builders; nothing here rewrites or routes.

pub mod audio_level;
pub mod av1;
pub mod codec_view;
pub mod dependency_descriptor;
pub mod extension;
pub mod h264;
pub mod header;
pub mod packet;
pub mod red;
pub mod rtcp;
pub mod sequence;
pub mod vp8;
pub mod vp9;
