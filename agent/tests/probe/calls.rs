//! The calls that are told by a recipe: who, what, with which arguments.
use crate::support::{Live, live, tid};
use agent::probe::{
    KernelFilter,
    record::{Body, Call, Record},
};
use engine::event::{EventType, Hook};
use std::{
    ffi::CString,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    os::unix::ffi::OsStrExt as _,
};

/// A call of this thread, owned.
#[derive(Debug, Default)]
struct Told {
    ret: i64,
    args: [u64; 6],
    path: (String, String),
    path2: (String, String),
    text: String,
    fd: Option<i32>,
    file: Option<(String, u16)>,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
    given: bool,
}

impl From<&Call<'_>> for Told {
    fn from(c: &Call<'_>) -> Self {
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        let given = |g: agent::probe::record::Given<'_>| (text(g.path), text(g.base));
        let socket = c.socket.as_ref();
        Self {
            ret: c.ret,
            args: c.args,
            path: given(c.path),
            path2: given(c.path2),
            text: text(c.text),
            fd: c.fd,
            file: c.file.map(|f| (text(f.path), f.mode)),
            remote: socket.and_then(|s| Some((s.addr?, s.port).into())),
            local: socket.and_then(|s| Some((s.local_addr?, s.local_port).into())),
            given: c.given,
        }
    }
}

fn all() -> KernelFilter {
    KernelFilter::everything(1, Hook::ALL.iter().copied())
}

impl Live {
    fn call(&mut self, event_type: EventType) -> Told {
        let tid = tid();
        self.find(event_type.as_str(), |r: &Record<'_>| match &r.body {
            Body::Call(c) if r.header.tid == tid && r.header.event_type == event_type => Some(Told::from(c)),
            _ => None,
        })
    }
}

