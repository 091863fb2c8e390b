//! [`ReceiveBatch`]: many datagrams by one `recvmmsg`, runs unseparated, with the kernel's stamps.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// The largest run the kernel hands over.
const BUFFER_BYTES: usize = 65_536;
/// Room for the control messages of one run: its segment size and its time stamp.
const CONTROL_BYTES: usize = 128;

/// A run of datagrams from one sender: all `segment` bytes long but the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagrams<'a> {
    /// All of them.
    pub(crate) bytes: &'a [u8],
    /// Length of each but the last.
    pub(crate) segment: usize,
    /// When the kernel got it, in nanoseconds since 1970; 0 unless stamps were asked for.
    pub(crate) stamp_ns: u64,
    /// The sender's port.
    pub(crate) port: u16,
}

impl<'a> Datagrams<'a> {
    /// Each datagram.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.bytes.chunks(self.segment)
    }
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_BYTES]);

/// Buffers for one `recvmmsg`.
pub(crate) struct ReceiveBatch {
    buffers: Vec<Box<[u8]>>,
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    addresses: Vec<libc::sockaddr_in>,
    controls: Vec<Control>,
    /// System calls so far.
    pub(crate) calls: u64,
}

// SAFETY: the pointers inside are written and used within one call of `receive` only.
unsafe impl Send for ReceiveBatch {}

impl ReceiveBatch {
    /// Takes up to `messages` runs at a time.
    #[must_use]
    pub(crate) fn new(messages: usize) -> Self {
        // SAFETY: these are structures of integers and pointers; all zeroes are valid ones.
        let (header, vector, address) = unsafe { std::mem::zeroed() };
        Self {
            buffers: vec![vec![0; BUFFER_BYTES].into_boxed_slice(); messages],
            headers: vec![header; messages],
            vectors: vec![vector; messages],
            addresses: vec![address; messages],
            controls: vec![Control([0; CONTROL_BYTES]); messages],
            calls: 0,
        }
    }

    /// Whether a call that gave `runs` has left nothing behind.
    #[must_use]
    pub(crate) fn was_last(&self, runs: usize) -> bool {
        runs < self.buffers.len()
    }

    /// Receives what is there, by one system call, and gives each run to `each`. 0: nothing was
    /// there. Blocks if the socket does, until there is something.
    pub(crate) fn receive(
        &mut self,
        socket: &UdpSocket,
        mut each: impl FnMut(Datagrams<'_>),
    ) -> io::Result<usize> {
        for at in 0..self.buffers.len() {
            self.vectors[at].iov_base = self.buffers[at].as_mut_ptr().cast();
            self.vectors[at].iov_len = BUFFER_BYTES;
            let header = &mut self.headers[at].msg_hdr;
            header.msg_name = (&raw mut self.addresses[at]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[at];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[at].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES as _;
        }
        self.calls += 1;
        // SAFETY: every header is filled, and the buffers it points to are this structure's own.
        // MSG_WAITFORONE: after the first message the call does not wait for another.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_WAITFORONE,
                std::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            return match io::Error::last_os_error() {
                e if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    Ok(0)
                }
                e => Err(e),
            };
        };
        for at in 0..count {
            let header = &self.headers[at];
            let length = header.msg_len as usize;
            let (segment, stamp_ns) = read_control(&header.msg_hdr);
            let segment = segment.unwrap_or(length).max(1);
            let port = u16::from_be(self.addresses[at].sin_port);
            each(Datagrams { bytes: &self.buffers[at][..length], segment, stamp_ns, port });
        }
        Ok(count)
    }
}

/// Segment size and time stamp, as far as the kernel told.
fn read_control(header: &libc::msghdr) -> (Option<usize>, u64) {
    let (mut segment, mut stamp) = (None, 0);
    // SAFETY: the kernel has filled the control buffer and its length; the macros walk within it,
    // and each value is read as what its level and type say it is.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while let Some(control) = at.as_ref() {
            let data = libc::CMSG_DATA(at);
            match (control.cmsg_level, control.cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    segment = usize::try_from(data.cast::<libc::c_int>().read_unaligned()).ok();
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time = data.cast::<libc::timespec>().read_unaligned();
                    stamp = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
                }
                _ => {}
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
    (segment, stamp)
}

/// Asks for runs to be handed over whole, and for time stamps.
pub(crate) fn offer_stamps_and_gro(socket: &UdpSocket) -> io::Result<()> {
    for (level, option) in
        [(libc::SOL_UDP, libc::UDP_GRO), (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)]
    {
        let on: libc::c_int = 1;
        // SAFETY: the call reads the one integer it is given.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::sys::{SendBatch, realtime_ns};

    #[test]
    fn runs_come_whole_and_stamped() {
        let to = UdpSocket::bind("127.0.0.1:0").unwrap();
        offer_stamps_and_gro(&to).unwrap();
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = to.local_addr().unwrap() else { panic!("bound to IPv4") };
        let before = realtime_ns();
        let mut batch = SendBatch::new(2);
        batch.push(address, 0..250, 100);
        batch.push(address, 0..10, 10);
        batch.flush(&from, &[7; 250]).unwrap();
        let mut receive = ReceiveBatch::new(8);
        let mut got = Vec::new();
        while got.len() < 4 {
            receive
                .receive(&to, |run| {
                    assert!(run.stamp_ns >= before && run.stamp_ns <= realtime_ns());
                    assert_eq!(run.port, from.local_addr().unwrap().port());
                    got.extend(run.iter().map(<[u8]>::len));
                })
                .unwrap();
        }
        assert_eq!(got, [100, 100, 50, 10]);
        to.set_nonblocking(true).unwrap();
        assert_eq!(receive.receive(&to, |_| panic!("nothing is left")).unwrap(), 0);
        assert!(receive.was_last(0));
    }
}
