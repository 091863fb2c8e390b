//! Whose datagram is this? By its path once ICE has validated it, else by the ufrag of a STUN
//! check. Nothing but STUN is read from an address that ICE has not validated.

use std::collections::{HashMap, VecDeque};

use crate::drops::DropReason;
use crate::id::PeerId;
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::transport::{IceCredentials, Path};

/// What a datagram is, by its first bytes (RFC 7983 §7, RFC 5761 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// STUN.
    Stun,
    /// DTLS.
    Dtls,
    /// RTP, sealed or not.
    Rtp,
    /// RTCP, sealed or not.
    Rtcp,
}

/// Tells the protocols on one port apart. Reads two bytes.
pub fn classify(datagram: &[u8]) -> Result<Kind, DropReason> {
    if datagram.len() > DATAGRAM_BYTES_MAX {
        return Err(DropReason::Oversize);
    }
    match *datagram {
        [0..=3, ..] => Ok(Kind::Stun),
        [20..=63, ..] => Ok(Kind::Dtls),
        // The second byte is marker and payload type in RTP, the packet type in RTCP.
        [128..=191, 192..=223, ..] => Ok(Kind::Rtcp),
        [128..=191, _, ..] => Ok(Kind::Rtp),
        _ => Err(DropReason::Unclassified),
    }
}

/// Peers by the two names a datagram can carry. Look-ups only: nothing is ever scanned.
///
/// Both maps hold what the transports own (at most [`crate::limits::PATHS_PER_PEER_MAX`] paths
/// and two ufrags for each of [`crate::limits::PEERS_MAX`] peers). They use the standard keyed
/// hasher, for a remote address is chosen by the wire.
#[derive(Debug, Default)]
pub struct Demux {
    peer_by_path: HashMap<Path, PeerId>,
    peer_by_ufrag: HashMap<Box<str>, PeerId>,
    /// What became of paths and was not polled yet; `None` while nobody asks.
    changes: Option<VecDeque<PathChange>>,
}

/// What became of a path. Only authenticated checks, and the end of what they began, cause one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// It leads to a peer of this engine from now on.
    Learned(Path),
    /// It leads to none any more.
    Forgotten(Path),
    /// Another engine learnt it, and it leads to a peer of this one all the same: that is heard there.
    Kept(Path),
}

impl PathChange {
    /// The path it is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Learned(path) | Self::Forgotten(path) | Self::Kept(path) => path,
        }
    }
}

impl Demux {
    /// From now on keeps [`PathChange`]s for [`Demux::poll_change`], which is to be called until
    /// `None` after every batch of input: a datagram makes two at most.
    pub fn watch_paths(&mut self) {
        self.changes.get_or_insert_default();
    }

    /// The next change, the oldest first.
    pub fn poll_change(&mut self) -> Option<PathChange> {
        self.changes.as_mut()?.pop_front()
    }

    /// The peer that validated `path`.
    #[must_use]
    pub fn peer_by_path(&self, path: &Path) -> Option<PeerId> {
        self.peer_by_path.get(path).copied()
    }

    /// The peer named by the ufrag of a STUN check. Copies and allocates nothing.
    pub fn peer_by_stun(&self, datagram: &[u8]) -> Result<PeerId, DropReason> {
        let username = stun_username(datagram).ok_or(DropReason::StunMalformed)?;
        let local = local_ufrag(username).ok_or(DropReason::StunUnknownUfrag)?;
        self.peer_by_ufrag.get(local).copied().ok_or(DropReason::StunUnknownUfrag)
    }

    /// From now on `path` is `peer`'s. Returns the peer it was taken from, if any: an address
    /// may change hands, and an authenticated check says so.
    pub fn learn_path(&mut self, path: Path, peer: PeerId) -> Option<PeerId> {
        if let Some(changes) = &mut self.changes {
            changes.push_back(PathChange::Learned(path));
        }
        self.peer_by_path.insert(path, peer).filter(|&former| former != peer)
    }

    /// `path` is no longer `peer`'s. Does nothing if it is another's by now.
    pub fn forget_path(&mut self, path: &Path, peer: PeerId) {
        if self.peer_by_path(path) == Some(peer) {
            self.peer_by_path.remove(path);
            if let Some(changes) = &mut self.changes {
                changes.push_back(PathChange::Forgotten(*path));
            }
        }
    }