fn path(path: &std::path::Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

#[test]
fn files_are_changed() {
    let Some(mut live) = live(&all()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let base = root.to_str().unwrap().to_owned();
    let at = |name: &str| format!("{base}/{name}");
    let handle = std::fs::File::open(&root).unwrap();
    let fd = handle.as_raw_fd();
    let (a, b, link) = (c"a", c"b", path(&root.join("link")));
    let whole = path(&root.join("b"));
    // SAFETY: all texts live across the calls.
    unsafe {
        assert_eq!(libc::mkdirat(fd, c"sub".as_ptr(), 0o750), 0);
        assert!(libc::close(libc::openat(fd, a.as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600)) == 0);
        assert_eq!(libc::renameat(fd, a.as_ptr(), fd, b.as_ptr()), 0);
        assert_eq!(libc::symlink(c"../target".as_ptr(), link.as_ptr()), 0);
        assert_eq!(libc::linkat(fd, b.as_ptr(), fd, c"hard".as_ptr(), 0), 0);
        assert_eq!(libc::chmod(whole.as_ptr(), 0o4755), 0);
        assert_eq!(libc::chown(whole.as_ptr(), u32::MAX, u32::MAX), 0);
        assert_eq!(libc::fchmod(fd, 0o700), 0);
        assert_eq!(libc::unlinkat(fd, b.as_ptr(), 0), 0);
        assert_eq!(libc::rmdir(path(&root.join("sub")).as_ptr()), 0);
        assert_eq!(libc::unlink(c"not-there".as_ptr()), -1);
    }
    let told = live.call(EventType::Mkdirat);
    assert_eq!((told.ret, told.path, told.args[2]), (0, ("sub".to_owned(), base.clone()), 0o750));
    let told = live.call(EventType::Renameat);
    assert_eq!((told.path, told.path2), (("a".to_owned(), base.clone()), ("b".to_owned(), base.clone())));
    let told = live.call(EventType::Symlink);
    assert_eq!(told.path, ("../target".to_owned(), String::new()), "the target starts nowhere");
    assert_eq!(told.path2, (at("link"), String::new()));
    let told = live.call(EventType::Linkat);
    assert_eq!((told.path.0.as_str(), told.path2), ("b", ("hard".to_owned(), base.clone())));
    let told = live.call(EventType::Chmod);
    assert_eq!((told.path.0, told.args[1] as u32), (at("b"), 0o4755));
    let told = live.call(EventType::Chown);
    assert_eq!((told.path.0, told.args[1] as u32), (at("b"), u32::MAX));
    let told = live.call(EventType::Fchmod);
    assert_eq!(told.fd, Some(fd));
    let (name, mode) = told.file.unwrap();
    assert_eq!((name, u32::from(mode) & libc::S_IFMT), (base.clone(), libc::S_IFDIR));
    assert_eq!(live.call(EventType::Unlinkat).path, ("b".to_owned(), base.clone()));
    assert_eq!(live.call(EventType::Rmdir).path.0, at("sub"));
    let told = live.call(EventType::Unlink);
    let here = std::env::current_dir().unwrap().to_str().unwrap().to_owned();
    assert_eq!((told.ret, told.path), (-i64::from(libc::ENOENT), ("not-there".to_owned(), here)));
}

#[test]
fn sockets_are_served() {
    let Some(mut live) = live(&all()) else { return };
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let there = server.local_addr().unwrap();
    let client = TcpStream::connect(there).unwrap();
    let (accepted, peer) = server.accept().unwrap();
    let (from, to) =
        (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
    // Without an address it is nobody's business.
    // SAFETY: five bytes are sent from a text that long.
    unsafe { libc::send(client.as_raw_fd(), c"hello".as_ptr().cast(), 5, 0) };
    let told = live.call(EventType::Socket);
    assert_eq!((told.args[0], told.ret), (libc::AF_INET as u64, i64::from(server.as_raw_fd())));
    let told = live.call(EventType::Bind);
    assert_eq!((told.remote.unwrap().ip(), told.local, told.given), (there.ip(), Some(there), true));
    let told = live.call(EventType::Listen);
    assert_eq!((told.fd, told.local), (Some(server.as_raw_fd()), Some(there)));
    let told = live.call(EventType::Accept4);
    assert_eq!((told.ret, told.remote, told.local), (i64::from(accepted.as_raw_fd()), Some(peer), Some(there)));
    let told = live.call(EventType::Sendto);
    let (local, remote) = (from.local_addr().unwrap(), to.local_addr().unwrap());
    assert_eq!((told.fd, told.remote, told.local), (Some(from.as_raw_fd()), Some(remote), Some(local)));
    let counters = live.probe.counters().unwrap();
    let send = counters.iter().find(|c| c.hook == Hook::Send).unwrap();
    assert!(send.filtered >= 1 && send.seen == send.filtered + send.submitted, "{send:?}");
}

#[test]
fn a_socket_is_put_on_standard_input() {
    let Some(mut live) = live(&all()) else { return };
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    // SAFETY: descriptors of our own.
    let copy = unsafe { libc::dup2(client.as_raw_fd(), 900) };
    assert_eq!(copy, 900);
    // SAFETY: as above.
    unsafe { libc::close(copy) };
    let told = live.call(EventType::Dup2);
    assert_eq!((told.ret, told.fd, told.remote), (900, Some(900), Some(server.local_addr().unwrap())));
    assert_eq!(told.args[0], client.as_raw_fd() as u64);
}

#[test]
fn numbers_and_texts_come_as_given() {
    let Some(mut live) = live(&all()) else { return };
    let mut ends = [0i32; 2];
    // SAFETY: texts and arrays live across the calls; each call fails, changes nothing, or what it makes is closed.
    unsafe {
        let memory = libc::memfd_create(c"eyas-test".as_ptr(), 0);
        assert!(memory >= 0);
        libc::close(memory);
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        libc::close(ends[0]);
        libc::close(ends[1]);
        libc::mount(c"proc".as_ptr(), c"/not/there".as_ptr(), c"tmpfs".as_ptr(), libc::MS_NOSUID, std::ptr::null());
        libc::ptrace(libc::PTRACE_ATTACH, 0x7fff_fff0, 0, 0);
        libc::kill(std::process::id() as i32, 0);
        libc::unshare(0);
        libc::syscall(libc::SYS_setresuid, -1, -1, -1);
        libc::syscall(libc::SYS_delete_module, c"eyas_no_such".as_ptr(), libc::O_NONBLOCK);
        libc::syscall(libc::SYS_chroot, c"".as_ptr());
    }
    let told = live.call(EventType::MemfdCreate);
    assert_eq!(told.text, "eyas-test");
    assert!(told.file.is_some_and(|(name, _)| name.contains("memfd:eyas-test")));
    let told = live.call(EventType::Pipe2);
    assert_eq!([told.args[4] as i32, told.args[5] as i32], ends);
    let told = live.call(EventType::Mount);
    assert_eq!((told.path.0.as_str(), told.path2.0.as_str(), told.text.as_str()), ("/not/there", "proc", "tmpfs"));
    assert_eq!((told.args[3], told.ret), (libc::MS_NOSUID, -i64::from(libc::ENOENT)));
    let told = live.call(EventType::Ptrace);
    assert_eq!((told.args[0], told.args[1], told.ret), (16, 0x7fff_fff0, -i64::from(libc::ESRCH)));
    let told = live.call(EventType::Kill);
    assert_eq!((told.args[0], told.args[1], told.ret), (u64::from(std::process::id()), 0, 0));
    assert_eq!(live.call(EventType::Unshare).ret, 0);
    assert_eq!(live.call(EventType::Setresuid).args[0] as u32, u32::MAX);
    assert_eq!(live.call(EventType::DeleteModule).text, "eyas_no_such");
    assert_eq!(live.call(EventType::Chroot).ret, -i64::from(libc::ENOENT));
}

/// Each hook comes back from the kernel by its own canary.
#[test]
fn every_hook_is_proven() {
    let Some(mut live) = live(&all()) else { return };
    live.probe.fire_canaries().unwrap();
    while live.ring.drain(usize::MAX, &mut |_| {}) > 0 {}
    let status = live.probe.hook_status();
    let unproven: Vec<_> = status.iter().filter(|h| h.last_proven.is_none()).map(|h| h.hook.as_str()).collect();
    assert!(unproven.is_empty(), "{unproven:?}");
}

/// Whatever type of a hook is wanted, its canary comes through, and is not taken for one of those.
#[test]
fn hooks_of_one_wanted_type_are_proven() {
    let types = [EventType::MoveMount, EventType::Rmdir, EventType::InitModule].into_iter().collect();
    let Some(mut live) = live(&KernelFilter { types, ..all() }) else { return };
    live.probe.fire_canaries().unwrap();
    while live.ring.drain(usize::MAX, &mut |_| {}) > 0 {}
    let proven = |hook| live.probe.hook_status().iter().any(|h| h.hook == hook && h.last_proven.is_some());
    assert!(proven(Hook::Mount) && proven(Hook::Unlink) && proven(Hook::Module));
}

/// Only the types that are wanted are seen.
#[test]
fn other_types_of_a_hook_are_not_sent() {
    let types = [EventType::Unlink].into_iter().collect();
    let Some(mut live) = live(&KernelFilter { types, ..all() }) else { return };
    // SAFETY: texts live across the calls, which fail.
    unsafe {
        libc::rmdir(c"/not/there".as_ptr());
        libc::unlink(c"/not/there".as_ptr());
    }
    let first = live.find("a call", |r: &Record<'_>| match &r.body {
        Body::Call(c) if r.header.tid == tid() && c.path.path == b"/not/there" => Some(r.header.event_type),
        _ => None,
    });
    assert_eq!(first, EventType::Unlink);
}
