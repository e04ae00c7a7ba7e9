//! What is asked for through an io_uring, when it is submitted.
//!
//! ```text
//! submission entry -> prepared by the kernel (paths are in its memory, nobody changes them any more) -> told here -> carried out
//! ```
//! Such a request is told as the call that does the same, by the same filters and counters. It has no result yet: nothing is opened,
//! so an open is told by its argument, and a connect as one under way.
//!
//! Who asks is the current task: the one that calls io_uring_enter, or with IORING_SETUP_SQPOLL a thread that the kernel has made
//! in the ring's own process, with that process' memory, descriptors and working directory.
use crate::{
    classes, connect,
    emit::{self, Event},
    file, given as paths,
    kernel::{self, Ptr},
    open, other,
    scratch::{self, KERNEL, Scratch, USER},
    socket,
};
use agent_abi::{
    call::{self, NEEDS_ADDRESS, NONE, OPCODES, RESULT, TYPES, UNSERVED},
    record::{CALL_ADDRESS, CallBody, ConnectBody, IO_URING, LAYER_NONE, NO_FD, OpenBody, RecordHeader, event, hook},
};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

static OPERATIONS: [u8; OPCODES] = call::by_operation();
static HOOKS: [u8; TYPES] = call::hooks();

/// `IOSQE_FIXED_FILE` (include/uapi/linux/io_uring.h), and so the first of a request's flags: the descriptor is one of the ring's own table.
const FIXED_FILE: u32 = 1;

/// `io_uring_submit_req(struct io_kiocb *req)`, before Linux 6.4 `io_uring_submit_sqe` with one more argument: a request has been
/// prepared and will be carried out.
#[btf_tracepoint(function = "io_uring_submit_req")]
#[inline(always)]
pub fn on_io_uring(ctx: BtfTracePointContext) -> i32 {
    let req: Ptr = ctx.arg(0);
    // Also what keeps this from kernels whose first argument is something else: their verifier refuses it.
    let opcode = load!(u8, req, kiocb_opcode);
    let event_type = if (opcode as usize) < OPCODES { OPERATIONS[opcode as usize & (OPCODES - 1)] } else { UNSERVED };
    if event_type != UNSERVED {
        let _ = try_submit(req, event_type);
    }
    0
}

#[inline(always)]
fn try_submit(req: Ptr, event_type: u8) -> Option<()> {
    // Volatile: as in `syscalls`.
    // SAFETY: masked, so inside of the table.
    let hook = unsafe { (&raw const HOOKS).cast::<u8>().add(event_type as usize & (TYPES - 1)).read_volatile() };
    let force = emit::filter()?;
    if !emit::wants_type(force.filter, event_type) {
        return None;
    }
    let task = kernel::current();
    let pid_tgid = kernel::pid_tgid(task);
    let origin = emit::origin(pid_tgid)?;
    let mut this = Event::seen(hook, event_type, force, origin, task)?;
    let request = Request { req, task, files: kernel::files(task), pid_tgid, event_type };
    classes::by_side(&mut this);
    if this.is_unwanted() {
        return None;
    }
    match hook {
        hook::OPEN => open(&mut this, &request),
        hook::CONNECT => connect(&mut this, &request),
        _ => call(&mut this, &request),
    }
}

/// In place of an argument's number: a path has a directory's descriptor.
const DIRFD: u8 = 0;

/// A request.
struct Request {
    /// `struct io_kiocb`, which begins with what its operation was given.
    req: Ptr,
    task: Ptr,
    /// The task's open files.
    files: Ptr,
    pid_tgid: u64,
    event_type: u8,
}

impl Request {
    /// The descriptor that it is about; None for a file of the ring's own table.
    #[inline(always)]
    fn fd(&self) -> Option<u32> {
        let fixed = member!(u32, self.req, kiocb_flags) & FIXED_FILE != 0;
        if fixed { None } else { Some(member!(u32, self.req, kiocb_fd)) }
    }

    /// Text of a `struct filename *` of its.
    #[inline(always)]
    fn text(&self, offset: usize) -> Ptr {
        member!(Ptr, kernel::read::<Ptr>(self.req, offset), filename_name)
    }

    /// Puts the record into the ring.
    #[inline(always)]
    fn submit(&self, this: &Event, s: *mut Scratch, header: *mut RecordHeader) {
        let flags = get!(s, flags) as u16 | IO_URING;
        this.header(header, self.task, self.pid_tgid, self.event_type, flags);
        this.submit(header.cast(), scratch::len(s), flags);
    }
}

