//! Which addresses a route may reach.
//!
//! A tenant chooses the URL of its route, and the router that calls it stands inside the cluster: without a check it would be a
//! door to the API server, the node's metadata service and everybody's pods. The check is on the resolved address that is
//! then connected to, so a name that resolves differently the second time does not pass.
use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Ranges that clusters take their pods, services and nodes from, and that reach the machine itself. Special-purpose
/// registries of IANA (RFC 6890), the private ranges of RFC 1918 and RFC 4193, and the shared range of RFC 6598.
const CLOSED: [&str; 17] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// Which addresses may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every address: for routes of the system namespace and standalone.
    Any,
    /// Public ones and these.
    Public {
        /// Ranges that an administrator opened.
        also: Vec<IpNet>,
    },
}

/// An address that the route may not reach.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is a loopback, link-local or cluster address, which routes outside the system namespace may not reach; an administrator can open its range with --tenant-allow"
)]
pub struct Closed(pub IpAddr);

impl Reach {
    /// Checks one address.
    ///
    /// # Errors
    /// When it may not be reached.
    pub fn check(&self, address: IpAddr) -> Result<(), Closed> {
        let Self::Public { also } = self else { return Ok(()) };
        let address = embedded(address);
        if also.iter().any(|net| net.contains(&address)) {
            return Ok(());
        }
        let closed = CLOSED.iter().filter_map(|c| IpNet::from_str(c).ok()).any(|net| net.contains(&address));
        if closed { Err(Closed(address)) } else { Ok(()) }
    }
}

/// The IPv4 address inside a mapped (`::ffff:a.b.c.d`), translated (`64:ff9b::/96`), 6to4 or compatible IPv6 address.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0xffff, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if v6 != Ipv6Addr::LOCALHOST && v6 != Ipv6Addr::UNSPECIFIED => v4(high, low),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn tenants_reach_public_addresses_only() {
        let tenant = Reach::Public { also: vec![] };
        for closed in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.96.0.1",
            "169.254.169.254",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "::127.0.0.1",
        ] {
            assert!(tenant.check(closed.parse().unwrap()).is_err(), "{closed}");
            assert_eq!(Reach::Any.check(closed.parse().unwrap()), Ok(()));
        }
        for open in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert_eq!(tenant.check(open.parse().unwrap()), Ok(()), "{open}");
        }
    }

    #[test]
    fn an_administrator_opens_ranges() {
        let reach = Reach::Public { also: vec!["10.1.0.0/16".parse().unwrap()] };
        assert_eq!(reach.check("10.1.2.3".parse().unwrap()), Ok(()));
        assert_eq!(reach.check("::ffff:10.1.2.3".parse().unwrap()), Ok(()));
        assert!(reach.check("10.2.0.1".parse().unwrap()).unwrap_err().to_string().contains("--tenant-allow"));
    }

    #[test]
    fn every_closed_range_parses() {
        assert!(CLOSED.iter().all(|c| IpNet::from_str(c).is_ok()));
    }
}