    /// From now on checks that name `ufrag` are `peer`'s. Returns whether the ufrag was free;
    /// if not, nothing changes and the caller has to draw another one.
    pub fn learn_ufrag(&mut self, ufrag: &str, peer: PeerId) -> bool {
        match self.peer_by_ufrag.get(ufrag) {
            Some(&owner) => owner == peer,
            None => {
                self.peer_by_ufrag.insert(ufrag.into(), peer);
                true
            }
        }
    }

    /// Checks that name `ufrag` are nobody's any more.
    pub fn forget_ufrag(&mut self, ufrag: &str) {
        self.peer_by_ufrag.remove(ufrag);
    }

    /// How many paths and how many ufrags are known.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        (self.peer_by_path.len(), self.peer_by_ufrag.len())
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }
}

/// The worker that answers a STUN check, by the ufrag it names. Reads no further than the USERNAME.
#[must_use]
pub fn worker_of_check(datagram: &[u8]) -> Option<u8> {
    IceCredentials::worker_of_ufrag(local_ufrag(stun_username(datagram)?)?)
}

/// The worker whose check a success answer is to: the first byte of the transaction.
#[must_use]
pub fn worker_of_answer(datagram: &[u8]) -> Option<u8> {
    is_stun_answer(datagram).then(|| stun_transaction(datagram)).flatten().map(|t| t[0])
}

/// Whether it is the success answer to a Binding request (RFC 8489 §5).
#[must_use]
pub fn is_stun_answer(datagram: &[u8]) -> bool {
    datagram.starts_with(&[1, 1])
}

/// The transaction of a STUN message.
#[must_use]
pub fn stun_transaction(datagram: &[u8]) -> Option<[u8; 12]> {
    let header = datagram.get(..STUN_HEADER_BYTES)?;
    (header[4..8] == STUN_MAGIC_COOKIE).then(|| header[8..].try_into().ok()).flatten()
}

/// The receiver's half of a USERNAME (RFC 8445 §7.2.2): what stands before the colon.
fn local_ufrag(username: &[u8]) -> Option<&str> {
    let colon = username.iter().position(|&b| b == b':')?;
    std::str::from_utf8(&username[..colon]).ok()
}

const STUN_HEADER_BYTES: usize = 20;
const STUN_MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const STUN_USERNAME: u16 = 0x0006;

