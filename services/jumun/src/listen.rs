//! Usual ports, or free ones where those are taken.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

/// An open listener and where it is reached.
pub(crate) struct Open {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Open {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Listens there, or on a free port of the same interface.
pub(crate) async fn at_or_beside(usual: SocketAddr) -> io::Result<Open> {
    let listener = match TcpListener::bind(usual).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse => TcpListener::bind((usual.ip(), 0)).await?,
        result => result?,
    };
    let address = listener.local_addr()?;
    Ok(Open { listener, address })
}

/// The port if nobody has it.
pub(crate) fn if_free(port: u16) -> Option<u16> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_evaded() {
        let first = at_or_beside((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let second = at_or_beside(first.address).await.unwrap();
        assert_ne!(first.address.port(), second.address.port());
        assert_eq!(if_free(first.address.port()), None);
    }
}
