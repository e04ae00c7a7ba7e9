//! Decoding of ring bytes: checked first, borrowed after.
//!
//! Invariant: whatever the bytes, [`decode`] never panics and never reads outside of them; a record is accepted only if
//! its parts fill it exactly. The caller counts what is refused as a queue loss.
use super::{Body, Call, CallFile, Connect, Exec, Exit, FailedExec, Fork, Given, Header, Layer, Open, Record, Stream};
use agent_abi::{
    Wire,
    record::{self, CallBody, ConnectBody, Ends, ExecBody, ExitBody, FailedExecBody, ForkBody, OpenBody, RecordHeader},
};
use engine::event::{EventType, Hook};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Cut off.
    #[error("record of {have} bytes ends in its {part}")]
    Short {
        /// Which part.
        part: &'static str,
        /// Bytes there are in all.
        have: usize,
    },
    /// More bytes than its parts take.
    #[error("record has {0} bytes after its last part")]
    Long(usize),
    /// A hook number that this agent does not know.
    #[error("unknown hook {0}")]
    Hook(u8),
    /// An event type that this agent does not know or that its hook does not supply.
    #[error("event type {event_type} does not belong to hook {hook}")]
    EventType {
        /// The hook.
        hook: u8,
        /// The event type.
        event_type: u8,
    },
}

/// Checks and borrows one record.
///
/// # Errors
/// [`RecordError`] when the bytes are not exactly one record.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, RecordError> {
    let have = bytes.len();
    let (h, rest) = RecordHeader::read(bytes).ok_or(RecordError::Short { part: "header", have })?;
    let hook = *Hook::ALL.get(usize::from(h.hook)).ok_or(RecordError::Hook(h.hook))?;
    let event_type = EventType::ALL
        .get(usize::from(h.event_type))
        .copied()
        .filter(|t| t.hook() == hook)
        .ok_or(RecordError::EventType { hook: h.hook, event_type: h.event_type })?;
    let header = Header {
        hook,
        event_type,
        generation: h.generation,
        classes: h.classes,
        truncated: h.flags & record::TRUNCATED != 0,
        canary: h.flags & record::CANARY != 0,
        io_uring: h.flags & record::IO_URING != 0,
        used: h.flags & record::USED != 0,
        nonce: h.nonce,
        time: h.time,
        cpu: h.cpu,
        pid: h.pid,
        tid: h.tid,
        start_time: h.start_time,
        cgroup: h.cgroup,
        uid: h.uid,
        gid: h.gid,
    };
    let mut parts = Parts { rest, have };
    let body = match hook {
        Hook::Exec if h.flags & record::FAILED != 0 => failed_exec(&mut parts)?,
        Hook::Exec => exec(&h, &mut parts)?,
        Hook::Fork => fork(&mut parts)?,
        Hook::Exit => Body::Exit(Exit { code: parts.fixed::<ExitBody>()?.0.code }),
        Hook::Open => open(&mut parts)?,
        Hook::Connect => connect(&mut parts)?,
        _ => call(&mut parts)?,
    };
    match parts.rest.len() {
        0 => Ok(Record { header, body }),
        n => Err(RecordError::Long(n)),
    }
}

