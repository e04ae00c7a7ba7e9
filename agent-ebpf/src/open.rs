//! open, openat, openat2, creat.
use crate::{
    arch, classes,
    emit::Event,
    file,
    kernel::{self, Ptr},
    path::{self, Path},
    scratch::{self, AS_USED, PATH_MAX, Scratch, USER},
    syscalls::Call,
    used,
};
use agent_abi::{
    map::{KeptFile, feature, open as bit},
    record::{LAYER_NONE, OPEN_CREATED, OPEN_RESOLVED, OpenBody, RecordHeader, event, hook},
};

pub const FIXED: usize = size_of::<RecordHeader>() + size_of::<OpenBody>();

const O_RDONLY: u32 = 0o0;
const O_WRONLY: u32 = 0o1;
const O_RDWR: u32 = 0o2;
const O_ACCMODE: u32 = 0o3;
const O_CREAT: u32 = 0o100;
const O_TRUNC: u32 = 0o1000;
/// `__O_TMPFILE | O_DIRECTORY`.
const O_TMPFILE: u32 = 0o20_200_000;
/// `FMODE_CREATED` (include/linux/fs.h).
const FMODE_CREATED: u32 = 0x10_0000;
/// What is walked: nothing, the opened file, the directory that a relative path starts from.
const NOWHERE: u64 = 0;
const FILE: u64 = 1;
const BASE: u64 = 2;
pub const AT_FDCWD: u32 = -100i32 as u32;

/// The call's arguments, whichever call it was.
struct Arguments {
    dirfd: u32,
    path: Ptr,
    flags: u32,
    mode: u32,
}

#[inline(always)]
fn arguments(call: &Call) -> Arguments {
    let [a, b, c, d] = arch::arguments(call.regs, call.compat);
    match call.event_type {
        event::OPEN => Arguments { dirfd: AT_FDCWD, path: a as Ptr, flags: b as u32, mode: c as u32 },
        event::CREAT => {
            Arguments { dirfd: AT_FDCWD, path: a as Ptr, flags: O_CREAT | O_WRONLY | O_TRUNC, mode: b as u32 }
        }
        event::OPENAT2 => {
            // struct open_how: flags, mode, resolve.
            let how: [u64; 2] = kernel::read_user(c as Ptr, 0);
            Arguments { dirfd: a as u32, path: b as Ptr, flags: how[0] as u32, mode: how[1] as u32 }
        }
        _ => Arguments { dirfd: a as u32, path: b as Ptr, flags: c as u32, mode: d as u32 },
    }
}

/// The class of an open.
#[inline(always)]
pub fn class(flags: u32, ret: i64) -> usize {
    // Access mode 3 is neither: it checks for both and grants ioctl only.
    let access = match flags & O_ACCMODE {
        O_RDONLY => bit::READ,
        O_WRONLY => bit::WRITE,
        O_RDWR => bit::READ | bit::WRITE,
        _ => 0,
    };
    let create = if flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE { bit::CREATE } else { 0 };
    let failed = if ret < 0 { bit::FAILED } else { 0 };
    (access | create | failed) as usize & 15
}

