//! What is asked for through an io_uring, on real rings.
use crate::support::{Live, live, tid};
use agent::probe::{
    KernelFilter,
    record::{Body, Header, Record},
};
use engine::event::{EventType, Hook};
use io_uring::{IoUring, opcode, squeue::Entry, types};
use std::{
    ffi::{CStr, CString},
    fs::File,
    net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket},
    os::fd::AsRawFd as _,
    path::Path,
};

/// Hooks that a ring can be asked for.
const HOOKS: [Hook; 12] = [
    Hook::Open,
    Hook::Connect,
    Hook::Accept,
    Hook::Bind,
    Hook::Listen,
    Hook::Socket,
    Hook::Send,
    Hook::Unlink,
    Hook::Rename,
    Hook::Link,
    Hook::Mkdir,
    Hook::Splice,
];

/// A ring; None where this kernel gives none, or no tracepoint tells of it, having said so.
pub fn ring(live: &Live, polled: bool) -> Option<IoUring> {
    let status = live.probe.hook_status();
    let open = &status[Hook::Open as usize];
    if open.reason.contains("is not seen") {
        println!("skipped: {}", open.reason);
        return None;
    }
    let mut builder = IoUring::builder();
    if polled {
        builder.setup_sqpoll(200);
    }
    builder.build(8).inspect_err(|error| println!("skipped: this kernel gives no ring: {error}")).ok()
}

/// Has it carried out; the result. What it points to lives until then.
pub fn ask(ring: &mut IoUring, entry: &Entry) -> i32 {
    // SAFETY: the callers' texts and addresses live across this function, which waits for the end.
    unsafe { ring.submission().push(entry).unwrap() };
    ring.submit_and_wait(1).unwrap();
    ring.completion().next().unwrap().result()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Path, directory that it starts from, flags; of a request for an open.
fn open(live: &mut Live, end: &str) -> (Header, String, String, u32) {
    live.find(end, |r: &Record<'_>| match &r.body {
        Body::Open(o)
            if r.header.pid == std::process::id() && r.header.io_uring && o.path.ends_with(end.as_bytes()) =>
        {
            assert!(!o.resolved && o.ret == 0, "{o:?}");
            Some((r.header, text(o.path), text(o.base), o.flags))
        }
        _ => None,
    })
}

struct Told {
    args: [u64; 6],
    path: (String, String),
    path2: (String, String),
    fd: Option<i32>,
    remote: Option<SocketAddrV4>,
}

/// A request for another call, by this thread.
fn call(live: &mut Live, event_type: EventType) -> Told {
    let tid = tid();
    live.find(event_type.as_str(), |r: &Record<'_>| match &r.body {
        Body::Call(c) if r.header.tid == tid && r.header.event_type == event_type && r.header.io_uring => {
            let remote = c.socket.as_ref().and_then(|s| match s.addr? {
                std::net::IpAddr::V4(v4) => Some(SocketAddrV4::new(v4, s.port)),
                std::net::IpAddr::V6(_) => None,
            });
            let path = (text(c.path.path), text(c.path.base));
            let path2 = (text(c.path2.path), text(c.path2.base));
            Some(Told { args: c.args, path, path2, fd: c.fd, remote })
        }
        _ => None,
    })
}

fn cstring(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}

/// `struct sockaddr_in`.
fn sockaddr(to: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
        sin_zero: [0; 8],
    }
}

const SOCKADDR: u32 = size_of::<libc::sockaddr_in>() as u32;

/// A canary goes through a ring, too: its program is not the system calls'.
#[test]
fn a_canary_through_a_ring_comes_back() {
    let Some(mut live) = live(&KernelFilter::everything(1, HOOKS)) else { return };
    if ring(&live, false).is_none() {
        return;
    }
    let reason = |live: &Live| live.probe.hook_status()[Hook::Open as usize].reason.clone();
    assert!(reason(&live).contains("no canary has gone through one"), "{}", reason(&live));
    live.probe.fire_canaries().unwrap();
    assert!(reason(&live).contains("its canary has not come back"), "{}", reason(&live));
    while live.ring.drain(usize::MAX, &mut |_| {}) > 0 {}
    assert!(reason(&live).contains("its canary came back"), "{}", reason(&live));
}

