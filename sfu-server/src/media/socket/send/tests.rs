use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use sfu_core::transport::Path;

use super::*;

/// A client with its address as the sockets see it.
struct Client {
    socket: UdpSocket,
    path: Path,
}

impl Client {
    fn new(ip: IpAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let path = Path::udp(socket.local_addr().unwrap(), Some(ip));
        Self { socket, path }
    }

    /// The next datagrams' lengths.
    fn receive(&self, count: usize) -> Vec<usize> {
        let mut buffer = [0; 2048];
        (0..count).map(|_| self.socket.recv(&mut buffer).unwrap()).collect()
    }
}

fn sockets() -> Sockets {
    Sockets::new(super::super::super::port::open(0, 1).unwrap().remove(0)).unwrap()
}

fn clients(count: usize) -> Vec<Client> {
    (0..count).map(|_| Client::new(Ipv4Addr::LOCALHOST.into())).collect()
}

fn run(path: Path, bytes: usize, segment_bytes: usize) -> (Transmit, Vec<u8>) {
    (Transmit { path, range: 0..bytes, segment_bytes }, vec![7; bytes])
}

fn send(sockets: &mut Sockets, now: Instant, batch: &[(Transmit, Vec<u8>)]) {
    sockets.send(now, batch.iter().map(|(transmit, bytes)| (transmit, bytes.as_slice())));
}

#[test]
fn a_run_arrives_as_single_datagrams_the_last_one_shorter() {
    let mut sockets = sockets();
    let client = Client::new(Ipv4Addr::LOCALHOST.into());
    send(&mut sockets, Instant::now(), &[run(client.path, 250, 100)]);
    assert_eq!(client.receive(3), [100, 100, 50]);
    let stats = sockets.stats;
    assert_eq!((stats.send_calls, stats.messages_sent, stats.sent_in_runs), (1, 1, 3));
}

#[test]
fn a_batch_for_many_addresses_takes_few_calls_and_reaches_each_in_order() {
    let mut sockets = sockets();
    let clients = clients(100);
    // A run and a shorter datagram for each.
    let batch: Vec<_> = clients
        .iter()
        .enumerate()
        .flat_map(|(at, c)| [run(c.path, 3 * (200 + at), 200 + at), run(c.path, at + 1, at + 1)])
        .collect();
    send(&mut sockets, Instant::now(), &batch);
    for (at, client) in clients.iter().enumerate() {
        assert_eq!(client.receive(4), [200 + at, 200 + at, 200 + at, at + 1]);
    }
    let stats = sockets.stats;
    assert_eq!(stats.send_calls, 200_u64.div_ceil(64));
    assert_eq!((stats.sent_in_runs, stats.sent_singly, stats.messages_sent), (300, 100, 200));
}

#[test]
fn both_families_leave_from_the_address_that_was_asked_for() {
    let mut sockets = sockets();
    let port = sockets.addrs()[0].port();
    let mut addresses = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])];
    if sockets.addrs().len() > 1 {
        addresses.push(Ipv6Addr::LOCALHOST.into());
    }
    let clients: Vec<_> = addresses.iter().map(|&ip| Client::new(ip)).collect();
    let runs = |c: &Client| [run(c.path, 200, 100), run(c.path, 50, 50)];
    let batch: Vec<_> = clients.iter().flat_map(runs).collect();
    send(&mut sockets, Instant::now(), &batch);
    for (client, ip) in clients.iter().zip(addresses) {
        for bytes in [100, 100, 50] {
            let got = client.socket.recv_from(&mut [0; 2048]).unwrap();
            assert_eq!(got, (bytes, SocketAddr::from((ip, port))));
        }
    }
    assert_eq!(sockets.stats.send_errors, 0);
}

#[test]
fn a_run_longer_than_one_message_takes_is_split() {
    let mut sockets = sockets();
    let client = Client::new(Ipv4Addr::LOCALHOST.into());
    send(&mut sockets, Instant::now(), &[run(client.path, 100 * 1200, 1200)]);
    assert_eq!(client.receive(100), [1200; 100]);
    assert_eq!((sockets.stats.send_errors, sockets.stats.send_full), (0, 0));
}

#[test]
fn what_cannot_be_sent_is_counted_and_what_follows_is_sent() {
    let mut sockets = sockets();
    let clients = clients(2);
    let from_nowhere = Path { local: Some("192.0.2.1".parse().unwrap()), ..clients[0].path };
    let to_nowhere = Path::udp((Ipv4Addr::LOCALHOST, 0), None);
    let batch = [
        run(clients[0].path, 10, 10),
        run(from_nowhere, 1, 1),
        run(to_nowhere, 300, 100),
        run(clients[1].path, 30, 10),
        run(clients[0].path, 20, 20),
    ];
    send(&mut sockets, Instant::now(), &batch);
    assert_eq!(clients[0].receive(2), [10, 20]);
    assert_eq!(clients[1].receive(3), [10, 10, 10]);
    let stats = sockets.stats;
    assert_eq!((stats.send_errors, stats.sent_in_runs, stats.sent_singly), (4, 3, 2));
    assert_eq!(sockets.sockets[0].segmentation_rests_until, None, "it was not the segmentation");
}

/// More segments than any kernel takes in one message stand for an interface that refuses.
#[test]
fn after_a_refusal_runs_go_out_singly_and_later_in_one_message_again() {
    let mut sockets = sockets();
    let client = Client::new(Ipv4Addr::LOCALHOST.into());
    let start = Instant::now();
    let contents = [7; 200];
    let (remote, local) = (client.path.remote, client.path.local);
    let refused = Message { remote, local, contents: &contents, segment_bytes: 1 };
    let (socket, stats) = (&mut sockets.sockets[0], &mut sockets.stats);
    socket.flush(start, &[refused], &mut SEND_WAIT.clone(), stats);
    assert_eq!(client.receive(200), [1; 200]);
    assert_eq!((stats.segmentation_refused, stats.send_errors), (1, 0));

    let mut messages_for_a_run = |at| {
        let before = sockets.stats;
        send(&mut sockets, at, &[run(client.path, 300, 100)]);
        assert_eq!(client.receive(3), [100; 3]);
        assert_eq!(sockets.stats.send_calls - before.send_calls, 1);
        sockets.stats.messages_sent - before.messages_sent
    };
    assert_eq!(messages_for_a_run(start), 3);
    assert_eq!(messages_for_a_run(start + SEGMENTATION_REST), 1);
}

#[test]
fn without_sendmmsg_everything_goes_out_one_message_a_call() {
    let mut sockets = sockets();
    for socket in &mut sockets.sockets {
        socket.sends_many = false;
    }
    let clients = clients(3);
    let batch: Vec<_> = clients.iter().map(|c| run(c.path, 250, 100)).collect();
    send(&mut sockets, Instant::now(), &batch);
    for client in &clients {
        assert_eq!(client.receive(3), [100, 100, 50]);
    }
    assert_eq!((sockets.stats.send_calls, sockets.stats.messages_sent), (3, 3));
}
