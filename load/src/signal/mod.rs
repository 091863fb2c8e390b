//! How clients come to a server: WHIP and WHEP, or the WebSocket protocol of this server.

mod gallery;
mod http;
mod socket;

pub use gallery::Layout;
pub use http::{Http, HttpSession};
pub use socket::{SocketJoin, SocketSession};
