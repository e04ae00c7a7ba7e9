//! All calls but open and connect: what is told of each is said by its recipe (`agent_abi::call`).
use crate::{
    arch, classes,
    emit::Event,
    file,
    kernel::{self, Ptr},
    path::{self, Path},
    scratch::{self, Scratch},
    syscalls::Call,
};
use agent_abi::{
    call::{
        self, AS_IS, IN_MESSAGE, NAMES_ITSELF, NEEDS_ADDRESS, NONE, RESULT, Recipe, TELLS_CAPABILITIES,
        TWO_DESCRIPTORS, TYPES,
    },
    record::{CALL, CALL_ADDRESS, CALL_CONNECTED, CALL_FD, CALL_GIVEN, CallBody, RecordHeader},
};

const FIXED: usize = size_of::<RecordHeader>() + size_of::<CallBody>();

const AT_FDCWD: u32 = -100i32 as u32;
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// `sizeof(((struct sockaddr_un *)0)->sun_path)`.
const SUN_PATH: u64 = 108;
/// `PR_SET_NAME` (include/uapi/linux/prctl.h), and the longest name.
const PR_SET_NAME: u64 = 15;
const NAME_MAX: u64 = 15;
/// Longest other text.
const TEXT_MAX: u64 = 1023;

static RECIPES: [Recipe; TYPES] = call::recipes();