#[inline(always)]
fn open(this: &mut Event, request: &Request) -> Option<()> {
    let flags = member!(u64, request.req, io_open_flags) as u32;
    // Of those that do not fail: an open whose end is not known yet is no failed one.
    this.only(this.force.filter.opens[open::class(flags, 0)]);
    if this.is_unwanted() {
        return None;
    }
    let Some(s) = scratch::io_uring(open::FIXED) else {
        this.dropped();
        return None;
    };
    let (header, body) = scratch::parts::<OpenBody>(s);
    let dirfd = member!(u32, request.req, io_open_dfd);
    paths::begin(this, s);
    paths::tell(s, 0, request.text(off!(io_open_filename)), DIRFD, dirfd as u64);
    paths::tell(s, 1, core::ptr::null(), NONE, 0);
    let _ = rounds!(s, 2, paths::kernels);
    let (path_len, base_len) = paths::lengths(s, 0);
    this.only(get!(s, found));
    if this.is_unwanted() || this.is_shed() {
        return None;
    }
    // SAFETY: `body` points into the scratch.
    unsafe {
        (*body).ino = 0;
        (*body).ret = 0;
        (*body).dev = 0;
        (*body).flags = flags;
        (*body).mode = member!(u32, request.req, io_open_mode);
        (*body).dirfd = dirfd;
        (*body).layer = LAYER_NONE;
        (*body).info = 0;
        (*body).path_len = path_len;
        (*body).base_len = base_len;
        (*body).reserved = 0;
    }
    request.submit(this, s, header);
    Some(())
}

#[inline(always)]
fn connect(this: &mut Event, request: &Request) -> Option<()> {
    let Some(s) = scratch::io_uring(connect::FIXED) else {
        this.dropped();
        return None;
    };
    let (header, body) = scratch::parts::<ConnectBody>(s);
    scratch::clear(body);
    let fd = request.fd();
    // SAFETY: `body` points into the scratch, here and below.
    let ends = unsafe { &raw mut (*body).ends };
    let len = member!(u32, request.req, io_connect_len) as u64 & 0xff;
    // Since Linux 6.10 the kernel has copied the address by now.
    let copied = member!(Ptr, request.req, kiocb_async);
    let asked = member!(Ptr, request.req, io_connect_addr);
    let path_len = if copied.is_null() {
        socket::given(s, USER, ends, asked, len)
    } else {
        socket::given(s, KERNEL, ends, address_in(copied, kernel::read_user(asked, 0)), len)
    };
    unsafe {
        (*body).ret = connect::IN_PROGRESS as u64;
        (*body).fd = fd.unwrap_or(NO_FD);
        (*body).path_len = path_len;
    }
    if let Some(fd) = fd {
        let sk = file::sock(file::by_fd(request.files, fd));
        if !sk.is_null() {
            socket::own(ends, sk);
        }
    }
    classes::by_remote(this, s, hook::CONNECT, ends);
    if this.is_unwanted() || this.is_shed() {
        return None;
    }
    request.submit(this, s, header);
    Some(())
}

/// Where the kernel has put a copy of an address: at the beginning (6.18), or in a `struct io_async_msghdr`. No type information tells,
/// so it is known by what the caller still has there (0: that is not kept), or else by its family.
#[inline(always)]
fn address_in(copied: Ptr, asked: u64) -> Ptr {
    if !has!(io_msg_addr) {
        return copied;
    }
    let (at_begin, in_message): (u64, u64) = (kernel::read(copied, 0), member!(u64, copied, io_msg_addr));
    let is_known = |address: u64| socket::is_known(address as u16);
    let in_message = if asked != 0 && (at_begin == asked || in_message == asked) {
        at_begin != asked
    } else {
        !is_known(at_begin) && is_known(in_message)
    };
    if in_message { copied.wrapping_add(off!(io_msg_addr)) } else { copied }
}

/// What a request was given, in the places that the arguments of its call have.
struct Given {
    args: [u64; 6],
    path: Ptr,
    path2: Ptr,
    address: Ptr,
    address_len: u64,
    /// The address lies in user space.
    in_user: bool,
}

#[inline(always)]
fn call(this: &mut Event, request: &Request) -> Option<()> {
    // Of those that do not fail, as opens.
    this.only(this.tests().results[0]);
    if this.is_unwanted() {
        return None;
    }
    let recipe = &other::RECIPES[request.event_type as usize & (TYPES - 1)];
    let Some(given) = given(request) else {
        this.filtered();
        return None;
    };
    if recipe.flags & NEEDS_ADDRESS != 0 && given.address.is_null() {
        this.filtered();
        return None;
    }
    let Some(s) = scratch::io_uring(other::FIXED) else {
        this.dropped();
        return None;
    };
    let (header, body) = scratch::parts::<CallBody>(s);
    scratch::clear(body);
    // SAFETY: `body` points into the scratch, here and below.
    unsafe { (*body).args = given.args };
    other::paths(this, s, KERNEL, body, recipe, [given.path, given.path2]);
    let remote = u64::from(classes::can_remote_decide(this));
    set!(s, remote, remote);
    if this.is_unwanted() || remote == 0 && this.is_shed() {
        return None;
    }
    let unix = if given.address.is_null() {
        0
    } else if given.in_user {
        other::address_given(s, USER, body, given.address, given.address_len)
    } else {
        other::address_given(s, KERNEL, body, given.address, given.address_len)
    };
    let fd = if recipe.fd == NONE || recipe.fd == RESULT { None } else { request.fd() };
    other::object(s, body, request.files, fd, unix);
    if get!(s, remote) != 0 {
        // An accept's is not known before it is carried out.
        if unsafe { (*body).info } & CALL_ADDRESS != 0 {
            classes::by_remote(this, s, this.hook, unsafe { &raw const (*body).ends });
        }
        if this.is_unwanted() || this.is_shed() {
            return None;
        }
    }
    request.submit(this, s, header);
    Some(())
}

