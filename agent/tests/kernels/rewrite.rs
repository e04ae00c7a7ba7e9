//! Calls that are held inside the kernel, once it has copied their arguments, while another thread writes something else there.
use crate::{
    script::{own_mounts, unix_address},
    used::Folder,
};
use engine::event::Hook;
use std::{
    cell::UnsafeCell,
    ffi::{CStr, CString},
    fs, io,
    os::{
        fd::AsRawFd as _,
        unix::{
            ffi::OsStrExt as _,
            fs::MetadataExt as _,
            net::{UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What was done.
pub struct Done {
    /// By which thread.
    pub tid: u32,
    /// The name that the kernel went by.
    pub used: String,
    /// What stood in the caller's memory when the call ended; empty: nothing.
    pub rewritten: String,
}

type Case = fn(&Folder) -> io::Result<Done>;

/// By name and hook.
pub const CASES: &[(&str, Hook, Case)] = &[
    ("open", Hook::Open, open),
    ("connect", Hook::Connect, connect),
    ("unlink", Hook::Unlink, unlink),
    ("chmod", Hook::Chmod, chmod),
    ("chown", Hook::Chown, chown),
    ("mount", Hook::Mount, mount),
    ("sendto", Hook::Send, send),
    ("sendmsg", Hook::Send, send_message),
];

/// How long a thread may take to come to where it is held.
const PATIENCE: Duration = Duration::from_secs(20);

/// Memory that one thread gives to the kernel and another writes.
struct Shared(UnsafeCell<[u8; 128]>);
// SAFETY: the threads take turns: one writes while the other is held in a system call.
unsafe impl Sync for Shared {}

impl Shared {
    fn of(bytes: &[u8]) -> Arc<Self> {
        let shared = Self(UnsafeCell::new([0; 128]));
        shared.write(bytes);
        Arc::new(shared)
    }

    fn write(&self, bytes: &[u8]) {
        assert!(bytes.len() <= 128);
        // SAFETY: inside of the array; nobody reads it but the kernel, which is done with it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.get().cast(), bytes.len()) };
    }

    fn at(&self) -> *const libc::c_char {
        self.0.get().cast()
    }
}

/// A thread that makes one call.
struct Held {
    thread: thread::JoinHandle<()>,
    tid: u32,
}

impl Held {
    /// Starts it, and waits until it sleeps in the system call with that number.
    fn start(nr: i64, call: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let tid = Arc::new(AtomicI32::new(0));
        let told = Arc::clone(&tid);
        let thread = thread::spawn(move || {
            // SAFETY: takes nothing.
            told.store(unsafe { libc::gettid() }, Ordering::SeqCst);
            call();
        });
        let end = Instant::now() + PATIENCE;
        loop {
            let tid = tid.load(Ordering::SeqCst);
            let line = fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).unwrap_or_default();
            if tid != 0 && line.split(' ').next() == Some(&nr.to_string()) && sleeps(tid) {
                return Ok(Self { thread, tid: tid.cast_unsigned() });
            }
            if Instant::now() > end {
                return Err(io::Error::other("the call was not held"));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn end(self, used: &CStr, rewritten: &CStr) -> Done {
        self.thread.join().unwrap();
        let text = |name: &CStr| name.to_string_lossy().into_owned();
        Done { tid: self.tid, used: text(used), rewritten: text(rewritten) }
    }
}

fn sleeps(tid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{tid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['S', 'D']))
}

/// An open of a fifo waits for a writer; a signal makes it fail.
fn open(folder: &Folder) -> io::Result<Done> {
    extern "C" fn nothing(_: libc::c_int) {}
    let (fifo, other) = (folder.c("fifo"), folder.c("else"));
    // SAFETY: a string; a handler that does nothing, so that the signal interrupts.
    unsafe {
        libc::mkfifo(fifo.as_ptr(), 0o600);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut());
    }
    let memory = Shared::of(fifo.as_bytes_with_nul());
    let name = Arc::clone(&memory);
    let held = Held::start(libc::SYS_open, move || {
        // SAFETY: a string in memory that lives as long.
        unsafe { libc::syscall(libc::SYS_open, name.at(), libc::O_RDONLY) };
    })?;
    memory.write(other.as_bytes_with_nul());
    // SAFETY: a signal to a thread of ours, which has a handler.
    unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), held.tid, libc::SIGUSR2) };
    Ok(held.end(&fifo, &other))
}

/// A connect to a unix socket waits until the one before it is accepted.
fn connect(folder: &Folder) -> io::Result<Done> {
    let (path, other) = (folder.c("listen"), folder.c("else"));
    let address = |name: &CString| unix_address(Path::new(std::ffi::OsStr::from_bytes(name.as_bytes())));
    let listener = UnixListener::bind(Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())))?;
    // SAFETY: a listening socket of ours: from now on one may wait.
    unsafe { libc::listen(listener.as_raw_fd(), 0) };
    let _first = UnixStream::connect(Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())))?;
    let memory = Shared::of(&address(&path));
    let (given, len) = (Arc::clone(&memory), address(&path).len());
    let held = Held::start(libc::SYS_connect, move || {
        // SAFETY: an address of the length told, in memory that lives as long; the descriptor is closed at once.
        unsafe {
            let socket = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
            libc::syscall(libc::SYS_connect, socket, given.at(), len);
            libc::close(socket);
        }
    })?;
    memory.write(&address(&other));
    listener.accept()?;
    Ok(held.end(&path, &other))
}

