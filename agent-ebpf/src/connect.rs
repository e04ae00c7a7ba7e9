//! connect.
use crate::{
    arch, classes,
    emit::Event,
    file,
    kernel::{self, Ptr},
    scratch::{self, Scratch},
    syscalls::Call,
};
use agent_abi::record::{CONNECT_FROM_SOCKET, ConnectBody, RecordHeader, hook};

const FIXED: usize = size_of::<RecordHeader>() + size_of::<ConnectBody>();

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// `-EINPROGRESS`: under way, and the socket knows its destination.
const IN_PROGRESS: i64 = -115;
/// `sizeof(((struct sockaddr_un *)0)->sun_path)`.
const SUN_PATH: u64 = 108;

/// One call has ended.
#[inline(always)]
pub fn connect(this: &mut Event, call: &Call) -> Option<()> {
    classes::by_side(this, call.task);
    if this.is_unwanted() {
        return None;
    }
    let Some(s) = scratch::syscall(FIXED) else {
        this.dropped();
        return None;
    };
    // SAFETY: `out` is longer than FIXED and aligned to 8; the header is followed by the body.
    let (header, body) = unsafe {
        let out = (&raw mut (*s).out).cast::<u8>();
        (out.cast::<RecordHeader>(), out.add(size_of::<RecordHeader>()).cast::<ConnectBody>())
    };
    let [fd, address, len] = arch::connect_arguments(call.regs, call.nr, call.compat);
    let (fd, address, len) = (fd as u32, address as Ptr, len & 0xff);
    clear(body);
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).ret = call.ret as u64;
        (*body).fd = fd;
    }
    asked(s, body, address, len);
    let sk = file::sock(file::by_fd(call.task, fd));
    if !sk.is_null() {
        socket(body, sk, call.ret);
    }
    classes::by_remote(this, s, hook::CONNECT, body);
    if this.is_unwanted() || this.is_shed() {
        return None;
    }
    let flags = get!(s, flags) as u16;
    this.header(header, call.task, call.pid_tgid, call.event_type, flags);
    this.submit(header.cast(), scratch::len(s), flags);
    Some(())
}

/// Zeroes the body, word by word: what does not apply stays zero.
#[inline(always)]
fn clear(body: *mut ConnectBody) {
    const WORDS: usize = size_of::<ConnectBody>() / 8;
    for word in 0..WORDS {
        // SAFETY: `body` points into the scratch and consists of so many words; volatile, or it becomes a call to memset.
        unsafe { core::ptr::write_volatile(body.cast::<u64>().add(word), 0) };
    }
}

/// The destination as the caller gave it (it may have changed it since the kernel read it).
#[inline(always)]
fn asked(s: *mut Scratch, body: *mut ConnectBody, address: Ptr, len: u64) {
    let family: u16 = kernel::read_user(address, 0);
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).family = family;
        if family == AF_INET && len >= 8 {
            (*body).port = kernel::read_user::<u16>(address, 2).swap_bytes();
            let v4: [u8; 4] = kernel::read_user(address, 4);
            (&raw mut (*body).addr).cast::<[u8; 4]>().write(v4);
        } else if family == AF_INET6 && len >= 24 {
            (*body).port = kernel::read_user::<u16>(address, 2).swap_bytes();
            (*body).addr = kernel::read_user(address, 8);
        } else if family == AF_UNIX && len > 2 {
            let n = len - 2;
            let n = if n > SUN_PATH { SUN_PATH } else { n };
            let path = address.wrapping_add(2);
            // A pathname ends at its NUL, an abstract name (NUL first) at the given length.
            (*body).path_len = if kernel::read_user::<u8>(path, 0) == 0 {
                scratch::append_user(s, path, n)
            } else {
                scratch::append_user_str_max(s, path, n)
            };
        }
    }
}

/// What the socket knows: `struct sock` begins with `struct sock_common`.
#[inline(always)]
fn socket(body: *mut ConnectBody, sk: Ptr, ret: i64) {
    let family = member!(u16, sk, sk_family);
    let settled = ret == 0 || ret == IN_PROGRESS;
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).sock_family = family;
        (*body).sock_type = member!(u16, sk, sk_type);
        if family != AF_INET && family != AF_INET6 {
            return;
        }
        (*body).l4proto = member!(u16, sk, sk_protocol);
        (*body).local_port = member!(u16, sk, sk_num);
        // An IPv6 socket may be connected to an IPv4 address in IPv6 form; connecting to AF_UNSPEC unconnects.
        let take = settled && (*body).family == family;
        if family == AF_INET {
            let local: [u8; 4] = member!([u8; 4], sk, sk_rcv_saddr);
            (&raw mut (*body).local_addr).cast::<[u8; 4]>().write(local);
            if take {
                let addr: [u8; 4] = member!([u8; 4], sk, sk_daddr);
                (&raw mut (*body).addr).cast::<[u8; 4]>().write(addr);
            }
        } else if has!(sk_v6_daddr) && has!(sk_v6_rcv_saddr) {
            (*body).local_addr = member!([u8; 16], sk, sk_v6_rcv_saddr);
            if take {
                (*body).addr = member!([u8; 16], sk, sk_v6_daddr);
            }
        }
        if take {
            (*body).port = member!(u16, sk, sk_dport).swap_bytes();
            (*body).info = CONNECT_FROM_SOCKET;
        }
    }
}