/// None: of an operation that this kernel does not describe.
#[inline(always)]
fn given(request: &Request) -> Option<Given> {
    let req = request.req;
    let fd = || request.fd().unwrap_or(NO_FD) as u64;
    let none = core::ptr::null();
    let (mut path, mut path2) = (none, none);
    let (mut address, mut address_len, mut in_user) = (none, 0, false);
    let args = match request.event_type {
        event::UNLINKAT if has!(io_unlink_filename) => {
            path = request.text(off!(io_unlink_filename));
            [member!(u32, req, io_unlink_dfd) as u64, 0, member!(u32, req, io_unlink_flags) as u64, 0, 0, 0]
        }
        event::RENAMEAT2 if has!(io_rename_old) => {
            path = request.text(off!(io_rename_old));
            path2 = request.text(off!(io_rename_new));
            let (from, to) = (member!(u32, req, io_rename_olddfd), member!(u32, req, io_rename_newdfd));
            [from as u64, 0, to as u64, 0, member!(u32, req, io_rename_flags) as u64, 0]
        }
        event::MKDIRAT if has!(io_mkdir_filename) => {
            path = request.text(off!(io_mkdir_filename));
            [member!(u32, req, io_mkdir_dfd) as u64, 0, member!(u16, req, io_mkdir_mode) as u64, 0, 0, 0]
        }
        event::LINKAT if has!(io_link_old) => {
            path = request.text(off!(io_link_old));
            path2 = request.text(off!(io_link_new));
            let (from, to) = (member!(u32, req, io_link_olddfd), member!(u32, req, io_link_newdfd));
            [from as u64, 0, to as u64, 0, member!(u32, req, io_link_flags) as u64, 0]
        }
        event::SYMLINKAT if has!(io_link_old) => {
            path = request.text(off!(io_link_old));
            path2 = request.text(off!(io_link_new));
            [0, member!(u32, req, io_link_newdfd) as u64, 0, 0, 0, 0]
        }
        event::ACCEPT4 if has!(io_accept_flags) => [fd(), 0, 0, member!(u32, req, io_accept_flags) as u64, 0, 0],
        event::SOCKET if has!(io_socket_domain) => {
            let (domain, kind) = (member!(u32, req, io_socket_domain), member!(u32, req, io_socket_type));
            [domain as u64, kind as u64, member!(u32, req, io_socket_protocol) as u64, 0, 0, 0]
        }
        event::BIND if has!(io_bind_len) => {
            address = address_in(member!(Ptr, req, kiocb_async), 0);
            address_len = member!(u32, req, io_bind_len) as u64 & 0xff;
            [fd(), 0, address_len, 0, 0, 0]
        }
        event::LISTEN if has!(io_listen_backlog) => [fd(), member!(u32, req, io_listen_backlog) as u64, 0, 0, 0, 0],
        event::SPLICE if has!(io_splice_in) => {
            let (from, flags) = (member!(u32, req, io_splice_in), member!(u32, req, io_splice_flags));
            [from as u64, 0, fd(), 0, member!(u64, req, io_splice_len), flags as u64]
        }
        event::SENDTO | event::SENDMSG if has!(io_send_len) => {
            let message = request.event_type == event::SENDMSG;
            let copied = member!(Ptr, req, kiocb_async);
            if !copied.is_null() && has!(io_msg_name) {
                address = member!(Ptr, copied, io_msg_name);
                address_len = member!(u32, copied, io_msg_namelen) as u64 & 0xff;
            } else if message {
                // struct user_msghdr begins with msg_name and msg_namelen.
                let [name, len]: [u64; 2] = kernel::read_user(member!(Ptr, req, io_send_msg), 0);
                (address, address_len, in_user) = (name as Ptr, len & 0xff, true);
            } else if has!(io_send_addr) {
                address = member!(Ptr, req, io_send_addr);
                address_len = member!(u32, req, io_send_addr_len) as u64 & 0xff;
                in_user = true;
            }
            let size = if message { 0 } else { member!(u32, req, io_send_len) as u64 };
            [fd(), 0, size, member!(u32, req, io_send_flags) as u64, 0, 0]
        }
        _ => return None,
    };
    Some(Given { args, path, path2, address, address_len, in_user })
}
