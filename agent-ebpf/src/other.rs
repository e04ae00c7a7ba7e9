//! All calls but open and connect: what is told of each is said by its recipe (`agent_abi::call`).
use crate::{
    arch, classes,
    emit::{Event, InForce},
    file, given as paths,
    kernel::{self, Ptr},
    open::AT_FDCWD,
    path::{self, Path},
    scratch::{self, AS_USED, KERNEL, PATH_MAX, Scratch, USER},
    socket,
    syscalls::Call,
    used,
};
use agent_abi::{
    call::{
        self, AS_IS, IN_MESSAGE, NAMES_ITSELF, NEEDS_ADDRESS, NONE, RESULT, Recipe, TELLS_CAPABILITIES,
        TWO_DESCRIPTORS, TYPES,
    },
    record::{CALL_ADDRESS, CALL_CONNECTED, CALL_FD, CALL_GIVEN, CallBody, RecordHeader},
};

pub const FIXED: usize = size_of::<RecordHeader>() + size_of::<CallBody>();

/// `PR_SET_NAME` (include/uapi/linux/prctl.h), and the longest name.
const PR_SET_NAME: u64 = 15;
const NAME_MAX: u64 = 15;
/// Longest other text.
const TEXT_MAX: u64 = 1023;

pub static RECIPES: [Recipe; TYPES] = call::recipes();

/// One call has ended.
#[inline(always)]
pub fn call(this: &mut Event, call: &Call) -> Option<()> {
    this.only(this.tests().results[usize::from(call.ret < 0)]);
    classes::by_side(this);
    if this.is_unwanted() {
        return None;
    }
    let recipe = &RECIPES[call.event_type as usize & (TYPES - 1)];
    let Some(s) = scratch::syscall(FIXED) else {
        this.dropped();
        return None;
    };
    let (header, body) = scratch::parts::<CallBody>(s);
    scratch::clear(body);
    // SAFETY: `body` points into the scratch.
    arch::all_arguments(unsafe { (&raw mut (*body).args).cast::<u64>() }, call.regs, call.nr, call.compat);
    let tid = call.pid_tgid as u32;
    let (address, address_len) = address_argument(body, recipe, call.compat, tid, this.force);
    if recipe.flags & NEEDS_ADDRESS != 0 && address.is_null() && !this.is_canary() {
        this.filtered();
        return None;
    }
    // SAFETY: `body` points into the scratch, here and below.
    unsafe { (*body).ret = call.ret as u64 };
    let name = |n: u8| argument(body, n) as Ptr;
    used::names(s, call, this.force);
    paths(this, s, AS_USED, body, recipe, [name(recipe.path), name(recipe.path2)]);
    // Where the other end can decide, what nobody wants is not yet known.
    let remote = u64::from(classes::can_remote_decide(this));
    set!(s, remote, remote);
    if this.is_unwanted() || remote == 0 && this.is_shed() {
        used::count(this, s);
        return None;
    }
    let text = text(s, body, recipe, call);
    unsafe { (*body).text_len = text };
    let unix = if address.is_null() {
        0
    } else {
        let (address, len) = used::address(s, tid, this.force, (address, address_len));
        address_given(s, AS_USED, body, address, len)
    };
    let has_fd = if recipe.fd == RESULT { call.ret >= 0 } else { recipe.fd != NONE };
    let fd = if recipe.fd == RESULT { call.ret as u32 } else { argument(body, recipe.fd) as u32 };
    object(s, body, call.files, has_fd.then_some(fd), unix);
    used::count(this, s);
    if get!(s, remote) != 0 {
        classes::by_remote(this, s, this.hook, unsafe { &raw const (*body).ends });
        if this.is_unwanted() || this.is_shed() {
            return None;
        }
    }
    if recipe.flags & TELLS_CAPABILITIES != 0 {
        let cred = member!(Ptr, call.task, task_cred);
        unsafe {
            (*body).args[3] = member!(u64, cred, cred_cap_permitted);
            (*body).args[4] = member!(u64, cred, cred_cap_inheritable);
            (*body).args[5] = member!(u64, cred, cred_cap_effective);
        }
    }
    if recipe.flags & TWO_DESCRIPTORS != 0 && call.ret == 0 {
        let [read, write]: [u32; 2] = kernel::read_user(argument(body, 0) as Ptr, 0);
        unsafe {
            (*body).args[4] = read as u64;
            (*body).args[5] = write as u64;
        }
    }
    let flags = get!(s, flags) as u16;
    this.header(header, call.task, call.pid_tgid, call.event_type, flags);
    this.submit(header.cast(), scratch::len(s), flags);
    Some(())
}

/// The n-th argument; 0 for what is none.
#[inline(always)]
pub fn argument(body: *const CallBody, n: u8) -> u64 {
    if n > 5 {
        return 0;
    }
    // SAFETY: `body` points into the scratch; there are six.
    unsafe { core::ptr::read_volatile((&raw const (*body).args).cast::<u64>().add(n as usize)) }
}

/// Where the socket address lies in user space, and its length.
#[inline(always)]
fn address_argument(body: *const CallBody, recipe: &Recipe, compat: bool, tid: u32, force: InForce) -> (Ptr, u64) {
    if recipe.address == NONE {
        return (core::ptr::null(), 0);
    }
    let given = argument(body, recipe.address);
    if recipe.flags & IN_MESSAGE == 0 {
        return (given as Ptr, argument(body, recipe.address + 1) & 0xffff);
    }
    // Where the message says that it has none any more, the kernel may have found one.
    if used::has_address(tid, force) {
        return (given as Ptr, 0);
    }
    // struct msghdr begins with msg_name and msg_namelen.
    if compat {
        let [name, len]: [u32; 2] = kernel::read_user(given as Ptr, 0);
        (name as u64 as Ptr, len as u64 & 0xffff)
    } else {
        let [name, len]: [u64; 2] = kernel::read_user(given as Ptr, 0);
        (name as Ptr, len & 0xffff)
    }
}