/// One call has ended.
#[inline(always)]
pub fn open(this: &mut Event, call: &Call) -> Option<()> {
    let arguments = arguments(call);
    this.only(this.force.filter.opens[class(arguments.flags, call.ret)]);
    classes::by_side(this);
    if this.is_unwanted() {
        return None;
    }
    let Some(s) = scratch::syscall(FIXED) else {
        this.dropped();
        return None;
    };
    let (header, body) = scratch::parts::<OpenBody>(s);
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).ret = call.ret as u64;
        (*body).flags = arguments.flags;
        (*body).mode = arguments.mode;
        (*body).dirfd = arguments.dirfd;
        (*body).reserved = 0;
    }
    let (file, used) = if call.ret < 0 {
        (core::ptr::null(), None)
    } else {
        let file = used::file(call.pid_tgid as u32, this.force);
        if file.is_none() {
            set!(s, missing, 1);
        }
        (file::by_fd(call.files, call.ret as u32), file)
    };
    if begin(s, file, used) {
        set!(s, walk, FILE);
    } else {
        unresolved(s, this, body, call, &arguments);
    }
    used::count(this, s);
    // One walk for both, and what it is for read back from memory: so the verifier goes through it once.
    if get!(s, walk) != NOWHERE {
        path::climb(s);
    }
    if get!(s, walk) == FILE {
        classes::at_a_glance(this, s);
        if this.is_unwanted() {
            return None;
        }
    }
    if get!(s, walk) != NOWHERE {
        path::build(s);
    }
    if get!(s, walk) == FILE {
        classes::by_path(this, s, hook::OPEN);
        if this.is_unwanted() {
            return None;
        }
    }
    if this.is_shed() {
        return None;
    }
    if get!(s, walk) == FILE {
        resolved(s, body, file);
    }
    let walked = if get!(s, walk) == NOWHERE { 0 } else { scratch::append_path(s) };
    // The argument too: rules may ask for it as it was given.
    let given = if get!(s, walk) == FILE { scratch::append_str(s, USER, arguments.path, PATH_MAX) } else { 0 };
    // SAFETY: `body` points into the scratch.
    unsafe {
        if get!(s, walk) == FILE {
            (*body).path_len = walked;
            (*body).base_len = given;
        } else {
            (*body).base_len = walked;
        }
    }
    let flags = get!(s, flags) as u16;
    this.header(header, call.task, call.pid_tgid, call.event_type, flags);
    this.submit(header.cast(), scratch::len(s), flags);
    Some(())
}

/// Begins a walk from the file behind the descriptor; where another thread has closed or replaced that by now, from the one that the
/// kernel opened, where it is known. Else it is the successor that is told. False: there is none.
#[inline(always)]
fn begin(s: *mut Scratch, file: Ptr, used: Option<KeptFile>) -> bool {
    set!(s, inode, core::ptr::null());
    let Some(used) = used else {
        if file.is_null() {
            return false;
        }
        path::begin(s, path::of_file(file));
        return true;
    };
    used::sure(s);
    if used.file != file as u64 {
        set!(s, inode, used.inode as Ptr);
        set!(s, mode, used.mode as u64);
    }
    path::begin(s, Path { mnt: used.mnt as Ptr, dentry: used.dentry as Ptr });
    true
}

/// The opened file's own facts.
#[inline(always)]
fn resolved(s: *mut Scratch, body: *mut OpenBody, file: Ptr) {
    if setting!(features) & feature::USED == 0 || get!(s, inode).is_null() {
        let file = scratch::window::<0>(s, file);
        set!(s, inode, of_window!(Ptr, file, file_inode));
        set!(s, mode, of_window!(u32, file, file_mode) as u64);
    }
    let place = file::place(s, get!(s, inode));
    let created = get!(s, mode) as u32 & FMODE_CREATED != 0;
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).ino = place.ino;
        (*body).dev = place.dev;
        (*body).layer = place.layer;
        (*body).info = OPEN_RESOLVED | if created { OPEN_CREATED } else { 0 };
    }
}

/// What was asked for; the directory that a relative path starts from, for walking.
#[inline(always)]
fn unresolved(s: *mut Scratch, this: &Event, body: *mut OpenBody, call: &Call, arguments: &Arguments) {
    used::names(s, call, this.force);
    let path = used::first(s, arguments.path);
    let path_len = scratch::append_str(s, AS_USED, path, PATH_MAX);
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).ino = 0;
        (*body).dev = 0;
        (*body).layer = LAYER_NONE;
        (*body).info = 0;
        (*body).path_len = path_len;
    }
    if scratch::first_of_last(s, path_len) == b'/' {
        set!(s, walk, NOWHERE);
        return;
    }
    let base = if arguments.dirfd == AT_FDCWD {
        path::of_cwd(call.task)
    } else {
        path::of_file(file::by_fd(call.files, arguments.dirfd))
    };
    path::begin(s, base);
    set!(s, walk, BASE);
}