#[test]
fn files_are_opened_and_changed_through_a_ring() {
    let Some(mut live) = live(&KernelFilter::everything(1, HOOKS)) else { return };
    let Some(mut ring) = ring(&live, false) else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let base = root.to_str().unwrap().to_owned();
    let handle = File::open(&root).unwrap();
    let (here, cwd) = (types::Fd(handle.as_raw_fd()), types::Fd(libc::AT_FDCWD));
    let p = CStr::as_ptr;

    let whole = cstring(&root.join("whole"));
    let flags = libc::O_CREAT | libc::O_WRONLY;
    let fd = ask(&mut ring, &opcode::OpenAt::new(cwd, p(&whole)).flags(flags).mode(0o640).build());
    assert!(fd >= 0, "{fd}");
    let (header, path, from, told) = open(&mut live, "/whole");
    assert_eq!((header.event_type, header.pid, header.tid), (EventType::Openat, std::process::id(), tid()));
    assert_eq!((path, from), (format!("{base}/whole"), String::new()));
    assert_eq!(told.cast_signed() & (libc::O_ACCMODE | libc::O_CREAT), flags);

    // What fails is asked for all the same.
    let how = types::OpenHow::new().flags(libc::O_RDWR as u64);
    assert_eq!(ask(&mut ring, &opcode::OpenAt2::new(here, p(c"absent-1"), &raw const how).build()), -libc::ENOENT);
    let (header, path, from, told) = open(&mut live, "absent-1");
    assert_eq!((header.event_type, path.as_str(), from), (EventType::Openat2, "absent-1", base.clone()));
    assert_eq!(told.cast_signed() & libc::O_ACCMODE, libc::O_RDWR);

    let ok = |ring: &mut IoUring, entry: Entry| assert_eq!(ask(ring, &entry), 0, "{entry:?}");
    ok(&mut ring, opcode::MkDirAt::new(here, p(c"sub")).mode(0o750).build());
    let told = call(&mut live, EventType::Mkdirat);
    assert_eq!((told.path, told.args[2]), (("sub".to_owned(), base.clone()), 0o750));
    ok(&mut ring, opcode::RenameAt::new(here, p(c"whole"), cwd, p(&cstring(&root.join("new")))).build());
    let told = call(&mut live, EventType::Renameat2);
    assert_eq!(told.path, ("whole".to_owned(), base.clone()));
    assert_eq!(told.path2, (format!("{base}/new"), String::new()));
    ok(&mut ring, opcode::SymlinkAt::new(here, p(c"../target"), p(c"soft")).build());
    let told = call(&mut live, EventType::Symlinkat);
    assert_eq!((told.path.0.as_str(), told.path2), ("../target", ("soft".to_owned(), base.clone())));
    ok(&mut ring, opcode::LinkAt::new(here, p(c"new"), here, p(c"hard")).build());
    let told = call(&mut live, EventType::Linkat);
    assert_eq!((told.path.0.as_str(), told.path2), ("new", ("hard".to_owned(), base.clone())));
    ok(&mut ring, opcode::UnlinkAt::new(here, p(c"sub")).flags(libc::AT_REMOVEDIR).build());
    let told = call(&mut live, EventType::Unlinkat);
    assert_eq!((told.path, told.args[2]), (("sub".to_owned(), base), libc::AT_REMOVEDIR as u64));

    let sums = live.probe.counters().unwrap();
    for c in sums.iter().filter(|c| HOOKS.contains(&c.hook)) {
        assert!(c.seen >= c.filtered + c.submitted && c.dropped + c.shed == 0, "{c:?}");
    }
}