fn exec<'a>(h: &RecordHeader, parts: &mut Parts<'a>) -> Result<Body<'a>, RecordError> {
    let (b, fixed) = parts.fixed::<ExecBody>()?;
    let cgroup_path = parts.bytes("cgroup", b.cgroup_len)?;
    let path = parts.bytes("path", b.path_len)?;
    let args = parts.bytes("arguments", b.args_len)?;
    let cwd = parts.bytes("cwd", b.cwd_len)?;
    let file = parts.bytes("file", b.file_len)?;
    Ok(Body::Exec(Exec {
        streams: Box::new(streams(&b.streams, parts)?),
        cgroup_path,
        path,
        args,
        cwd,
        file,
        comm: name(fixed, std::mem::offset_of!(ExecBody, comm)),
        args_total: b.args_total,
        ppid: b.ppid,
        ppid_start: b.parent_start,
        uid: h.uid,
        gid: h.gid,
        euid: b.euid,
        egid: b.egid,
        loginuid: (b.loginuid != record::LOGINUID_UNSET).then_some(b.loginuid),
        cap_permitted: b.cap_permitted,
        cap_inheritable: b.cap_inheritable,
        cap_effective: b.cap_effective,
        sid: b.sid,
        pgid: b.pgid,
        vpid: b.vpid,
        vtid: b.vtid,
        vpgid: b.vpgid,
        vsid: b.vsid,
        pvpid: b.pvpid,
        tty: b.tty,
        layer: Layer::from_wire(b.layer),
        memfd: b.exe_flags & record::EXE_MEMFD != 0,
        deleted: b.exe_flags & record::EXE_DELETED != 0,
        exe_ino: b.exe_ino,
        exe_mtime: b.exe_mtime,
        exe_ctime: b.exe_ctime,
        exe_dev: b.exe_dev,
        mnt_ns: b.mnt_ns,
        pid_ns: b.pid_ns,
    }))
}

fn failed_exec<'a>(parts: &mut Parts<'a>) -> Result<Body<'a>, RecordError> {
    let (b, _) = parts.fixed::<FailedExecBody>()?;
    Ok(Body::FailedExec(FailedExec {
        ret: b.ret.cast_signed(),
        dirfd: b.dirfd.cast_signed(),
        file: parts.bytes("file", b.file_len)?,
        args: parts.bytes("arguments", b.args_len)?,
    }))
}

fn streams<'a>(wire: &[record::Stream; 3], parts: &mut Parts<'a>) -> Result<[Stream<'a>; 3], RecordError> {
    let mut streams = [Stream::Closed, Stream::Closed, Stream::Closed];
    let mut before = Stream::Closed;
    for (stream, w) in streams.iter_mut().zip(wire) {
        let path = parts.bytes("stream", w.path_len)?;
        let has = |bit: u8| w.info & bit != 0;
        *stream = if !has(record::STREAM_OPEN) {
            Stream::Closed
        } else if has(record::STREAM_SAME) {
            before
        } else if has(record::STREAM_SOCKET) {
            let connected = has(record::STREAM_CONNECTED);
            let mut ends = socket(&w.ends, b"", 0, 0);
            if !connected {
                (ends.family, ends.addr) = (w.ends.sock_family, None);
            }
            Stream::Socket { ends, connected }
        } else {
            Stream::File(CallFile { path, mode: w.mode, dev: 0, ino: w.ino, layer: Layer::None })
        };
        before = stream.clone();
    }
    Ok(streams)
}

fn fork<'a>(parts: &mut Parts<'a>) -> Result<Body<'a>, RecordError> {
    let (b, fixed) = parts.fixed::<ForkBody>()?;
    Ok(Body::Fork(Fork {
        child_pid: b.child_pid,
        child_tid: b.child_tid,
        child_start: b.child_start,
        child_vpid: b.child_vpid,
        child_pid_ns: b.child_pid_ns,
        child_cgroup: b.child_cgroup,
        child_uid: b.child_uid,
        ppid: b.ppid,
        ppid_start: b.parent_start,
        flags: b.flags,
        comm: name(fixed, std::mem::offset_of!(ForkBody, comm)),
    }))
}

fn open<'a>(parts: &mut Parts<'a>) -> Result<Body<'a>, RecordError> {
    let (b, _) = parts.fixed::<OpenBody>()?;
    let resolved = b.info & record::OPEN_RESOLVED != 0;
    let path = parts.bytes("path", b.path_len)?;
    let second = parts.bytes("base", b.base_len)?;
    let (given, base) = if resolved { (second, &b""[..]) } else { (path, second) };
    Ok(Body::Open(Open {
        path,
        resolved,
        given,
        base,
        created: b.info & record::OPEN_CREATED != 0,
        dirfd: b.dirfd.cast_signed(),
        flags: b.flags,
        mode: b.mode,
        ret: b.ret.cast_signed(),
        dev: b.dev,
        ino: b.ino,
        layer: Layer::from_wire(b.layer),
    }))
}

