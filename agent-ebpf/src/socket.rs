//! The ends of a socket: as a call was given them, and as the kernel has them.
use crate::{
    kernel::{self, Ptr},
    scratch::{self, KERNEL, Scratch},
};
use agent_abi::record::Ends;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// `sizeof(((struct sockaddr_un *)0)->sun_path)`.
const SUN_PATH: u64 = 108;

/// Whether a family has addresses and ports.
#[inline(always)]
pub fn is_ip(family: u16) -> bool {
    family == AF_INET || family == AF_INET6
}

/// Whether addresses of a family are told.
#[inline(always)]
pub fn is_known(family: u16) -> bool {
    is_ip(family) || family == AF_UNIX
}

/// Whether a family's addresses are those of IPv4.
#[inline(always)]
pub fn is_v4(family: u16) -> bool {
    family == AF_INET
}

/// The address of `len` bytes that lies in user space (the caller may have changed it since the kernel read it), or in the kernel's own
/// memory. Of a unix socket the length of its path, which is appended to the record. `ends` points into the scratch.
#[inline(always)]
pub fn given(s: *mut Scratch, space: u8, ends: *mut Ends, address: Ptr, len: u64) -> u16 {
    scratch::take_address(s, space, address, len);
    let [first, second, third] = [get!(s, address[0]), get!(s, address[1]), get!(s, address[2])];
    // Family, port, IPv4 address.
    let family = first as u16;
    // SAFETY: `ends` points into the scratch.
    unsafe {
        (*ends).family = family;
        if family == AF_INET && len >= 8 {
            (*ends).port = ((first >> 16) as u16).swap_bytes();
            (&raw mut (*ends).addr).cast::<u32>().write((first >> 32) as u32);
        } else if family == AF_INET6 && len >= 24 {
            (*ends).port = ((first >> 16) as u16).swap_bytes();
            (&raw mut (*ends).addr).cast::<[u64; 2]>().write([second, third]);
        } else if family == AF_UNIX && len > 2 {
            let n = if len - 2 > SUN_PATH { SUN_PATH } else { len - 2 };
            let path = (&raw const (*s).address).cast::<u8>().add(2);
            // A pathname ends at its NUL, an abstract name (NUL first) at the given length.
            return if first >> 16 & 0xff == 0 {
                scratch::append(s, KERNEL, path, n)
            } else {
                scratch::append_str(s, KERNEL, path, n)
            };
        }
    }
    0
}

/// What the socket is, and its own end: `struct sock` begins with `struct sock_common`. `ends` points into the scratch.
#[inline(always)]
pub fn own(ends: *mut Ends, sk: Ptr) {
    let family = member!(u16, sk, sk_family);
    let (kind, protocol, port) = (member!(u16, sk, sk_type), member!(u16, sk, sk_protocol), member!(u16, sk, sk_num));
    // SAFETY: `ends` points into the scratch.
    unsafe {
        (*ends).sock_family = family;
        (*ends).sock_type = kind;
        if !is_ip(family) {
            return;
        }
        (*ends).l4proto = protocol;
        (*ends).local_port = port;
        if family == AF_INET {
            let local: [u8; 4] = member!([u8; 4], sk, sk_rcv_saddr);
            (&raw mut (*ends).local_addr).cast::<[u8; 4]>().write(local);
        } else if has!(sk_v6_rcv_saddr) {
            (*ends).local_addr = kernel::sixteen(sk, off!(sk_v6_rcv_saddr));
        }
    }
}

/// The port of the socket's peer; 0: it has none.
#[inline(always)]
pub fn peer_port(sk: Ptr) -> u16 {
    member!(u16, sk, sk_dport).swap_bytes()
}

/// The peer that an IP socket of that family has. `ends` points into the scratch.
#[inline(always)]
pub fn peer(ends: *mut Ends, sk: Ptr, family: u16) {
    let port = peer_port(sk);
    // SAFETY: `ends` points into the scratch.
    unsafe {
        (*ends).family = family;
        (*ends).port = port;
        if family == AF_INET {
            let addr: [u8; 4] = member!([u8; 4], sk, sk_daddr);
            (&raw mut (*ends).addr).cast::<[u8; 4]>().write(addr);
        } else if has!(sk_v6_daddr) {
            (*ends).addr = kernel::sixteen(sk, off!(sk_v6_daddr));
        }
    }
}
