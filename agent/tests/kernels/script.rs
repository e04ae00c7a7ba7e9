//! The calls that both back ends are to tell the same of.
use agent::probe::record::Body;
use std::{
    ffi::CString,
    fs, io,
    os::{fd::AsRawFd as _, unix::ffi::OsStrExt as _},
    path::Path,
};

/// One call of the script. Where its name ends with [`UNSURE`] the kernel has not come to copy all that it was given.
pub type Step = (&'static str, Box<dyn Fn() -> i64>);
/// See [`Step`].
pub const UNSURE: &str = "not all copied";
/// In all names that are no paths.
pub const MARK: &str = "eyas-used";

/// Calls of each of these hooks, that succeed and that fail, by absolute and relative names. Each leaves the folder as it was before or as
/// the next one needs it. What is mounted is so in a mount namespace of this thread's own.
pub fn script(folder: &Path) -> Vec<Step> {
    own_mounts();
    // What a run before has left.
    let _ = (fs::remove_dir(folder.join("d")), fs::remove_file(folder.join("receiver")));
    let c = |name: &str| CString::new(folder.join(name).as_os_str().as_bytes()).unwrap();
    let dir = fs::File::open(folder).unwrap();
    let at = move || i64::from(dir.as_raw_fd());
    let at = std::rc::Rc::new(at);
    // SAFETY: strings and addresses that live as long as the closure that makes the call.
    let call =
        |nr: i64, args: [i64; 6]| unsafe { libc::syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]) };
    let mut steps: Vec<Step> = Vec::new();
    macro_rules! step {
        ($name:literal, $nr:expr, $($text:ident = $value:expr),*; $at:ident => [$($arg:expr),*]) => {{
            $(let $text = $value;)*
            let $at = std::rc::Rc::clone(&at);
            steps.push(($name, Box::new(move || {
                $(let $text = $text.as_ptr() as i64;)*
                let $at = $at();
                let _ = $at;
                let mut args = [0i64; 6];
                for (to, from) in args.iter_mut().zip([$($arg),*]) { *to = from; }
                call($nr, args)
            })));
        }};
    }
    let absent = || c("absent");
    step!("open", libc::SYS_open, p = c("there"); at => [p, 0]);
    step!("openat relative", libc::SYS_openat, p = c"there".to_owned(); at => [at, p, 0]);
    step!("open absent", libc::SYS_open, p = absent(); at => [p, 0]);
    step!("openat absent", libc::SYS_openat, p = c"absent".to_owned(); at => [at, p, 0]);
    step!("mkdir", libc::SYS_mkdir, p = c("d"); at => [p, 0o700]);
    step!("mkdirat again", libc::SYS_mkdirat, p = c"d".to_owned(); at => [at, p, 0o700]);
    step!("rename", libc::SYS_rename, p = c("d"), q = c("e"); at => [p, q]);
    step!("renameat2 absent", libc::SYS_renameat2, p = c"d".to_owned(), q = c("f"); at => [at, p, -100, q, 0]);
    step!("rmdir", libc::SYS_rmdir, p = c("e"); at => [p]);
    step!("unlinkat of none", libc::SYS_unlinkat, p = c"e".to_owned(); at => [at, p, 0]);
    step!("link", libc::SYS_link, p = c("there"), q = c("hard"); at => [p, q]);
    step!("unlink", libc::SYS_unlink, p = c("hard"); at => [p]);
    step!("symlinkat", libc::SYS_symlinkat, p = c"to/nowhere".to_owned(), q = c"soft".to_owned(); at => [p, at, q]);
    step!("unlinkat", libc::SYS_unlinkat, p = c"soft".to_owned(); at => [at, p, 0]);
    let address = unix_address(&folder.join("socket"));
    let len = address.len() as i64;
    // SAFETY: makes a descriptor that lives until the script's end.
    let [first, second] = [0; 2].map(|_| i64::from(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0) }));
    let (a, b) = (address.clone(), address);
    step!("connect refused", libc::SYS_connect, p = b; at => [second, p, len]);
    step!("bind", libc::SYS_bind, p = a; at => [first, p, len]);
    step!("unlink socket", libc::SYS_unlink, p = c("socket"); at => [p]);
    step!("chmod", libc::SYS_chmod, p = c("there"); at => [p, 0o640]);
    step!("fchmodat", libc::SYS_fchmodat, p = c"there".to_owned(); at => [at, p, 0o600]);
    step!("chmod absent", libc::SYS_chmod, p = absent(); at => [p, 0o600]);
    step!("chown", libc::SYS_chown, p = c("there"); at => [p, -1, -1]);
    step!("lchown absent", libc::SYS_lchown, p = absent(); at => [p, -1, -1]);
    step!("fchownat", libc::SYS_fchownat, p = c"there".to_owned(); at => [at, p, -1, -1, 0]);
    step!("mkdir again", libc::SYS_mkdir, p = c("d"); at => [p, 0o700]);
    // As compilers place them: source and type are one text.
    step!("mount", libc::SYS_mount, p = c"tmpfs".to_owned(), q = c("d"); at => [p, q, p, 0, 0]);
    step!("umount2", libc::SYS_umount2, p = c("d"); at => [p, 0]);
    step!("mount bind", libc::SYS_mount, p = c("there"), q = c("there"); at => [p, q, 0, libc::MS_BIND as i64, 0]);
    step!("umount2 bind", libc::SYS_umount2, p = c("there"); at => [p, libc::MNT_DETACH.into()]);
    step!("mount absent", libc::SYS_mount, p = c("there"), q = absent(), r = c"no".to_owned(); at => [p, q, r, 0, 0]);
    step!("move_mount", libc::SYS_move_mount, p = c("there"), q = c"d".to_owned(); at => [-100, p, at, q, 0]);
    step!("move_mount of none, not all copied", libc::SYS_move_mount, p = absent(), q = c("d"); at => [-100, p, -100, q, 0]);
    step!("chroot absent", libc::SYS_chroot, p = absent(); at => [p]);
    let root = c("d");
    steps.push(("chroot", Box::new(move || apart(|| call(libc::SYS_chroot, [root.as_ptr() as i64, 0, 0, 0, 0, 0])))));
    step!("pivot_root", libc::SYS_pivot_root, p = c("d"), q = c("there"); at => [p, q]);
    let (here, dot) = (c("d"), c".");
    steps.push((
        "pivot_root as runc does",
        Box::new(move || {
            apart(|| {
                call(libc::SYS_chdir, [here.as_ptr() as i64, 0, 0, 0, 0, 0]);
                let dot = dot.as_ptr() as i64;
                call(libc::SYS_pivot_root, [dot, dot, 0, 0, 0, 0])
            })
        }),
    ));
    step!("memfd_create", libc::SYS_memfd_create, p = c"eyas-used".to_owned(); at => [p, libc::MFD_CLOEXEC.into()]);
    step!("delete_module", libc::SYS_delete_module, p = c"eyas-used".to_owned(); at => [p, libc::O_NONBLOCK.into()]);
    sends(folder, &mut steps);
    steps
}

