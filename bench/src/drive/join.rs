//! How a socket becomes a subscriber or the publisher: of a floor by one datagram, of a server by
//! WHIP or WHEP, ICE and DTLS.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use socket2::SockRef;

use super::target::candidate;
use crate::client::ServerUrl;
use crate::floor::JOIN;
use crate::lean::{Client, Identity, Media, Role};
use crate::sys::offer_stamps_and_gro;

/// Longest silence of the other side in a handshake.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// How long to wait before sending a flight again.
const REPEAT: Duration = Duration::from_millis(200);
/// Asked of the kernel: what comes while this program does not get the processor.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A socket with room, connected to the target. It is given runs of datagrams only when it has
/// joined: a handshake is read one by one.
pub(super) fn socket(to: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.connect(to)?;
    Ok(socket)
}

/// Makes the socket a destination of a floor.
pub(super) fn join_floor(socket: &UdpSocket) -> Result<()> {
    socket.set_read_timeout(Some(SILENCE_MAX))?;
    socket.send(&[JOIN])?;
    let mut answer = [0; 16];
    let length = socket.recv(&mut answer).context("the floor does not answer")?;
    ensure!(answer[..length] == [JOIN], "the floor answered something else");
    Ok(offer_stamps_and_gro(socket)?)
}

/// A client that has gone through WHIP or WHEP and is connected, and its socket.
pub(super) async fn join_server(
    server: &ServerUrl,
    room: &str,
    number: usize,
    (role, media, transport_cc): (Role, Media, bool),
    identity: &Identity,
) -> Result<(UdpSocket, Client)> {
    let door = if role == Role::Publisher { "whip" } else { "whep" };
    let mut client = Client::new(Instant::now(), number, identity)?;
    let request = server
        .http()
        .post(server.path(&[door, room])?)
        .header("content-type", "application/sdp")
        .body(client.offer(role, media, transport_cc, identity));
    let response = request.send().await?;
    let status = response.status();
    let answer = response.text().await?;
    ensure!(status.as_u16() == 201, "{door}: {status}: {answer}");
    let value = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key));
    let ufrag = value("a=ice-ufrag:").context("an answer without ice-ufrag")?;
    let password = value("a=ice-pwd:").context("an answer without ice-pwd")?;
    client.answered(ufrag, password);
    let socket = socket(candidate(&answer).context("an answer without a candidate")?)?;
    connect(&socket, &mut client).with_context(|| format!("{door} client {number}"))?;
    offer_stamps_and_gro(&socket)?;
    Ok((socket, client))
}

/// ICE and DTLS to the end.
fn connect(socket: &UdpSocket, client: &mut Client) -> Result<()> {
    socket.set_read_timeout(Some(REPEAT))?;
    let deadline = Instant::now() + SILENCE_MAX;
    socket.send(&client.check()?)?;
    let mut buffer = [0; 2048];
    while !client.is_connected() {
        while let Some(datagram) = client.poll_dtls() {
            socket.send(&datagram)?;
        }
        match socket.recv(&mut buffer) {
            Ok(length) => client.handle_datagram(Instant::now(), &buffer[..length])?,
            Err(_) if Instant::now() >= deadline => bail!("the handshake does not end"),
            Err(_) => {
                socket.send(&client.check()?)?;
                client.handle_timeout(Instant::now())?;
            }
        }
    }
    while let Some(datagram) = client.poll_dtls() {
        socket.send(&datagram)?;
    }
    Ok(())
}
