//! `sendmmsg`: datagrams and runs for many addresses in one system call. The only `unsafe` of this
//! project, since no library writes a segment size of its own into each message of a batch.
//!
//! **Why it is sound.** Everything the kernel reads lies in arrays on this call's stack, or in the
//! borrowed contents, which outlive the call; pointers to them do not leave it. The kernel writes
//! nothing but the lengths in the message headers.
#![allow(unsafe_code, reason = "the system call reads through pointers; see above")]

use std::io;
use std::mem::{MaybeUninit, offset_of, size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use super::send::Message;

/// Messages of one call. More save nothing that could be measured.
pub(super) const MESSAGES_MAX: usize = 64;

/// Hands the first messages to the kernel, [`MESSAGES_MAX`] at most, and gives how many it took.
///
/// # Errors
/// Why the first message was not taken.
pub(super) fn send_many(socket: BorrowedFd<'_>, messages: &[Message<'_>]) -> io::Result<usize> {
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MESSAGES_MAX];
    let mut names = [const { MaybeUninit::<Name>::uninit() }; MESSAGES_MAX];
    let mut contents = [const { MaybeUninit::<libc::iovec>::uninit() }; MESSAGES_MAX];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; MESSAGES_MAX];
    let places = headers.iter_mut().zip(&mut names).zip(contents.iter_mut().zip(&mut controls));
    let mut count = 0;
    for (message, ((header, name), (content, control))) in messages.iter().zip(places) {
        // SAFETY: a C structure of integers and pointers, for which zeros are a value.
        let header = header.write(unsafe { zeroed() });
        let (name, name_bytes) = Name::write(name, message.remote);
        let content = content.write(libc::iovec {
            iov_base: message.contents.as_ptr().cast_mut().cast(),
            iov_len: message.contents.len(),
        });
        header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
        header.msg_hdr.msg_namelen = name_bytes as libc::socklen_t;
        header.msg_hdr.msg_iov = content;
        header.msg_hdr.msg_iovlen = 1;
        let (control, control_bytes) = Control::write(control, message);
        if control_bytes > 0 {
            header.msg_hdr.msg_control = control;
            header.msg_hdr.msg_controllen = control_bytes as _;
        }
        count += 1;
    }
    if count == 0 {
        return Ok(0);
    }
    // SAFETY: the first `count` headers are initialised, and what they point to as well.
    let taken = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr().cast(),
            count,
            libc::MSG_DONTWAIT as _,
        )
    };
    usize::try_from(taken).map_err(|_| io::Error::last_os_error())
}

/// A destination as the kernel reads it.
#[repr(C)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Name {
    /// Gives also the length of what was written.
    fn write(place: &mut MaybeUninit<Self>, remote: SocketAddr) -> (&mut Self, usize) {
        match remote {
            SocketAddr::V4(remote) => {
                let v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: remote.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(remote.ip().octets()) },
                    sin_zero: [0; 8],
                };
                (place.write(Self { v4 }), size_of::<libc::sockaddr_in>())
            }
            SocketAddr::V6(remote) => {
                let v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: remote.port().to_be(),
                    sin6_flowinfo: remote.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: remote.ip().octets() },
                    sin6_scope_id: remote.scope_id(),
                };
                (place.write(Self { v6 }), size_of::<libc::sockaddr_in6>())
            }
        }
    }
}

/// The control messages of one message, in the layout of cmsg(3): the segment size, then the
/// address to send from. What is not wanted of it is left out at either end.
#[repr(C)]
struct Control {
    segment: Element<u16>,
    source: Element<Source>,
}

/// A header and its data, followed by the padding that the next one needs.
#[repr(C)]
struct Element<T> {
    header: libc::cmsghdr,
    data: T,
    _aligned: [usize; 0],
}

#[repr(C)]
union Source {
    v4: libc::in_pktinfo,
    v6: libc::in6_pktinfo,
}

const _: () = {
    assert!(size_of::<Element<u16>>() == cmsg_space::<u16>());
    assert!(offset_of!(Element<u16>, data) == cmsg_length::<u16>() - size_of::<u16>());
    assert!(offset_of!(Element<Source>, data) == offset_of!(Element<u16>, data));
    assert!(align_of::<Control>() >= align_of::<libc::cmsghdr>());
};

/// What an element takes, with the padding behind it.
const fn cmsg_space<T>() -> usize {
    // SAFETY: it only adds up numbers.
    unsafe { libc::CMSG_SPACE(size_of::<T>() as _) as usize }
}

/// What is written as an element's length.
const fn cmsg_length<T>() -> usize {
    // SAFETY: as above.
    unsafe { libc::CMSG_LEN(size_of::<T>() as _) as usize }
}

impl Control {
    /// Gives where what is wanted begins, and its length.
    fn write(place: &mut MaybeUninit<Self>, message: &Message<'_>) -> (*mut libc::c_void, usize) {
        let segments = message.is_run();
        let (source, source_bytes) = match message.local {
            None => (Source { v4: NOWHERE }, 0),
            Some(IpAddr::V4(local)) => {
                let spec = libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) };
                let v4 = libc::in_pktinfo { ipi_spec_dst: spec, ..NOWHERE };
                (Source { v4 }, cmsg_length::<libc::in_pktinfo>())
            }
            Some(IpAddr::V6(local)) => {
                let ipi6_addr = libc::in6_addr { s6_addr: local.octets() };
                let v6 = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
                (Source { v6 }, cmsg_length::<libc::in6_pktinfo>())
            }
        };
        let (level, kind) = match message.local {
            Some(IpAddr::V6(_)) => (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
            _ => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        };
        let written = place.write(Self {
            segment: Element {
                header: header(cmsg_length::<u16>(), libc::SOL_UDP, libc::UDP_SEGMENT),
                data: message.segment_bytes,
                _aligned: [],
            },
            source: Element {
                header: header(source_bytes, level, kind),
                data: source,
                _aligned: [],
            },
        });
        let start = std::ptr::from_mut(written).cast::<libc::c_void>();
        let source_at = offset_of!(Self, source);
        match (segments, source_bytes) {
            (true, 0) => (start, cmsg_length::<u16>()),
            (true, bytes) => (start, source_at + bytes),
            // SAFETY: an offset of one of its own fields.
            (false, bytes) => (unsafe { start.byte_add(source_at) }, bytes),
        }
    }
}

/// No address, no interface: the kernel's routes decide.
const NOWHERE: libc::in_pktinfo = libc::in_pktinfo {
    ipi_ifindex: 0,
    ipi_spec_dst: libc::in_addr { s_addr: 0 },
    ipi_addr: libc::in_addr { s_addr: 0 },
};

fn header(length: usize, level: libc::c_int, kind: libc::c_int) -> libc::cmsghdr {
    // SAFETY: a C structure of integers, for which zeros are a value.
    let mut header: libc::cmsghdr = unsafe { zeroed() };
    header.cmsg_len = length as _;
    header.cmsg_level = level;
    header.cmsg_type = kind;
    header
}
