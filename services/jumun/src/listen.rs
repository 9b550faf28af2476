//! Usual ports, or free ones where those are taken.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, lookup_host};

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
pub(crate) async fn at_or_beside(usual: &str) -> io::Result<Open> {
    let usual = lookup_host(usual).await?.next().ok_or_else(|| io::Error::other("no such address"))?;
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
        let first = at_or_beside("127.0.0.1:0").await.unwrap();
        let second = at_or_beside(&first.address.to_string()).await.unwrap();
        assert_ne!(first.address.port(), second.address.port());
        assert_eq!(if_free(first.address.port()), None);
    }
}
