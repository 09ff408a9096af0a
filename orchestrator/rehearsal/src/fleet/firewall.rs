//! An address that swallows connection attempts, as a firewall that drops packets does.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A listener whose queue is full for good: Linux drops every further SYN, so a client sees nothing until
/// its own timeout. A real firewall would need privileges.
#[derive(Debug)]
pub(super) struct Firewall {
    _listener: TcpListener,
    _filling: TcpStream,
}

impl Firewall {
    pub(super) async fn raise(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // A backlog of 0 holds one connection (listen(2) rounds up), and nobody ever accepts it.
        let listener = socket.listen(0)?;
        let filling = TcpStream::connect(address).await?;
        Ok(Self { _listener: listener, _filling: filling })
    }
}