/// A folder that the kernel has locked: for a listing of it that waits for memory which is not there yet (userfaultfd).
struct Lock {
    page: Page,
    listing: Held,
}

impl Lock {
    fn of(folder: &Path) -> io::Result<Self> {
        let page = Page::without_memory()?;
        let (at, opened) = (page.at as usize, fs::File::open(folder)?);
        let listing = Held::start(libc::SYS_getdents64, move || {
            // SAFETY: a mapping of that length.
            unsafe { libc::syscall(libc::SYS_getdents64, opened.as_raw_fd(), at, PAGE) };
        })?;
        Ok(Self { page, listing })
    }

    fn free(self) -> io::Result<()> {
        self.page.fill()?;
        self.listing.thread.join().unwrap();
        Ok(())
    }
}

/// Has a thread call `nr` with a name while `folder` is locked, and another name written there before it is free again.
fn while_locked(
    folder: &Path,
    names: [CString; 2],
    nr: i64,
    call: impl FnOnce(*const libc::c_char) + Send + 'static,
) -> io::Result<Done> {
    let lock = Lock::of(folder)?;
    let [name, other] = names;
    let memory = Shared::of(name.as_bytes_with_nul());
    let given = Arc::clone(&memory);
    let held = Held::start(nr, move || call(given.at()));
    if held.is_ok() {
        memory.write(other.as_bytes_with_nul());
    }
    lock.free()?;
    Ok(held?.end(&name, &other))
}

/// Two folders, the first to be locked.
fn two(folder: &Folder, name: &str) -> io::Result<(PathBuf, [CString; 2])> {
    let names = [format!("{name}-victim"), format!("{name}-decoy")];
    for name in &names {
        fs::create_dir_all(folder.0.join(name))?;
    }
    Ok((folder.0.join(&names[0]), names.map(|name| folder.c(&name))))
}

/// An unlink waits for the lock of the file's folder.
fn unlink(folder: &Folder) -> io::Result<Done> {
    let dir = Folder(folder.0.join("locked"));
    fs::create_dir_all(&dir.0)?;
    for name in ["victim", "decoy"] {
        fs::write(dir.0.join(name), "")?;
    }
    let done = while_locked(&dir.0, [dir.c("victim"), dir.c("decoy")], libc::SYS_unlink, |name| {
        // SAFETY: as open(), here and below.
        unsafe { libc::syscall(libc::SYS_unlink, name) };
    })?;
    if fs::exists(dir.0.join("victim"))? || !fs::exists(dir.0.join("decoy"))? {
        return Err(io::Error::other("the kernel removed another file than it was asked for"));
    }
    Ok(done)
}

/// chmod waits for the lock of what it changes.
fn chmod(folder: &Folder) -> io::Result<Done> {
    let (victim, names) = two(folder, "chmod")?;
    let done = while_locked(&victim, names, libc::SYS_chmod, |name| {
        // SAFETY: as open().
        unsafe { libc::syscall(libc::SYS_chmod, name, 0o711) };
    })?;
    if fs::metadata(victim)?.mode() & 0o777 != 0o711 {
        return Err(io::Error::other("the kernel changed another folder than it was asked to"));
    }
    Ok(done)
}

/// So does chown.
fn chown(folder: &Folder) -> io::Result<Done> {
    let (victim, names) = two(folder, "chown")?;
    while_locked(&victim, names, libc::SYS_chown, |name| {
        // SAFETY: as open().
        unsafe { libc::syscall(libc::SYS_chown, name, 0, 0) };
    })
}

/// A mount waits for the lock of the folder that it is to cover.
fn mount(folder: &Folder) -> io::Result<Done> {
    let (victim, names) = two(folder, "mount")?;
    while_locked(&victim, names, libc::SYS_mount, |name| {
        own_mounts();
        // SAFETY: as open(); static strings.
        unsafe { libc::syscall(libc::SYS_mount, c"none".as_ptr(), name, c"tmpfs".as_ptr(), 0, 0) };
    })
}

