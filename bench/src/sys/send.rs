//! [`SendBatch`]: many datagrams, or runs of them, in one `sendmmsg`.

use std::io::{self, ErrorKind};
use std::net::{SocketAddrV4, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;

/// Room for one control message of two bytes, aligned as the kernel wants it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 24]);

/// Messages that wait for one system call. The bytes are elsewhere, in one arena.
pub(crate) struct SendBatch {
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    addresses: Vec<libc::sockaddr_in>,
    controls: Vec<Control>,
    messages: Vec<(Range<usize>, u16)>,
    /// System calls so far.
    pub(crate) calls: u64,
}

// SAFETY: the pointers inside are written and used within one call of `flush` only.
unsafe impl Send for SendBatch {}

impl SendBatch {
    /// A batch of up to `messages` messages.
    #[must_use]
    pub(crate) fn new(messages: usize) -> Self {
        // SAFETY: these are structures of integers and pointers; all zeroes are valid ones.
        let (header, vector, address) = unsafe { std::mem::zeroed() };
        Self {
            headers: vec![header; messages],
            vectors: vec![vector; messages],
            addresses: vec![address; messages],
            controls: vec![Control([0; 24]); messages],
            messages: Vec::with_capacity(messages),
            calls: 0,
        }
    }

    /// Whether it has to be flushed before more goes in.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.messages.len() == self.headers.len()
    }

    /// Adds a message: `range` of the arena, which the kernel cuts into datagrams of `segment`
    /// bytes unless it is one already.
    pub(crate) fn push(&mut self, to: SocketAddrV4, range: Range<usize>, segment: u16) {
        let at = self.messages.len();
        let address = &mut self.addresses[at];
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = to.port().to_be();
        address.sin_addr.s_addr = u32::from(*to.ip()).to_be();
        self.messages.push((range, segment));
    }

    /// Sends everything, waiting for room in the kernel's buffer where it must.
    pub(crate) fn flush(&mut self, socket: &UdpSocket, arena: &[u8]) -> io::Result<()> {
        for (at, (range, segment)) in self.messages.iter().enumerate() {
            let bytes = &arena[range.clone()];
            self.vectors[at].iov_base = bytes.as_ptr().cast_mut().cast();
            self.vectors[at].iov_len = bytes.len();
            let header = &mut self.headers[at].msg_hdr;
            header.msg_name = (&raw mut self.addresses[at]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[at];
            header.msg_iovlen = 1;
            header.msg_control = std::ptr::null_mut();
            header.msg_controllen = 0;
            if bytes.len() > usize::from(*segment) {
                header.msg_control = self.controls[at].0.as_mut_ptr().cast();
                // SAFETY: the buffer holds one control message of two bytes (CMSG_SPACE(2) is 24),
                // and is aligned for its header.
                unsafe {
                    header.msg_controllen = libc::CMSG_SPACE(2) as _;
                    let control = libc::CMSG_FIRSTHDR(header);
                    (*control).cmsg_level = libc::SOL_UDP;
                    (*control).cmsg_type = libc::UDP_SEGMENT;
                    (*control).cmsg_len = libc::CMSG_LEN(2) as _;
                    libc::CMSG_DATA(control).cast::<u16>().write_unaligned(*segment);
                }
            }
        }
        let count = self.messages.len();
        self.messages.clear();
        let mut sent = 0;
        while sent < count {
            self.calls += 1;
            // SAFETY: `count` headers are filled, and what they point to (vectors, addresses,
            // controls, the arena) is alive and unmoved until the call returns.
            let result = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.headers[sent..].as_mut_ptr(),
                    (count - sent) as libc::c_uint,
                    0,
                )
            };
            match usize::try_from(result) {
                Ok(more) => sent += more,
                Err(_) => match io::Error::last_os_error() {
                    e if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                    e if e.kind() == ErrorKind::Interrupted => {}
                    e => return Err(e),
                },
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn runs_and_single_datagrams_arrive_as_they_were_cut() {
        let to = UdpSocket::bind("127.0.0.1:0").unwrap();
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = to.local_addr().unwrap() else { panic!("bound to IPv4") };
        let arena: Vec<u8> = (0..250).collect();
        let mut batch = SendBatch::new(3);
        batch.push(address, 0..250, 100);
        batch.push(address, 10..20, 100);
        batch.push(address, 20..120, 100);
        assert!(batch.is_full());
        batch.flush(&from, &arena).unwrap();
        assert_eq!(batch.calls, 1);
        let mut buffer = [0; 300];
        let mut got = Vec::new();
        for _ in 0..5 {
            let length = to.recv(&mut buffer).unwrap();
            got.push((buffer[0], length));
        }
        assert_eq!(got, [(0, 100), (100, 100), (200, 50), (10, 10), (20, 100)]);
    }
}