#[test]
fn sockets_are_used_through_a_ring() {
    let Some(mut live) = live(&KernelFilter::everything(1, HOOKS)) else { return };
    let Some(mut ring) = ring(&live, false) else { return };
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let there = SocketAddrV4::new(Ipv4Addr::LOCALHOST, server.local_addr().unwrap().port());
    let made = ask(&mut ring, &opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).build());
    assert!(made >= 0, "{made}");
    assert_eq!(call(&mut live, EventType::Socket).args[..2], [libc::AF_INET as u64, libc::SOCK_STREAM as u64]);

    let to = sockaddr(there);
    let connect = opcode::Connect::new(types::Fd(made), (&raw const to).cast(), SOCKADDR).build();
    assert_eq!(ask(&mut ring, &connect), 0);
    let (header, connect, _) = live.connect(made);
    assert!(header.io_uring);
    assert_eq!((connect.addr, connect.port), (Some(Ipv4Addr::LOCALHOST.into()), there.port()));
    assert_eq!((connect.ret, connect.l4proto), (-i64::from(libc::EINPROGRESS), libc::IPPROTO_TCP as u16));

    let (from, receiver) = (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)), UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
    let (from, receiver) = (from.unwrap(), receiver.unwrap());
    let there = SocketAddrV4::new(Ipv4Addr::LOCALHOST, receiver.local_addr().unwrap().port());
    let mut to = sockaddr(there);
    let mut data = *b"hello";
    let mut part = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    // SAFETY: a structure of numbers and pointers, for which zeroes are valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_name, message.msg_namelen) = ((&raw mut to).cast(), SOCKADDR);
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    let fd = types::Fd(from.as_raw_fd());
    assert_eq!(ask(&mut ring, &opcode::SendMsg::new(fd, &raw const message).build()), 5);
    let told = call(&mut live, EventType::Sendmsg);
    assert_eq!((told.fd, told.remote), (Some(from.as_raw_fd()), Some(there)));

    // Since Linux 6.11.
    let bound = sockaddr(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
    let other = ask(&mut ring, &opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).build());
    let bind = opcode::Bind::new(types::Fd(other), (&raw const bound).cast(), SOCKADDR).build();
    if ask(&mut ring, &bind) != 0 {
        return println!("skipped: this kernel's rings do not bind");
    }
    let told = call(&mut live, EventType::Bind);
    assert_eq!((told.fd, told.remote), (Some(other), Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))));
    assert_eq!(ask(&mut ring, &opcode::Listen::new(types::Fd(other), 7).build()), 0);
    let told = call(&mut live, EventType::Listen);
    assert_eq!((told.fd, told.args[1]), (Some(other), 7));
}

/// With IORING_SETUP_SQPOLL a thread of the kernel's submits: it is told as one of the process that owns the ring.
#[test]
fn a_ring_that_is_polled_belongs_to_its_owner() {
    let Some(mut live) = live(&KernelFilter::everything(1, HOOKS)) else { return };
    let Some(mut ring) = ring(&live, true) else { return };
    let how = types::OpenHow::new();
    let entry = opcode::OpenAt2::new(types::Fd(libc::AT_FDCWD), c"absent-polled".as_ptr(), &raw const how).build();
    assert_eq!(ask(&mut ring, &entry), -libc::ENOENT);
    let (header, path, base, _) = open(&mut live, "absent-polled");
    assert_eq!((header.pid, path.as_str()), (std::process::id(), "absent-polled"));
    assert_ne!(header.tid, tid());
    assert_eq!(Path::new(&base), std::env::current_dir().unwrap());
    let comm = std::fs::read_to_string(format!("/proc/self/task/{}/comm", header.tid)).unwrap();
    assert!(comm.starts_with("iou-sqp-"), "{comm}");
    // As the kernel tells of this thread's own calls.
    assert!(File::open("absent-by-call").is_err());
    let (own, _) = live.open("absent-by-call");
    assert_eq!((header.start_time, header.uid, header.cgroup), (own.start_time, own.uid, own.cgroup));
}

/// A file of the ring's own table has no descriptor; where it connects to is told all the same.
#[test]
fn a_socket_of_the_rings_own_table_has_no_descriptor() {
    let Some(mut live) = live(&KernelFilter::everything(1, HOOKS)) else { return };
    let Some(mut ring) = ring(&live, false) else { return };
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    ring.submitter().register_files(&[socket.as_raw_fd()]).unwrap();
    let to = sockaddr(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9));
    let entry = opcode::Connect::new(types::Fixed(0), (&raw const to).cast(), SOCKADDR).build();
    assert_eq!(ask(&mut ring, &entry), 0);
    let (header, connect, _) = live.connect(-1);
    assert!(header.io_uring);
    assert_eq!((connect.addr, connect.port, connect.sock_type), (Some(Ipv4Addr::LOCALHOST.into()), 9, 0));
}
