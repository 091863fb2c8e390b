//! Options of accepted TCP connections.

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::limits;

/// Small messages go out at once; a peer that is gone or never reads is cut by the kernel
/// (RFC 5482), so that what waits for it does not wait for ever.
pub(crate) fn tune(connection: &dyn std::any::Any, _: &mut Extensions) {
    let encrypted = || connection.downcast_ref::<TlsStream<TcpStream>>();
    let plain = connection.downcast_ref::<TcpStream>();
    let Some(stream) = plain.or_else(|| Some(encrypted()?.get_ref().0)) else { return };
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(limits::UNACKNOWLEDGED_MAX);
    let tuned = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive))
        .and_then(|()| socket.set_tcp_user_timeout(Some(limits::UNACKNOWLEDGED_MAX)));
    if let Err(e) = tuned {
        tracing::debug!("a TCP connection keeps its default options: {e}");
    }
}
