//! evt.*: what every event has, and what opens alone have; paths are in `fspath`.
use super::{View, args, descriptor, names::errno};
use crate::probe::record::{Body, Open};
use engine::{
    event::{EventType, Hook},
    field::{Arg, Field},
    value::{Lookup, Value},
};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

fn truth(b: bool) -> Lookup<'static> {
    Lookup::Value(Value::Bool(b))
}
fn uint(n: u64) -> Lookup<'static> {
    Lookup::Value(Value::Uint(n))
}
fn number(n: i64) -> Lookup<'static> {
    Lookup::Value(Value::Int(n))
}

pub(super) fn lookup<'a>(view: &'a View<'_>, field: Field, arg: Option<&Arg>) -> Option<Lookup<'a>> {
    let header = &view.record.header;
    let wall = u64::try_from(view.time()).unwrap_or_default();
    let relative = header.time.saturating_sub(view.around.agent_start);
    let signed = |n: u64| number(i64::try_from(n).unwrap_or(i64::MAX));
    let failed = view.result().is_some_and(|r| r < 0);
    let key = || match arg {
        Some(Arg::Key(key)) => key.as_str(),
        _ => "",
    };
    Some(match field {
        Field::EvtNum => uint(view.number),
        Field::EvtTime
        | Field::EvtTimeS
        | Field::EvtTimeIso8601
        | Field::EvtDatetime
        | Field::EvtDatetimeS
        | Field::EvtOutputtime
        | Field::EvtRawtime => uint(wall),
        Field::EvtRawtimeS => uint(wall / SECOND),
        Field::EvtRawtimeNs => uint(wall % SECOND),
        Field::EvtReltime => signed(relative),
        Field::EvtReltimeS => signed(relative / SECOND),
        Field::EvtReltimeNs => signed(relative % SECOND),
        Field::EvtDir => "<".into(),
        Field::EvtType => header.event_type.as_str().into(),
        Field::EvtTypeIs => uint(u64::from(header.event_type.as_str() == key())),
        Field::SyscallType if header.event_type == EventType::Procexit => Lookup::Missing,
        Field::SyscallType => header.event_type.as_str().into(),
        Field::EvtCategory => category(view).into(),
        Field::EvtCpu => number(i64::from(header.cpu)),
        Field::EvtArgs | Field::EvtInfo => args::all(view).into(),
        Field::EvtArg => args::one(view, key(), false),
        Field::EvtRawarg => args::one(view, key(), true),
        Field::EvtRes => match view.result() {
            None => Lookup::Missing,
            Some(r) if r < 0 => errno(r).into(),
            Some(_) => "SUCCESS".into(),
        },
        Field::EvtRawres => view.result().map_or(Lookup::Missing, number),
        Field::EvtFailed => truth(failed),
        Field::EvtIsIo | Field::EvtIsIoWrite => truth(is_write(header.event_type)),
        Field::EvtIsIoRead | Field::EvtIsWait | Field::EvtIsAsync => truth(false),
        Field::EvtIoDir if is_write(header.event_type) => "W".into(),
        Field::EvtIoDir => Lookup::Missing,
        Field::EvtCount | Field::EvtCountExit => uint(1),
        Field::EvtCountError => uint(u64::from(failed)),
        Field::EvtCountErrorFile => uint(u64::from(failed && category(view) == "file")),
        Field::EvtCountErrorNet => uint(u64::from(failed && category(view) == "net")),
        Field::EvtCountErrorMemory => uint(u64::from(failed && category(view) == "memory")),
        Field::EvtCountErrorOther => uint(u64::from(failed && !matches!(category(view), "file" | "net" | "memory"))),
        Field::EvtSource => "syscall".into(),
        Field::EvtHostname | Field::K8sNodeName => view.around.node.into(),
        Field::EyasIoUring => truth(header.io_uring),
        Field::EyasTruncated => truth(header.truncated || view.process.exec.truncated),
        Field::EvtIsOpenRead | Field::EvtIsOpenWrite | Field::EvtIsOpenExec | Field::EvtIsOpenCreate => {
            let Body::Open(open) = &view.record.body else { return Some(Lookup::Missing) };
            truth(open_is(open, field, header.event_type))
        }
        _ => return None,
    })
}

/// The kind of call by Falco's event table; of calls on any descriptor by what is behind it.
fn category(view: &View<'_>) -> &'static str {
    match view.record.header.event_type.hook() {
        Hook::Open
        | Hook::Unlink
        | Hook::Rename
        | Hook::Link
        | Hook::Chmod
        | Hook::Chown
        | Hook::Mkdir
        | Hook::Mount
        | Hook::Userfaultfd => "file",
        Hook::Connect | Hook::Accept | Hook::Bind | Hook::Listen | Hook::Socket => "net",
        Hook::Exec | Hook::Fork | Hook::Exit | Hook::Root | Hook::Capset | Hook::Ptrace | Hook::Namespace => "process",
        Hook::Setid => "user",
        Hook::Pipe | Hook::Vm => "ipc",
        Hook::Memfd => "memory",
        Hook::Signal => "signal",
        Hook::Prctl => "system",
        Hook::Module | Hook::Bpf | Hook::IoUring => "other",
        Hook::Send | Hook::Dup | Hook::Splice => match descriptor::kind(view) {
            Some("file" | "directory") => "file",
            Some("ipv4" | "ipv6" | "unix" | "netlink") => "net",
            Some("pipe" | "event" | "signalfd" | "eventpoll" | "inotify" | "timerfd" | "userfaultfd" | "memfd") => {
                "ipc"
            }
            _ => "other",
        },
    }
}

fn is_write(event_type: EventType) -> bool {
    event_type.hook() == Hook::Send || event_type == EventType::Sendfile
}

fn open_is(open: &Open<'_>, field: Field, event_type: EventType) -> bool {
    let flags = open.flags.cast_signed();
    let access = flags & libc::O_ACCMODE;
    let creat = event_type == EventType::Creat;
    let create = creat || flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE;
    match field {
        Field::EvtIsOpenRead => !creat && (access == libc::O_RDONLY || access == libc::O_RDWR),
        Field::EvtIsOpenWrite => creat || access == libc::O_WRONLY || access == libc::O_RDWR,
        Field::EvtIsOpenCreate => create,
        // An execute bit for anybody counts only where the call may make the file.
        _ => create && open.mode & 0o111 != 0,
    }
}
