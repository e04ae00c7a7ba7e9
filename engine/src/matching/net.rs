//! Sets of addresses and address blocks.
use ipnet::IpNet;
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Blocks grouped by prefix length: one hashed look-up for each length that occurs, however many blocks there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetSet {
    v4: Vec<(u8, HashSet<u32>)>,
    v6: Vec<(u8, HashSet<u128>)>,
}

impl NetSet {
    /// Adds a block.
    pub fn insert(&mut self, net: IpNet) {
        // A block of IPv4 addresses mapped into IPv6 is one of IPv4 addresses.
        let mapped = match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
            (IpAddr::V4(address), Some(length)) if matches!(net, IpNet::V6(_)) => {
                IpNet::new(address.into(), length).ok()
            }
            _ => None,
        };
        match mapped.unwrap_or(net).trunc() {
            IpNet::V4(net) => group(&mut self.v4, net.prefix_len()).insert(net.addr().to_bits()),
            IpNet::V6(net) => group(&mut self.v6, net.prefix_len()).insert(net.addr().to_bits()),
        };
    }

    /// Whether any block holds the address. An IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(a) => self.v4.iter().any(|(length, nets)| nets.contains(&mask_v4(a, *length))),
            IpAddr::V6(a) => self.v6.iter().any(|(length, nets)| nets.contains(&mask_v6(a, *length))),
        }
    }
}

fn group<T>(groups: &mut Vec<(u8, HashSet<T>)>, length: u8) -> &mut HashSet<T> {
    let at = groups.iter().position(|(l, _)| *l == length).unwrap_or_else(|| {
        groups.push((length, HashSet::new()));
        groups.len() - 1
    });
    &mut groups[at].1
}

fn mask_v4(address: Ipv4Addr, length: u8) -> u32 {
    address.to_bits() & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

fn mask_v6(address: Ipv6Addr, length: u8) -> u128 {
    address.to_bits() & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}