/// Gives this thread mounts of its own, which nobody else sees.
pub fn own_mounts() {
    // SAFETY: static strings.
    let done = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                std::ptr::null(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
    };
    assert!(done, "no mounts of its own: {}", io::Error::last_os_error());
}

/// By a thread with a root and a working directory of its own.
fn apart(what: impl FnOnce() -> i64 + Send) -> i64 {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: takes nothing of ours.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FS) }, 0);
            what()
        });
        thread.join().unwrap()
    })
}

/// Datagrams to a unix socket that is there, to one that is not, and to the discard port.
fn sends(folder: &Path, steps: &mut Vec<Step>) {
    // SAFETY: descriptors that live until the process' end; what is sent, messages and addresses live as long as the closures.
    let socket = |family| unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    let [local, udp] = [libc::AF_UNIX, libc::AF_INET].map(socket);
    let there = folder.join("receiver");
    let receiver = std::os::unix::net::UnixDatagram::bind(&there).unwrap();
    // SAFETY: as above.
    let to = |fd: i32, address: &[u8]| unsafe {
        libc::sendto(fd, c"x".as_ptr().cast(), 1, 0, address.as_ptr().cast(), address.len() as u32) as i64
    };
    let (known, unknown) = (unix_address(&there), unix_address(&folder.join("no-receiver")));
    let address = known.clone();
    steps.push(("sendto", Box::new(move || to(local, &address))));
    steps.push(("sendto refused", Box::new(move || to(local, &unknown))));
    let discard = [libc::AF_INET as u8, 0, 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    steps.push(("sendto by UDP", Box::new(move || to(udp, &discard))));
    let message = |address: &[u8], text: &libc::iovec| {
        // SAFETY: a structure of numbers and pointers, for which zeroes are valid.
        let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        message.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
        message.msg_hdr.msg_namelen = address.len() as u32;
        message.msg_hdr.msg_iov = std::ptr::from_ref(text).cast_mut();
        message.msg_hdr.msg_iovlen = 1;
        message
    };
    let address = known.clone();
    let text = || libc::iovec { iov_base: c"y".as_ptr().cast_mut().cast(), iov_len: 1 };
    steps.push((
        "sendmsg",
        Box::new(move || {
            let text = text();
            let message = message(&address, &text);
            // SAFETY: as above.
            unsafe { libc::sendmsg(local, &raw const message.msg_hdr, 0) as i64 }
        }),
    ));
    steps.push((
        "sendmmsg",
        Box::new(move || {
            let _ = &receiver;
            let text = text();
            // Only the first one's address is told. The second fails: there is no such family.
            let mut messages = [message(&known, &text), message(&[0xff, 0xff], &text)];
            // SAFETY: as above; two messages.
            unsafe { libc::sendmmsg(local, messages.as_mut_ptr(), 2, 0) as i64 }
        }),
    ));
}

/// As the kernel takes it.
pub fn unix_address(path: &Path) -> Vec<u8> {
    let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    bytes.extend(path.as_os_str().as_bytes());
    bytes.push(0);
    bytes
}

/// What a record says, without what differs from run to run: numbers of descriptors and addresses of arguments.
pub fn told(body: &Body<'_>) -> Option<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(match body {
        Body::Open(o) => format!(
            "{} of {:?} in {:?}, given {:?}, result {}, inode {}, device {}, flags {:o}",
            if o.resolved { "open" } else { "try" },
            text(o.path),
            text(o.base),
            text(o.given),
            o.ret.min(0),
            o.ino,
            o.dev,
            o.flags
        ),
        Body::Connect(c) => format!("connect {} to {:?}, result {}", c.family, text(c.unix_path), c.ret),
        Body::Call(c) => format!(
            "{:?} in {:?}, {:?} in {:?}, text {:?}, result {}, socket {:?}, file {:?}",
            text(c.path.path),
            text(c.path.base),
            text(c.path2.path),
            text(c.path2.base),
            text(c.text),
            c.ret.min(0),
            c.socket.as_ref().map(|s| (s.family, text(s.unix_path), s.addr, s.port)),
            c.file.map(|f| text(f.path))
        ),
        _ => return None,
    })
}
