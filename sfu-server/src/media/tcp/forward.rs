//! One port for media and HTTP: what begins like TLS or HTTP is passed on to the HTTP server, byte by
//! byte, so that certificates and limits are where they always are. That server sees a connection of
//! this machine; whose it is, it asks here.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;

use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Forward {
    http: OnceLock<SocketAddr>,
    /// As many as there are connections passed on.
    client_by_source: Mutex<HashMap<SocketAddr, SocketAddr>>,
}

impl Forward {
    /// From now on connections go to `http`. Before, and without, they end.
    pub(crate) fn to(&self, http: SocketAddr) {
        let ip = match http.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        // Said once, by the one who starts the server.
        _ = self.http.set(SocketAddr::new(ip, http.port()));
    }

    /// Where connections go.
    pub(super) fn http(&self) -> Option<SocketAddr> {
        self.http.get().copied()
    }

    /// The client behind a connection that was passed on from `source`.
    pub(crate) fn client(&self, source: SocketAddr) -> Option<SocketAddr> {
        self.client_by_source.lock().get(&source).copied()
    }

    /// Passes a connection on, of which `read` was read, until either side ends it.
    pub(super) async fn pass(
        &self,
        mut client: TcpStream,
        read: &[u8],
        http: SocketAddr,
    ) -> io::Result<()> {
        let mut server = TcpStream::connect(http).await?;
        let source = server.local_addr()?;
        self.client_by_source.lock().insert(source, client.peer_addr()?);
        let passed = async {
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            // The server reads no request before this.
            server.write_all(read).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await
        };
        let passed = passed.await;
        self.client_by_source.lock().remove(&source);
        passed.map(drop)
    }
}