/// A datagram to a unix socket waits until there is room for it.
fn send(folder: &Folder) -> io::Result<Done> {
    let full = Full::of(&folder.0.join("sendto"))?;
    let other = folder.0.join("else");
    let address = unix_address(&full.path);
    let memory = Shared::of(&address);
    let (given, len, socket) = (Arc::clone(&memory), address.len(), full.sender.as_raw_fd());
    let held = Held::start(libc::SYS_sendto, move || {
        // SAFETY: an address of the length told, in memory that lives as long.
        unsafe { libc::syscall(libc::SYS_sendto, socket, c"x".as_ptr(), 1, 0, given.at(), len) };
    })?;
    memory.write(&unix_address(&other));
    full.empty(held, other.to_string_lossy().into_owned())
}

/// Here the other thread takes the address out of the message, as if it had been sent without one: then the baseline tells nothing.
fn send_message(folder: &Folder) -> io::Result<Done> {
    let full = Full::of(&folder.0.join("sendmsg"))?;
    let address = unix_address(&full.path);
    // SAFETY: a structure of numbers and pointers, for which zeroes are valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    let text = libc::iovec { iov_base: c"x".as_ptr().cast_mut().cast(), iov_len: 1 };
    message.msg_iov = (&raw const text).cast_mut();
    message.msg_iovlen = 1;
    let bytes = |message: &libc::msghdr| {
        // SAFETY: so many bytes of a structure, whose padding was zeroed.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(message).cast::<u8>(), size_of_val(message)) }.to_vec()
    };
    let without = bytes(&message);
    message.msg_name = address.as_ptr().cast_mut().cast();
    message.msg_namelen = address.len() as u32;
    let memory = Shared::of(&bytes(&message));
    let (given, socket) = (Arc::clone(&memory), full.sender.as_raw_fd());
    let held = Held::start(libc::SYS_sendmsg, move || {
        // SAFETY: a message in memory that lives as long, as does what it points to: this function waits for the thread.
        unsafe { libc::syscall(libc::SYS_sendmsg, socket, given.at(), 0) };
    })?;
    memory.write(&without);
    full.empty(held, String::new())
}

/// A unix socket that has no room for one more datagram.
struct Full {
    path: PathBuf,
    receiver: UnixDatagram,
    sender: UnixDatagram,
    waiting: usize,
}

impl Full {
    fn of(path: &Path) -> io::Result<Self> {
        let receiver = UnixDatagram::bind(path)?;
        let sender = UnixDatagram::unbound()?;
        sender.set_nonblocking(true)?;
        let waiting = std::iter::repeat_with(|| sender.send_to(b"x", path)).take_while(Result::is_ok).count();
        sender.set_nonblocking(false)?;
        Ok(Self { path: path.to_owned(), receiver, sender, waiting })
    }

    /// Takes all of them out, so that the thread that waits with one more goes on.
    fn empty(self, held: Held, rewritten: String) -> io::Result<Done> {
        for _ in 0..=self.waiting {
            self.receiver.recv(&mut [0; 8])?;
        }
        held.thread.join().unwrap();
        Ok(Done { tid: held.tid, used: self.path.to_string_lossy().into_owned(), rewritten })
    }
}

const PAGE: usize = 4096;

/// A page whose first access waits until it is filled (include/uapi/linux/userfaultfd.h).
struct Page {
    at: *mut libc::c_void,
    uffd: i32,
}

impl Page {
    fn without_memory() -> io::Result<Self> {
        const UFFDIO_API: u64 = 0xc018_aa3f;
        const UFFDIO_REGISTER: u64 = 0xc020_aa00;
        const UFFD_API: u64 = 0xaa;
        const MISSING: u64 = 1;
        // SAFETY: a private mapping; the structures are as long as the kernel takes them.
        unsafe {
            let uffd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) as i32;
            if uffd < 0 {
                let why = format!("no userfaultfd here: {}", io::Error::last_os_error());
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
            let (rights, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let at = libc::mmap(std::ptr::null_mut(), PAGE, rights, kind, -1, 0);
            let api = [UFFD_API, 0, 0];
            let register = [at as u64, PAGE as u64, MISSING, 0];
            if libc::ioctl(uffd, UFFDIO_API, api.as_ptr()) != 0
                || libc::ioctl(uffd, UFFDIO_REGISTER, register.as_ptr()) != 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { at, uffd })
        }
    }

    fn fill(&self) -> io::Result<()> {
        const UFFDIO_ZEROPAGE: u64 = 0xc020_aa04;
        let range = [self.at as u64, PAGE as u64, 0, 0];
        // SAFETY: as above.
        if unsafe { libc::ioctl(self.uffd, UFFDIO_ZEROPAGE, range.as_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: ours.
        unsafe {
            libc::close(self.uffd);
            libc::munmap(self.at, PAGE);
        }
    }
}
