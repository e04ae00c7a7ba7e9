//! Sets of address blocks.
use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Blocks as sorted ranges that do not touch: one binary search however many there are, and less memory than a trie, since
/// a set need not say which of its blocks holds an address. Blocks inside of others and neighbours melt into one range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl FromIterator<IpNet> for NetSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(blocks: I) -> Self {
        let mut set = Self::default();
        for net in blocks {
            // A block of IPv4 addresses mapped into IPv6 is one of IPv4 addresses.
            let mapped = match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
                (IpAddr::V4(address), Some(length)) if matches!(net, IpNet::V6(_)) => {
                    IpNet::new(address.into(), length).ok()
                }
                _ => None,
            };
            match mapped.unwrap_or(net) {
                IpNet::V4(net) => set.v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => set.v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        merge(&mut set.v4, |n| n.checked_add(1));
        merge(&mut set.v6, |n| n.checked_add(1));
        set
    }
}

impl NetSet {
    /// Whether any block holds the address. An IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(a) => within(&self.v4, a.to_bits()),
            IpAddr::V6(a) => within(&self.v6, a.to_bits()),
        }
    }

    /// The fewest blocks that hold the same addresses.
    pub fn blocks(&self) -> impl Iterator<Item = IpNet> {
        let v4 = self.v4.iter().flat_map(|(low, high)| {
            Ipv4Subnets::new(Ipv4Addr::from_bits(*low), Ipv4Addr::from_bits(*high), 0).map(IpNet::from)
        });
        let v6 = self.v6.iter().flat_map(|(low, high)| {
            Ipv6Subnets::new(Ipv6Addr::from_bits(*low), Ipv6Addr::from_bits(*high), 0).map(IpNet::from)
        });
        v4.chain(v6)
    }
}

fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>, next: fn(T) -> Option<T>) {
    ranges.sort_unstable();
    ranges.dedup_by(|(low, high), (_, last)| {
        let joins = next(*last).is_none_or(|after| *low <= after);
        if joins {
            *last = (*last).max(*high);
        }
        joins
    });
    ranges.shrink_to_fit();
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(low, _)| *low <= address);
    after.checked_sub(1).is_some_and(|at| address <= ranges[at].1)
}