/// One call has ended.
#[inline(always)]
pub fn call(this: &mut Event, call: &Call) -> Option<()> {
    classes::by_side(this, call.task);
    if this.is_unwanted() {
        return None;
    }
    let recipe = &RECIPES[call.event_type as usize & (TYPES - 1)];
    let Some(s) = scratch::syscall(FIXED) else {
        this.dropped();
        return None;
    };
    // SAFETY: `out` is longer than FIXED and aligned to 8; the header is followed by the body.
    let (header, body) = unsafe {
        let out = (&raw mut (*s).out).cast::<u8>();
        (out.cast::<RecordHeader>(), out.add(size_of::<RecordHeader>()).cast::<CallBody>())
    };
    clear(body);
    // SAFETY: `body` points into the scratch.
    arch::all_arguments(unsafe { (&raw mut (*body).args).cast::<u64>() }, call.regs, call.nr, call.compat);
    let (address, address_len) = address_argument(body, recipe, call.compat);
    if recipe.flags & NEEDS_ADDRESS != 0 && address.is_null() && !this.is_canary() {
        this.filtered();
        return None;
    }
    if this.is_shed() {
        return None;
    }
    // SAFETY: `body` points into the scratch, here and below.
    unsafe { (*body).ret = call.ret as u64 };
    let (path, base) = given(s, call.task, argument(body, recipe.path), recipe.dir, argument(body, recipe.dir));
    let (path2, base2) = given(s, call.task, argument(body, recipe.path2), recipe.dir2, argument(body, recipe.dir2));
    let text = text(s, body, recipe);
    unsafe {
        (*body).path_len = path;
        (*body).base_len = base;
        (*body).path2_len = path2;
        (*body).base2_len = base2;
        (*body).text_len = text;
    }
    object(s, body, recipe, call, address, address_len);
    if recipe.flags & TELLS_CAPABILITIES != 0 {
        let cred = load!(Ptr, call.task, task_cred);
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
    let flags = get!(s, flags) as u16 | CALL;
    this.header(header, call.task, call.pid_tgid, call.event_type, flags);
    this.submit(header.cast(), scratch::len(s), flags);
    Some(())
}

/// Zeroes the body, word by word: what does not apply stays zero.
#[inline(always)]
fn clear(body: *mut CallBody) {
    const WORDS: usize = size_of::<CallBody>() / 8;
    for word in 0..WORDS {
        // SAFETY: `body` points into the scratch and consists of so many words; volatile, or it becomes a call to memset.
        unsafe { core::ptr::write_volatile(body.cast::<u64>().add(word), 0) };
    }
}

/// The n-th argument; 0 for what is none.
#[inline(always)]
fn argument(body: *const CallBody, n: u8) -> u64 {
    if n > 5 {
        return 0;
    }
    // SAFETY: `body` points into the scratch; there are six.
    unsafe { core::ptr::read_volatile((&raw const (*body).args).cast::<u64>().add(n as usize)) }
}

/// Where the socket address lies in user space, and its length.
#[inline(always)]
fn address_argument(body: *const CallBody, recipe: &Recipe, compat: bool) -> (Ptr, u64) {
    if recipe.address == NONE {
        return (core::ptr::null(), 0);
    }
    let given = argument(body, recipe.address);
    if recipe.flags & IN_MESSAGE == 0 {
        return (given as Ptr, argument(body, recipe.address + 1) & 0xffff);
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

/// Appends a path as it was given, then the directory that it starts from when it is relative; both lengths.
#[inline(always)]
fn given(s: *mut Scratch, task: Ptr, text: u64, dir: u8, dirfd: u64) -> (u16, u16) {
    if text == 0 {
        return (0, 0);
    }
    let len = scratch::append_user_str(s, text as Ptr);
    if dir == AS_IS || len != 0 && kernel::read_user::<u8>(text as Ptr, 0) == b'/' {
        return (len, 0);
    }
    let start = if dir == NONE || dirfd as u32 == AT_FDCWD {
        path::of_cwd(task)
    } else {
        path::of_file(file::by_fd(task, dirfd as u32))
    };
    (len, append_walked(s, start))
}

/// Appends a walked path. A function of its own, so that the walk is in the program once.
#[inline(always)]
fn append_walked(s: *mut Scratch, start: Path) -> u16 {
    path::walk(s, start);
    scratch::append_path(s)
}

#[inline(always)]
fn text(s: *mut Scratch, body: *const CallBody, recipe: &Recipe) -> u16 {
    let at = argument(body, recipe.text) as Ptr;
    if at.is_null() {
        return 0;
    }
    if recipe.flags & NAMES_ITSELF == 0 {
        return scratch::append_user_str_max(s, at, TEXT_MAX);
    }
    if argument(body, 0) == PR_SET_NAME { scratch::append_user_str_max(s, at, NAME_MAX) } else { 0 }
}

/// What is behind the descriptor, and the address that was given; appends the file's path or the unix socket's.
#[inline(always)]
fn object(s: *mut Scratch, body: *mut CallBody, recipe: &Recipe, call: &Call, address: Ptr, address_len: u64) {
    let mut unix = given_address(s, body, address, address_len);
    let has_fd = if recipe.fd == RESULT { call.ret >= 0 } else { recipe.fd != NONE };
    let fd = if recipe.fd == RESULT { call.ret as u32 } else { argument(body, recipe.fd) as u32 };
    if has_fd {
        let file = file::by_fd(call.task, fd);
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
    unsafe { (*body).object_len = unix };
}

/// The address as the caller gave it (it may have changed it since the kernel read it). Of a unix socket the length of its path,
/// which is appended.
#[inline(always)]
fn given_address(s: *mut Scratch, body: *mut CallBody, address: Ptr, len: u64) -> u16 {
    if address.is_null() {
        return 0;
    }
    let family: u16 = kernel::read_user(address, 0);
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).family = family;
        (*body).info |= CALL_ADDRESS | CALL_GIVEN;
        if family == AF_INET && len >= 8 {
            (*body).port = kernel::read_user::<u16>(address, 2).swap_bytes();
            let v4: [u8; 4] = kernel::read_user(address, 4);
            (&raw mut (*body).addr).cast::<[u8; 4]>().write(v4);
        } else if family == AF_INET6 && len >= 24 {
            (*body).port = kernel::read_user::<u16>(address, 2).swap_bytes();
            (*body).addr = kernel::read_user(address, 8);
        } else if family == AF_UNIX && len > 2 {
            let n = if len - 2 > SUN_PATH { SUN_PATH } else { len - 2 };
            let path = address.wrapping_add(2);
            // A pathname ends at its NUL, an abstract name (NUL first) at the given length.
            return if kernel::read_user::<u8>(path, 0) == 0 {
                scratch::append_user(s, path, n)
            } else {
                scratch::append_user_str_max(s, path, n)
            };
        }
    }
    0
}

/// What the socket knows: `struct sock` begins with `struct sock_common`.
#[inline(always)]
fn socket(body: *mut CallBody, sk: Ptr) {
    let family = member!(u16, sk, sk_family);
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).sock_family = family;
        (*body).sock_type = member!(u16, sk, sk_type);
        if family != AF_INET && family != AF_INET6 {
            return;
        }
        let port = member!(u16, sk, sk_dport).swap_bytes();
        (*body).l4proto = member!(u16, sk, sk_protocol);
        (*body).local_port = member!(u16, sk, sk_num);
        let given = (*body).info & CALL_GIVEN != 0;
        if port != 0 {
            (*body).info |= CALL_CONNECTED;
        }
        // The peer, unless an address was given.
        let peer = port != 0 && !given;
        if peer {
            (*body).family = family;
            (*body).port = port;
            (*body).info |= CALL_ADDRESS;
        }
        if family == AF_INET {
            let local: [u8; 4] = member!([u8; 4], sk, sk_rcv_saddr);
            (&raw mut (*body).local_addr).cast::<[u8; 4]>().write(local);
            if peer {
                let addr: [u8; 4] = member!([u8; 4], sk, sk_daddr);
                (&raw mut (*body).addr).cast::<[u8; 4]>().write(addr);
            }
        } else if has!(sk_v6_daddr) && has!(sk_v6_rcv_saddr) {
            (*body).local_addr = member!([u8; 16], sk, sk_v6_rcv_saddr);
            if peer {
                (*body).addr = member!([u8; 16], sk, sk_v6_daddr);
            }
        }
    }
}
