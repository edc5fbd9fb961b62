//! Listening sockets: one per worker on the same address, so that the kernel spreads the connections.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted, per worker.
const BACKLOG: i32 = 1024;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the operating system says.
    #[source]
    pub cause: io::Error,
}

/// Binds `count` sockets to one address, and returns the address with the port the system chose where it was 0.
///
/// # Errors
/// Where the address is in use or not this machine's.
pub(crate) fn bind(address: SocketAddr, count: usize) -> Result<(SocketAddr, Vec<TcpListener>), BindError> {
    let failed = |cause| BindError { address, cause };
    // Sockets that share a port never refuse each other, so an exclusive one asks first whether somebody else is there.
    let probe = socket(address, false).map_err(failed)?;
    let bound = probe.local_addr().map_err(failed)?;
    drop(probe);
    let listeners: Result<Vec<_>, _> = (0..count).map(|_| socket(bound, true)).collect();
    Ok((bound, listeners.map_err(failed)?))
}

fn socket(address: SocketAddr, is_shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if is_shared {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::bind;

    #[test]
    fn an_address_in_use_is_refused_although_its_user_shares_it() {
        let (address, _listeners) = bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let error = bind(address, 2).unwrap_err();
        assert_eq!(error.cause.kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()));
    }
}
