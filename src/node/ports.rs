//! The node's listeners: all are bound before anything is started, so that a port in use stops the node before it has
//! done anything. What is served on them is not known here.

use std::io;
use std::net::SocketAddr;

use portcullis_model::Component;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::boot_fault::BootFault;
use crate::config::Config;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// The listeners that the node itself serves. Gateway and Raft bind their own.
#[derive(Debug)]
pub(crate) struct Ports {
    /// `None` on a node that serves nothing there.
    pub(crate) management: Option<TcpListener>,
    pub(crate) observability: TcpListener,
    /// Key validation by Thrift and the sign-in for it, where the node offers them.
    pub(crate) thrift: Option<[TcpListener; 2]>,
}

impl Ports {
    /// Binds the node's own ports, and makes sure that the others are free.
    pub(crate) fn bind(config: &Config) -> Result<Self, BootFault> {
        let mut of_others = vec![("cluster.port", config.cluster.port)];
        if config.serves(Component::Gateway) {
            let gateway = &config.gateway;
            of_others
                .splice(0..0, [("gateway.http_port", gateway.http_port), ("gateway.https_port", gateway.https_port)]);
        }
        for (key, port) in of_others {
            // Only asked: the socket is closed again, and its owner binds the port.
            bind(key, config.bound(port), false)?;
        }
        let listen = |key, address| {
            let socket = bind(key, address, true)?;
            TcpListener::from_std(socket.into()).map_err(|cause| BootFault::cannot_bind(key, address, cause))
        };
        let management = || listen("management.port", config.bound(config.management.port));
        let [validation, sign_in] = config.thrift_ports().map(|(key, port)| (key, config.bound(port)));
        let thrift = || Ok::<_, BootFault>([listen(validation.0, validation.1)?, listen(sign_in.0, sign_in.1)?]);
        Ok(Self {
            thrift: config.has_thrift().then(thrift).transpose()?,
            management: config.has_management().then(management).transpose()?,
            observability: listen("observability.port", config.observability_address())?,
        })
    }
}

fn bind(key: &'static str, address: SocketAddr, is_to_listen: bool) -> Result<Socket, BootFault> {
    open(address, is_to_listen).map_err(|cause| BootFault::cannot_bind(key, address, cause))
}

fn open(address: SocketAddr, is_to_listen: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted node must not wait for the connections of the last one to time out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if is_to_listen {
        socket.listen(BACKLOG)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use portcullis_model::Components;
    use portcullis_model::fault::Fault;

    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_told_with_its_key_and_address_before_anything_starts() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let mut config = Config::default();
        // Unlikely to be in use; only the first port that is taken counts, and the gateway's are looked at first.
        config.gateway.http_port = port;
        let fault = Ports::bind(&config).unwrap_err();
        let told = fault.to_string();
        assert!(told.contains(&format!("127.0.0.1:{port}")) && told.contains("gateway.http_port"), "{told}");
        assert!(fault.next_step().contains("gateway.http_port"));
        assert_eq!(fault.code(), crate::PORT_TAKEN);
    }

    #[tokio::test]
    async fn a_node_leaves_the_ports_alone_that_it_does_not_use() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::default();
        // The first address of this host that nobody else uses; the ports of the node itself are drawn by the system.
        config.gateway.http_port = taken.local_addr().unwrap().port();
        (config.cluster.port, config.observability.port) = (0, 0);
        config.node.components = Components::of([Component::Admin]);
        config.management.port = 0;
        assert!(Ports::bind(&config).unwrap().management.is_some());
        config.node.components = Components::of([Component::Gateway]);
        assert!(Ports::bind(&config).is_err());
    }
}
