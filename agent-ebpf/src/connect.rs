//! connect.
use crate::{
    arch, classes,
    emit::Event,
    file,
    kernel::Ptr,
    scratch::{self, AS_USED},
    socket,
    syscalls::Call,
    used,
};
use agent_abi::record::{CONNECT_FROM_SOCKET, ConnectBody, RecordHeader, hook};

pub const FIXED: usize = size_of::<RecordHeader>() + size_of::<ConnectBody>();

/// `-EINPROGRESS`: under way, and the socket knows its destination.
pub const IN_PROGRESS: i64 = -115;

/// One call has ended.
#[inline(always)]
pub fn connect(this: &mut Event, call: &Call) -> Option<()> {
    classes::by_side(this);
    if this.is_unwanted() {
        return None;
    }
    let Some(s) = scratch::syscall(FIXED) else {
        this.dropped();
        return None;
    };
    let (header, body) = scratch::parts::<ConnectBody>(s);
    let [fd, address, len] = arch::connect_arguments(call.regs, call.nr, call.compat);
    let (fd, address, len) = (fd as u32, address as Ptr, len & 0xff);
    scratch::clear(body);
    // SAFETY: `body` points into the scratch, here and below.
    unsafe {
        (*body).ret = call.ret as u64;
        (*body).fd = fd;
    }
    let ends = unsafe { &raw mut (*body).ends };
    let (address, len) = used::address(s, call.pid_tgid as u32, this.force, (address, len));
    let path_len = socket::given(s, AS_USED, ends, address, len);
    unsafe { (*body).path_len = path_len };
    used::count(this, s);
    let sk = file::sock(file::by_fd(call.files, fd));
    if !sk.is_null() {
        socket(body, sk, call.ret);
    }
    classes::by_remote(this, s, hook::CONNECT, ends);
    if this.is_unwanted() || this.is_shed() {
        return None;
    }
    let flags = get!(s, flags) as u16;
    this.header(header, call.task, call.pid_tgid, call.event_type, flags);
    this.submit(header.cast(), scratch::len(s), flags);
    Some(())
}

/// The socket itself, and its peer where that is settled.
#[inline(always)]
pub fn socket(body: *mut ConnectBody, sk: Ptr, ret: i64) {
    // SAFETY: `body` points into the scratch, here and below.
    let ends = unsafe { &raw mut (*body).ends };
    socket::own(ends, sk);
    let (asked, family) = unsafe { ((*ends).family, (*ends).sock_family) };
    // An IPv6 socket may be connected to an IPv4 address in IPv6 form; connecting to AF_UNSPEC unconnects.
    if socket::is_ip(family) && asked == family && (ret == 0 || ret == IN_PROGRESS) {
        socket::peer(ends, sk, family);
        unsafe { (*body).info = CONNECT_FROM_SOCKET };
    }
}
