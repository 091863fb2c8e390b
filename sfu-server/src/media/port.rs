//! Opens the one UDP port of all media, once for each worker.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Asked of the kernel, which grants what its sysctls allow: a burst of keyframes for 50
/// subscribers, or 50 ms of a busy ingress.
pub const KERNEL_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Sockets of as many workers on `port`, each one's IPv4 socket first; 0 takes a free port.
///
/// The kernel spreads datagrams over them by a hash of both addresses (SO_REUSEPORT), so that one
/// flow stays with one worker; therefore all are there before any is read. The first is bound
/// without that option, which fails if anybody holds the port: two servers never share one without
/// knowing, and a free port is one that nobody has.
pub(super) fn open(port: u16, workers: usize) -> io::Result<Vec<Vec<UdpSocket>>> {
    let v4 = open_family(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), workers)?;
    let port = v4.first().map_or(Ok(port), |s| s.local_addr().map(|addr| addr.port()))?;
    let mut sockets: Vec<Vec<UdpSocket>> = v4.into_iter().map(|socket| vec![socket]).collect();
    match open_family(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), workers) {
        Ok(v6) => sockets.iter_mut().zip(v6).for_each(|(sockets, v6)| sockets.push(v6)),
        Err(e) => tracing::info!("media is IPv4 only: {e}"),
    }
    Ok(sockets)
}

/// One socket for each worker.
fn open_family(mut addr: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    let mut sockets = Vec::with_capacity(workers);
    for index in 0..workers {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if index > 0 {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&addr.into())?;
        if index == 0 && workers > 1 {
            socket.set_reuse_port(true)?;
        }
        // Less than asked for is no error: the sysctls decide.
        socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES)?;
        socket.set_send_buffer_size(KERNEL_BUFFER_BYTES)?;
        let socket = UdpSocket::from(socket);
        addr = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::time::Duration;

    #[test]
    fn every_worker_reads_a_share_of_the_flows_of_one_port() {
        let workers = open(0, 3).unwrap();
        let ports: HashSet<u16> =
            workers.iter().flatten().map(|s| s.local_addr().unwrap().port()).collect();
        assert_eq!((workers.len(), ports.len()), (3, 1));
        let to = (Ipv4Addr::LOCALHOST, *ports.iter().next().unwrap());
        // Each client's flow has one of three readers: that one has none happens once in 10^25.
        let clients: Vec<UdpSocket> =
            (0..150).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut reader_by_client = vec![None; clients.len()];
        for round in 0..2 {
            for (index, client) in clients.iter().enumerate() {
                client.send_to(&[index as u8], to).unwrap();
            }
            let mut buffer = [0];
            let mut came = 0;
            for (worker, sockets) in workers.iter().enumerate() {
                sockets[0].set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                while sockets[0].recv_from(&mut buffer).is_ok() {
                    let reader = reader_by_client[usize::from(buffer[0])].replace(worker);
                    assert!(round == 0 || reader == Some(worker), "a flow stays where it is");
                    came += 1;
                }
            }
            assert_eq!(came, clients.len());
        }
        let readers: HashSet<_> = reader_by_client.iter().flatten().collect();
        assert_eq!(readers.len(), 3);
    }

    #[test]
    fn a_port_that_another_server_has_is_not_shared() {
        let first = open(0, 2).unwrap();
        let port = first[0][0].local_addr().unwrap().port();
        for workers in [1, 2] {
            let error = open(port, workers).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        let single = open(0, 1).unwrap();
        let port = single[0][0].local_addr().unwrap().port();
        assert_eq!(open(port, 2).err().unwrap().kind(), io::ErrorKind::AddrInUse);
    }
}
