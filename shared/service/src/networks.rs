//! Client addresses: sets of networks, and the address of a client behind a proxy.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Once;

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;
use tracing::warn;

use crate::settings::Setting;

/// Once is enough to be seen, and who reads a log wants to read on.
static UNDECLARED: Once = Once::new();

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A set of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// This machine.
    pub fn loopback() -> Self {
        let nets = [IpAddr::from([127, 0, 0, 0]), IpAddr::V6(Ipv6Addr::LOCALHOST)].into_iter().zip([8, 128]);
        Self(nets.filter_map(|(address, bits)| IpNet::new(address, bits).ok()).collect())
    }

    /// Whether the address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

impl Setting for Networks {
    const EXPECTED: &'static str = "addresses or networks such as 10.0.0.0/8,192.0.2.7, or none";

    fn parse(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self::default());
        }
        let net = |part: &str| part.parse().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from));
        text.split(',').map(|part| net(part.trim())).collect::<Option<_>>().map(Self)
    }

    fn show(&self) -> String {
        let parts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(",") }
    }
}

/// The address that a request comes from; `None` when it did not come through [`crate::serve`].
///
/// What a client says of itself counts for nothing. Only a proxy of ours is believed, and of what it says only the
/// last address that is not a proxy of ours: everything left of that was written by the client.
pub fn client_address(extensions: &Extensions, headers: &HeaderMap, proxies: &Networks) -> Option<IpAddr> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    let mut nearest = peer.ip().to_canonical();
    if headers.contains_key(FORWARDED_FOR) && !proxies.contains(nearest) && is_ours(nearest) {
        UNDECLARED.call_once(|| {
            warn!(peer = %nearest, "X-Forwarded-For of a proxy that TRUSTED_PROXIES does not name: all its clients count as {nearest}");
        });
    }
    let lines = headers.get_all(FORWARDED_FOR).into_iter().filter_map(|line| line.to_str().ok());
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
    for hop in hops.into_iter().rev() {
        if !proxies.contains(nearest) {
            break;
        }
        let Some(address) = parse_hop(hop.trim()) else { break };
        nearest = address.to_canonical();
    }
    Some(nearest)
}

/// An address of a machine next to this one: strangers do not come from there, but proxies do.
fn is_ours(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// Some proxies write the port as well.
fn parse_hop(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// What counts as one client: a household gets a whole /64 of IPv6.
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let prefix = u128::from(address) >> 64 << 64;
            Ipv6Addr::from(prefix).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn networks(text: &str) -> Networks {
        Networks::parse(text).unwrap()
    }

    #[test]
    fn networks_are_shown_as_they_are_read() {
        for text in ["none", "127.0.0.0/8,::1/128", "10.0.0.0/8,192.0.2.7/32,2001:db8::/32"] {
            assert_eq!(networks(text).show(), text);
        }
        assert_eq!(networks("192.0.2.7, ::1"), networks("192.0.2.7/32,::1/128"));
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.1,"] {
            assert_eq!(Networks::parse(text), None, "{text}");
        }
        assert_eq!(Networks::loopback().show(), "127.0.0.0/8,::1/128");
        assert!(Networks::loopback().contains("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!Networks::loopback().contains("128.0.0.1".parse().unwrap()));
    }

    #[test]
    fn only_our_own_proxies_are_believed() {
        let seen = |peer: &str, forwarded: &[&str], proxies: &str| {
            let mut extensions = Extensions::new();
            extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
            let lines = forwarded.iter().map(|line| (FORWARDED_FOR, HeaderValue::from_str(line).unwrap()));
            client_address(&extensions, &lines.collect(), &networks(proxies)).unwrap().to_string()
        };
        let proxies = "10.0.0.0/8,2001:db8::1";
        assert_eq!(seen("198.51.100.1", &["203.0.113.9"], "none"), "198.51.100.1");
        assert_eq!(seen("198.51.100.1", &["203.0.113.9"], proxies), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["203.0.113.9"], proxies), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 203.0.113.9"], proxies), "203.0.113.9", "spoofed by the client");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "203.0.113.9, 10.0.0.2"], proxies), "203.0.113.9");
        assert_eq!(seen("::ffff:10.0.0.1", &["[2001:db8::9]:4711"], proxies), "2001:db8::9");
        assert_eq!(seen("10.0.0.1", &["unknown"], proxies), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[], proxies), "10.0.0.1");
        assert_eq!(client_address(&Extensions::new(), &HeaderMap::new(), &Networks::default()), None);
    }

    #[test]
    fn a_household_is_one_client() {
        let one = |text: &str| household(text.parse().unwrap()).to_string();
        assert_eq!(one("203.0.113.9"), "203.0.113.9");
        assert_eq!(one("::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(one("2001:db8:1:2:3:4:5:6"), one("2001:db8:1:2::1"));
        assert_ne!(one("2001:db8:1:3::1"), one("2001:db8:1:2::1"));
    }
}