/// Appends the paths that the call was given ([`AS_USED`]: as the kernel used them), and leaves the classes that one of them satisfies.
#[inline(always)]
pub fn paths(
    this: &mut Event,
    s: *mut Scratch,
    space: u8,
    body: *mut CallBody,
    recipe: &Recipe,
    [first, second]: [Ptr; 2],
) {
    if first.is_null() && second.is_null() {
        return;
    }
    paths::begin(this, s);
    paths::tell(s, 0, first, recipe.dir, argument(body, recipe.dir));
    paths::tell(s, 1, second, recipe.dir2, argument(body, recipe.dir2));
    if space == AS_USED {
        let _ = rounds!(s, 2, paths::used);
    } else {
        let _ = rounds!(s, 2, paths::kernels);
    }
    let [(path, base), (path2, base2)] = [paths::lengths(s, 0), paths::lengths(s, 1)];
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).path_len = path;
        (*body).base_len = base;
        (*body).path2_len = path2;
        (*body).base2_len = base2;
    }
    this.only(get!(s, found));
}

/// Appends a path as it was given, then the directory that it starts from when it is relative; both lengths.
#[inline(always)]
pub fn given(s: *mut Scratch, space: u8, text: Ptr, dir: u8, dirfd: u64) -> (u16, u16) {
    if text.is_null() {
        return (0, 0);
    }
    let len = scratch::append_str(s, space, text, PATH_MAX);
    if dir == AS_IS || scratch::first_of_last(s, len) == b'/' {
        return (len, 0);
    }
    // Asked for again: what is a task to the verifier is none any more once it was in the scratch.
    let task = kernel::current();
    let start = if dir == NONE || dirfd as u32 == AT_FDCWD {
        path::of_cwd(task)
    } else {
        path::of_file(file::by_fd(kernel::files(task), dirfd as u32))
    };
    (len, append_walked(s, start))
}

/// Appends a walked path.
#[inline(always)]
fn append_walked(s: *mut Scratch, start: Path) -> u16 {
    path::walk(s, start);
    scratch::append_path(s)
}

#[inline(always)]
fn text(s: *mut Scratch, body: *const CallBody, recipe: &Recipe, call: &Call) -> u16 {
    let at = argument(body, recipe.text) as Ptr;
    if at.is_null() {
        return 0;
    }
    let itself = recipe.flags & NAMES_ITSELF != 0;
    if itself && argument(body, 0) != PR_SET_NAME {
        return 0;
    }
    // The name that the thread has now is the kernel's copy.
    if itself && call.ret == 0 {
        return scratch::append_str(s, KERNEL, call.task.wrapping_add(off!(task_comm)), NAME_MAX);
    }
    let at = used::text(s, at);
    scratch::append_str(s, AS_USED, at, if itself { NAME_MAX } else { TEXT_MAX })
}

/// Tells the address that was given; of a unix socket appends its path, whose length it returns.
#[inline(always)]
pub fn address_given(s: *mut Scratch, space: u8, body: *mut CallBody, address: Ptr, len: u64) -> u16 {
    // SAFETY: `body` points into the scratch.
    unsafe { (*body).info |= CALL_ADDRESS | CALL_GIVEN };
    socket::given(s, space, unsafe { &raw mut (*body).ends }, address, len)
}

/// What is behind the descriptor; appends the file's path. `unix`: length of the unix socket's path that was appended already.
#[inline(always)]
pub fn object(s: *mut Scratch, body: *mut CallBody, files: Ptr, fd: Option<u32>, mut unix: u16) {
    if let Some(fd) = fd {
        let file = file::by_fd(files, fd);
        // SAFETY: `body` points into the scratch, here and below.
        unsafe { (*body).fd = fd };
        if !file.is_null() {
            unsafe { (*body).info |= CALL_FD };
            let inode = member!(Ptr, file, file_inode);
            let place = file::place(s, inode);
            unsafe {
                (*body).ino = place.ino;
                (*body).dev = place.dev;
                (*body).layer = place.layer;
                (*body).mode = member!(u16, inode, inode_mode);
            }
            let sk = file::sock(file);
            if !sk.is_null() {
                socket(body, sk);
            } else if unix == 0 {
                unix = append_walked(s, path::of_file(file));
            }
        }
    }
    // SAFETY: as above.
    unsafe { (*body).object_len = unix };
}

/// The socket itself, and its peer unless an address was given.
#[inline(always)]
fn socket(body: *mut CallBody, sk: Ptr) {
    // SAFETY: `body` points into the scratch, here and below.
    let ends = unsafe { &raw mut (*body).ends };
    socket::own(ends, sk);
    let family = unsafe { (*ends).sock_family };
    if !socket::is_ip(family) || socket::peer_port(sk) == 0 {
        return;
    }
    unsafe { (*body).info |= CALL_CONNECTED };
    if unsafe { (*body).info } & CALL_GIVEN == 0 {
        socket::peer(ends, sk, family);
        unsafe { (*body).info |= CALL_ADDRESS };
    }
}
