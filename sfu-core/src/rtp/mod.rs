//! What RTP and RTCP packets say. Borrowed views and builders; nothing here rewrites or routes.

pub mod extension;