fn connect<'a>(parts: &mut Parts<'a>) -> Result<Body<'a>, RecordError> {
    let (b, _) = parts.fixed::<ConnectBody>()?;
    Ok(Body::Connect(socket(&b.ends, parts.bytes("unix path", b.path_len)?, b.fd, b.ret)))
}

/// A socket of both its ends.
fn socket<'a>(ends: &Ends, unix_path: &'a [u8], fd: u32, ret: u64) -> Connect<'a> {
    Connect {
        family: ends.family,
        addr: address(ends.family, ends.addr),
        port: ends.port,
        unix_path,
        local_addr: address(ends.sock_family, ends.local_addr),
        local_port: ends.local_port,
        l4proto: ends.l4proto,
        sock_type: ends.sock_type,
        fd: fd.cast_signed(),
        ret: ret.cast_signed(),
    }
}

fn call<'a>(parts: &mut Parts<'a>) -> Result<Body<'a>, RecordError> {
    let (b, _) = parts.fixed::<CallBody>()?;
    let path = Given { path: parts.bytes("path", b.path_len)?, base: parts.bytes("base", b.base_len)? };
    let path2 =
        Given { path: parts.bytes("second path", b.path2_len)?, base: parts.bytes("second base", b.base2_len)? };
    let text = parts.bytes("text", b.text_len)?;
    let object = parts.bytes("object", b.object_len)?;
    let has = |bit: u8| b.info & bit != 0;
    let (has_fd, has_address) = (has(record::CALL_FD), has(record::CALL_ADDRESS));
    let is_socket = b.ends.sock_type != 0 || has_address;
    let file = CallFile { path: object, mode: b.mode, dev: b.dev, ino: b.ino, layer: Layer::from_wire(b.layer) };
    let mut socket = socket(&b.ends, object, b.fd, b.ret);
    if !has_address {
        (socket.family, socket.addr) = (b.ends.sock_family, None);
    }
    Ok(Body::Call(Call {
        ret: socket.ret,
        args: b.args,
        path,
        path2,
        text,
        fd: has_fd.then_some(socket.fd),
        file: (has_fd && !is_socket).then_some(file),
        socket: is_socket.then_some(socket),
        given: has(record::CALL_GIVEN),
        connected: has(record::CALL_CONNECTED),
    }))
}

fn address(family: u16, bytes: [u8; 16]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()),
        libc::AF_INET6 => Some(Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// The NUL-padded name of 16 bytes at `offset`, without its padding.
fn name(fixed: &[u8], offset: usize) -> &[u8] {
    let padded = fixed.get(offset..offset + 16).unwrap_or_default();
    padded.split(|b| *b == 0).next().unwrap_or_default()
}

/// What is left of a record.
struct Parts<'a> {
    rest: &'a [u8],
    have: usize,
}

impl<'a> Parts<'a> {
    /// A fixed part, as value and as bytes.
    fn fixed<T: Wire>(&mut self) -> Result<(T, &'a [u8]), RecordError> {
        let (value, rest) = T::read(self.rest).ok_or(RecordError::Short { part: "body", have: self.have })?;
        let bytes = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        Ok((value, bytes))
    }

    /// A variable part.
    fn bytes(&mut self, part: &'static str, len: u16) -> Result<&'a [u8], RecordError> {
        let (bytes, rest) =
            self.rest.split_at_checked(usize::from(len)).ok_or(RecordError::Short { part, have: self.have })?;
        self.rest = rest;
        Ok(bytes)
    }
}
