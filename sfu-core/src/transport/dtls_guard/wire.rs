//! Reads what the guard looks at: record headers, handshake fragments, and a ClientHello as far as
//! cookie and SRTP profiles. Every length is checked against what is there.

use crate::limits::DTLS_MESSAGE_BYTES_MAX;

/// Bytes of one record header (RFC 6347 §4.1).
pub(in crate::transport) const RECORD_HEADER_BYTES: usize = 13;
/// Bytes of one handshake header (RFC 6347 §4.2.2).
pub(in crate::transport) const HANDSHAKE_HEADER_BYTES: usize = 12;

/// One fragment of a handshake message (RFC 6347 §4.2.3).
pub(super) struct Fragment<'a> {
    pub(super) kind: u8,
    pub(super) message_bytes: usize,
    pub(super) sequence: u16,
    pub(super) offset: usize,
    pub(super) body: &'a [u8],
}

/// The first record of a datagram and what follows it.
pub(super) fn split_record(datagram: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = datagram.get(..RECORD_HEADER_BYTES)?;
    let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
    let is_record = header[1] == 0xfe && length > 0;
    is_record.then(|| datagram.split_at_checked(RECORD_HEADER_BYTES + length)).flatten()
}

pub(super) fn split_fragment(body: &[u8]) -> Option<(Fragment<'_>, &[u8])> {
    let (header, rest) = body.split_at_checked(HANDSHAKE_HEADER_BYTES)?;
    let number = |at: usize| {
        usize::from(header[at]) << 16
            | usize::from(header[at + 1]) << 8
            | usize::from(header[at + 2])
    };
    let (message_bytes, offset, length) = (number(1), number(6), number(9));
    let (body, after) = rest.split_at_checked(length)?;
    let empty = length == 0 && message_bytes > 0;
    if message_bytes > DTLS_MESSAGE_BYTES_MAX || offset + length > message_bytes || empty {
        return None;
    }
    let sequence = u16::from_be_bytes([header[4], header[5]]);
    Some((Fragment { kind: header[0], message_bytes, sequence, offset, body }, after))
}

/// A vector with an `N`-byte length before it (RFC 5246 §4.3), and what follows it.
pub(super) fn prefixed<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(N)?;
    rest.split_at_checked(length.iter().fold(0, |n, &b| n << 8 | usize::from(b)))
}

/// The cookie of a ClientHello (RFC 6347 §4.2.1).
pub(super) fn hello_cookie(client_hello: &[u8]) -> Option<&[u8]> {
    let (_session, rest) = prefixed::<1>(client_hello.get(2 + 32..)?)?;
    prefixed::<1>(rest).map(|(cookie, _)| cookie)
}

/// The SRTP protection profiles a ClientHello offers in use_srtp (RFC 5764 §4.1.1), in its order.
pub(in crate::transport) fn hello_srtp_profiles(client_hello: &[u8]) -> Vec<u16> {
    const USE_SRTP: [u8; 2] = [0, 14];
    let extensions = || {
        let (_session, rest) = prefixed::<1>(client_hello.get(2 + 32..)?)?;
        let (_cookie, rest) = prefixed::<1>(rest)?;
        let (_suites, rest) = prefixed::<2>(rest)?;
        let (_compression, rest) = prefixed::<1>(rest)?;
        prefixed::<2>(rest).map(|(extensions, _)| extensions)
    };
    let mut rest = extensions().unwrap_or_default();
    while let Some((kind, after)) = rest.split_at_checked(2) {
        let Some((body, after)) = prefixed::<2>(after) else { break };
        if kind == USE_SRTP {
            let profiles = prefixed::<2>(body).map_or(&[][..], |(profiles, _)| profiles);
            return profiles.chunks_exact(2).map(|p| u16::from_be_bytes([p[0], p[1]])).collect();
        }
        rest = after;
    }
    Vec::new()
}