/// The value of the first USERNAME attribute (RFC 8489 §14.3), read in place.
/// `None` if the message is malformed before it, or has none.
#[must_use]
pub fn stun_username(datagram: &[u8]) -> Option<&[u8]> {
    let (header, mut attributes) = datagram.split_at_checked(STUN_HEADER_BYTES)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[4..8] != STUN_MAGIC_COOKIE || length != attributes.len() || length % 4 != 0 {
        return None;
    }
    while let Some((head, rest)) = attributes.split_at_checked(4) {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let bytes = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(..bytes)?;
        if kind == STUN_USERNAME {
            return Some(value);
        }
        attributes = rest.get(bytes.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u64) -> PeerId {
        slotmap::KeyData::from_ffi(n << 32 | 1).into()
    }

    fn path(port: u16) -> Path {
        Path::udp(([192, 0, 2, 1], port), None)
    }

    /// A Binding request with the given attributes.
    fn binding(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![];
        for (kind, value) in attributes {
            body.extend_from_slice(&kind.to_be_bytes());
            body.extend_from_slice(&(value.len() as u16).to_be_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = vec![0, 1];
        message.extend_from_slice(&(body.len() as u16).to_be_bytes());
        message.extend_from_slice(&STUN_MAGIC_COOKIE);
        message.extend_from_slice(&[7; 12]);
        message.extend_from_slice(&body);
        message
    }

    #[test]
    fn every_first_byte_is_classified_as_rfc_7983_says() {
        for first in 0..=255u8 {
            let expected = match first {
                0..=3 => Ok(Kind::Stun),
                20..=63 => Ok(Kind::Dtls),
                128..=191 => Ok(Kind::Rtp),
                _ => Err(DropReason::Unclassified),
            };
            assert_eq!(classify(&[first, 96, 0, 0]), expected, "{first}");
        }
        assert_eq!(classify(&[]), Err(DropReason::Unclassified));
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_packet_type() {
        for second in 0..=255u8 {
            let rtcp = (192..=223).contains(&second);
            let expected = if rtcp { Kind::Rtcp } else { Kind::Rtp };
            assert_eq!(classify(&[0x80, second]), Ok(expected), "{second}");
        }
    }

    #[test]
    fn datagrams_over_the_limit_are_not_looked_at() {
        assert_eq!(classify(&[0; DATAGRAM_BYTES_MAX]), Ok(Kind::Stun));
        assert_eq!(classify(&[0; DATAGRAM_BYTES_MAX + 1]), Err(DropReason::Oversize));
    }

    #[test]
    fn a_check_finds_its_peer_by_the_local_ufrag() {
        let mut demux = Demux::default();
        assert!(demux.learn_ufrag("00abcdefgh", peer(1)));
        let check = binding(&[(0x8022, b"x"), (STUN_USERNAME, b"00abcdefgh:remote")]);
        assert_eq!(demux.peer_by_stun(&check), Ok(peer(1)));
        let other = binding(&[(STUN_USERNAME, b"remote:00abcdefgh")]);
        assert_eq!(demux.peer_by_stun(&other), Err(DropReason::StunUnknownUfrag));
        demux.forget_ufrag("00abcdefgh");
        assert_eq!(demux.peer_by_stun(&check), Err(DropReason::StunUnknownUfrag));
    }

    #[test]
    fn a_ufrag_in_use_is_not_given_away() {
        let mut demux = Demux::default();
        assert!(demux.learn_ufrag("00abcdefgh", peer(1)));
        assert!(!demux.learn_ufrag("00abcdefgh", peer(2)));
        assert!(demux.learn_ufrag("00abcdefgh", peer(1)));
    }

    #[test]
    fn truncated_stun_names_nobody_and_does_not_panic() {
        let mut demux = Demux::default();
        demux.learn_ufrag("00abcdefgh", peer(1));
        let check = binding(&[(STUN_USERNAME, b"00abcdefgh:remote"), (0x8022, b"tail")]);
        for length in 0..check.len() {
            assert_eq!(
                demux.peer_by_stun(&check[..length]),
                Err(DropReason::StunMalformed),
                "{length}"
            );
        }
        let mut overlong = check.clone();
        overlong[23] = 0xff;
        assert_eq!(demux.peer_by_stun(&overlong), Err(DropReason::StunMalformed));
    }

    #[test]
    fn a_check_names_the_worker_that_answers_it() {
        let mut rng = rand_pcg::Pcg64Mcg::new(1);
        let ufrag = IceCredentials::generate(&mut rng, 67).ufrag;
        let check = binding(&[(STUN_USERNAME, format!("{ufrag}:remote").as_bytes())]);
        assert_eq!(worker_of_check(&check), Some(67));
        for other in ["", "x", ":remote", "67", "é§:remote"] {
            let check = binding(&[(STUN_USERNAME, other.as_bytes())]);
            assert_eq!(worker_of_check(&check), None, "{other}");
        }
        assert_eq!(worker_of_check(&binding(&[])), None);
    }

    #[test]
    fn changes_of_paths_are_told_in_order_to_who_asks() {
        let mut demux = Demux::default();
        demux.learn_path(path(1), peer(1));
        assert_eq!(demux.poll_change(), None, "nobody asked");
        demux.watch_paths();
        demux.learn_path(path(2), peer(1));
        demux.learn_path(path(2), peer(2));
        demux.forget_path(&path(2), peer(1));
        demux.forget_path(&path(2), peer(2));
        let told: Vec<PathChange> = std::iter::from_fn(|| demux.poll_change()).collect();
        let learned = PathChange::Learned(path(2));
        assert_eq!(told, [learned, learned, PathChange::Forgotten(path(2))]);
    }

    #[test]
    fn a_path_that_changed_hands_is_not_forgotten_by_its_former_owner() {
        let mut demux = Demux::default();
        assert_eq!(demux.learn_path(path(1), peer(1)), None);
        assert_eq!(demux.learn_path(path(1), peer(1)), None);
        assert_eq!(demux.learn_path(path(1), peer(2)), Some(peer(1)));
        demux.forget_path(&path(1), peer(1));
        assert_eq!(demux.peer_by_path(&path(1)), Some(peer(2)));
        demux.forget_path(&path(1), peer(2));
        assert!(demux.is_empty());
    }
}
