//! RTCP waiting to be sent to one peer, packed into compound packets.

/// Longest compound packet: leaves room for SRTCP's trailer and tunnels under an MTU of 1280.
const COMPOUND_BYTES_MAX: usize = 1180;
/// Bytes waiting at most; what is beyond is not written. Reports are repeated anyway.
const QUEUE_BYTES_MAX: usize = 16 * 1024;

/// Messages in order; those that fit share a datagram.
#[derive(Debug, Default)]
pub struct RtcpQueue {
    bytes: Vec<u8>,
    /// Where each compound packet but the last ends.
    ends: Vec<usize>,
}

impl RtcpQueue {
    /// Appends one RTCP message, written by `write`.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.bytes.len() > QUEUE_BYTES_MAX {
            return;
        }
        let before = self.bytes.len();
        write(&mut self.bytes);
        let begin = self.ends.last().copied().unwrap_or(0);
        if before > begin && self.bytes.len() - begin > COMPOUND_BYTES_MAX {
            self.ends.push(before);
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Each compound packet.
    pub fn compounds(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let ends = self.ends.iter().copied().chain(std::iter::once(self.bytes.len()));
        begins.zip(ends).map(|(begin, end)| &self.bytes[begin..end]).filter(|c| !c.is_empty())
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_share_a_datagram_until_it_is_full() {
        let mut queue = RtcpQueue::default();
        for len in [400, 400, 400, 1400, 8] {
            queue.push(|out| out.extend(std::iter::repeat_n(0u8, len)));
        }
        let lengths: Vec<_> = queue.compounds().map(<[u8]>::len).collect();
        assert_eq!(lengths, [800, 400, 1400, 8]);
        queue.clear();
        assert!(queue.is_empty() && queue.compounds().next().is_none());
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut queue = RtcpQueue::default();
        for _ in 0..1000 {
            queue.push(|out| out.extend([0u8; 100]));
        }
        assert!(queue.bytes.len() <= QUEUE_BYTES_MAX + 100);
    }
}
