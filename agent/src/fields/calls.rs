//! The arguments of the calls that are told by a recipe: by Falco's names, in Falco's order (its event table), as far as the
//! record has them. Data that was read or written is not in it.
use super::{
    View,
    args::{Argument, number, result, text},
    flags::{self, Names},
    names, paths,
    socket::Socket,
};
use crate::probe::record::{Call, Given};
use engine::event::EventType;

/// What an argument is; the number says which of the call's (0 to 5).
#[derive(Clone, Copy)]
enum Kind {
    /// The result: 0 or more, or an error.
    Result,
    /// Name of the pair of addresses, of a unix socket, of an address.
    Tuple,
    /// The address that was given.
    Address,
    /// The first path: absolute as text, as given when raw.
    Path,
    /// The second one.
    Path2,
    /// Where a symbolic link leads to: as given.
    Target,
    /// A symbolic name of what is mounted: a path or not.
    Source,
    /// The other text.
    Text,
    /// A signed number of 32 bits: descriptors, process ids, user ids (-1: unchanged).
    Int(u8),
    /// An unsigned number.
    Uint(u8),
    /// An unsigned number, written in hex.
    Hex(u8),
    /// Permission bits, written in octal.
    Mode(u8),
    /// Bits with names.
    Bits(u8, Names),
    /// One of several names.
    Choice(u8, Names),
    /// A name by a function.
    Named(u8, fn(u64) -> Option<&'static str>),
    /// A set of capabilities.
    Capabilities(u8),
}

use Kind::{
    Address, Bits, Capabilities, Choice, Hex, Int, Mode, Named, Path, Path2, Result as Res, Source, Target, Text,
    Tuple, Uint,
};

type Row = &'static [(&'static str, Kind)];

/// The arguments of a type; none for types that have bodies of their own.
const fn row(event_type: EventType) -> Row {
    use EventType as E;
    match event_type {
        E::Accept => &[("fd", Res), ("tuple", Tuple)],
        E::Accept4 => &[("fd", Res), ("tuple", Tuple), ("flags", Bits(3, flags::SOCKET))],
        E::Bind => &[("res", Res), ("addr", Address), ("fd", Int(0))],
        E::Listen => &[("res", Res), ("fd", Int(0)), ("backlog", Int(1))],
        E::Socket => &[("fd", Res), ("domain", Choice(0, flags::FAMILY)), ("type", Uint(1)), ("proto", Uint(2))],
        E::Sendto => &[("res", Res), ("fd", Int(0)), ("size", Uint(2)), ("tuple", Tuple)],
        E::Sendmsg | E::Sendmmsg => &[("res", Res), ("fd", Int(0)), ("tuple", Tuple)],
        E::Dup => &[("res", Res), ("oldfd", Int(0))],
        E::Dup2 => &[("res", Res), ("oldfd", Int(0)), ("newfd", Int(1))],
        E::Dup3 => &[("res", Res), ("oldfd", Int(0)), ("newfd", Int(1)), ("flags", Bits(2, flags::DESCRIPTOR))],
        E::Pipe => &[("res", Res), ("fd1", Int(4)), ("fd2", Int(5))],
        E::Pipe2 => &[("res", Res), ("fd1", Int(4)), ("fd2", Int(5)), ("flags", Bits(1, flags::DESCRIPTOR))],
        E::Unlink | E::Rmdir | E::Chroot => &[("res", Res), ("path", Path)],
        E::Unlinkat => &[("res", Res), ("dirfd", Int(0)), ("name", Path), ("flags", Bits(2, flags::UNLINKAT))],
        E::Rename | E::Link => &[("res", Res), ("oldpath", Path), ("newpath", Path2)],
        E::Renameat => {
            &[("res", Res), ("olddirfd", Int(0)), ("oldpath", Path), ("newdirfd", Int(2)), ("newpath", Path2)]
        }
        E::Renameat2 => &[
            ("res", Res),
            ("olddirfd", Int(0)),
            ("oldpath", Path),
            ("newdirfd", Int(2)),
            ("newpath", Path2),
            ("flags", Bits(4, flags::RENAMEAT2)),
        ],
        E::Linkat => &[
            ("res", Res),
            ("olddir", Int(0)),
            ("oldpath", Path),
            ("newdir", Int(2)),
            ("newpath", Path2),
            ("flags", Bits(4, flags::LINKAT)),
        ],
        E::Symlink => &[("res", Res), ("target", Target), ("linkpath", Path2)],
        E::Symlinkat => &[("res", Res), ("target", Target), ("linkdirfd", Int(1)), ("linkpath", Path2)],
        E::Chmod => &[("res", Res), ("filename", Path), ("mode", Mode(1))],
        E::Fchmod => &[("res", Res), ("fd", Int(0)), ("mode", Mode(1))],
        E::Fchmodat => &[("res", Res), ("dirfd", Int(0)), ("filename", Path), ("mode", Mode(2))],
        E::Fchmodat2 => {
            &[("res", Res), ("dirfd", Int(0)), ("filename", Path), ("mode", Mode(2)), ("flags", Bits(3, flags::AT))]
        }
        E::Chown | E::Lchown => &[("res", Res), ("path", Path), ("uid", Int(1)), ("gid", Int(2))],
        E::Fchown => &[("res", Res), ("fd", Int(0)), ("uid", Int(1)), ("gid", Int(2))],
        E::Fchownat => &[
            ("res", Res),
            ("dirfd", Int(0)),
            ("pathname", Path),
            ("uid", Int(2)),
            ("gid", Int(3)),
            ("flags", Bits(4, flags::AT)),
        ],
        E::Mkdir => &[("res", Res), ("path", Path), ("mode", Mode(1))],
        E::Mkdirat => &[("res", Res), ("dirfd", Int(0)), ("path", Path), ("mode", Mode(2))],
        E::Mount => &[("res", Res), ("dev", Source), ("dir", Path), ("type", Text), ("flags", Bits(3, flags::MOUNT))],
        E::Umount2 => &[("res", Res), ("name", Path), ("flags", Bits(1, flags::UMOUNT))],
        E::MoveMount => &[
            ("res", Res),
            ("from_dfd", Int(0)),
            ("from_pathname", Path),
            ("to_dfd", Int(2)),
            ("to_pathname", Path2),
            ("flags", Bits(4, flags::MOVE_MOUNT)),
        ],
        E::PivotRoot => &[("res", Res), ("new_root", Path), ("put_old", Path2)],
        E::Setuid => &[("res", Res), ("uid", Int(0))],
        E::Setgid => &[("res", Res), ("gid", Int(0))],
        E::Setreuid => &[("res", Res), ("ruid", Int(0)), ("euid", Int(1))],
        E::Setregid => &[("res", Res), ("rgid", Int(0)), ("egid", Int(1))],
        E::Setresuid => &[("res", Res), ("ruid", Int(0)), ("euid", Int(1)), ("suid", Int(2))],
        E::Setresgid => &[("res", Res), ("rgid", Int(0)), ("egid", Int(1)), ("sgid", Int(2))],
        E::Capset => &[
            ("res", Res),
            ("cap_inheritable", Capabilities(4)),
            ("cap_permitted", Capabilities(3)),
            ("cap_effective", Capabilities(5)),
        ],
        E::Ptrace => {
            &[("res", Res), ("addr", Hex(2)), ("data", Hex(3)), ("request", Choice(0, flags::PTRACE)), ("pid", Int(1))]
        }
        E::ProcessVmReadv | E::ProcessVmWritev => &[("res", Res), ("pid", Int(0))],
        E::MemfdCreate => &[("fd", Res), ("name", Text), ("flags", Bits(1, flags::MEMFD))],
        E::InitModule => &[("res", Res), ("length", Uint(1)), ("uargs", Text)],
        E::FinitModule => &[("res", Res), ("fd", Int(0)), ("uargs", Text), ("flags", Bits(2, flags::FINIT_MODULE))],
        E::DeleteModule => &[("res", Res), ("name", Text), ("flags", Bits(1, flags::DELETE_MODULE))],
        E::Bpf => &[("fd", Res), ("cmd", Named(0, flags::bpf))],
        E::Setns => &[("res", Res), ("fd", Int(0)), ("nstype", Bits(1, flags::CLONE))],
        E::Unshare => &[("res", Res), ("flags", Bits(0, flags::CLONE))],
        E::Kill => &[("res", Res), ("pid", Int(0)), ("sig", Named(1, flags::signal))],
        E::Tkill => &[("res", Res), ("tid", Int(0)), ("sig", Named(1, flags::signal))],
        E::Tgkill => &[("res", Res), ("pid", Int(0)), ("tid", Int(1)), ("sig", Named(2, flags::signal))],
        E::Prctl => &[("res", Res), ("option", Choice(0, flags::PRCTL)), ("arg2_str", Text), ("arg2_int", Uint(1))],
        E::Userfaultfd => &[("res", Res), ("flags", Bits(0, flags::DESCRIPTOR))],
        E::IoUringSetup => &[("res", Res), ("entries", Uint(0))],
        E::IoUringRegister => &[
            ("res", Res),
            ("fd", Int(0)),
            ("opcode", Named(1, flags::io_uring)),
            ("arg", Hex(2)),
            ("nr_args", Uint(3)),
        ],
        E::Splice => {
            &[("res", Res), ("fd_in", Int(0)), ("fd_out", Int(2)), ("size", Uint(4)), ("flags", Bits(5, flags::SPLICE))]
        }
        E::Sendfile => &[("res", Res), ("out_fd", Int(0)), ("in_fd", Int(1)), ("size", Uint(3))],
        E::Execve
        | E::Execveat
        | E::Clone
        | E::Clone3
        | E::Fork
        | E::Vfork
        | E::Procexit
        | E::Open
        | E::Openat
        | E::Openat2
        | E::Creat
        | E::Connect => &[],
    }
}

/// All arguments of a call.
pub(super) fn arguments(view: &View<'_>, call: &Call<'_>) -> Vec<Argument> {
    let event_type = view.record.header.event_type;
    row(event_type).iter().map(|(name, kind)| argument(view, call, name, *kind)).collect()
}

/// Whether `name`, `path` and the like may stand for each other.
pub(super) fn has_one_path(event_type: EventType) -> bool {
    row(event_type).iter().filter(|(_, kind)| matches!(kind, Path | Path2)).count() == 1
}

fn argument(view: &View<'_>, call: &Call<'_>, name: &'static str, kind: Kind) -> Argument {
    // A register's upper half is not part of an int.
    let low = |n: u8| u64::from(low(call, n));
    let named = |n: u64, text: Option<String>| Argument {
        text: text.unwrap_or_else(|| n.to_string()).into(),
        ..number(name, signed(n))
    };
    match kind {
        Res => result(name, view.result()),
        Tuple => text(name, socket(view, call).and_then(|s| s.name()).unwrap_or_default()),
        Address => text(name, socket(view, call).and_then(|s| s.address()).unwrap_or_default()),
        Path => path(name, call.path),
        Path2 => path(name, call.path2),
        Target => text(name, call.path.path),
        Source if call.path2.path.starts_with(b"/") => path(name, call.path2),
        Source => text(name, call.path2.path),
        Text => text(name, call.text),
        Int(n) => number(name, i64::from(self::low(call, n).cast_signed())),
        Uint(n) => number(name, signed(arg(call, n))),
        Hex(n) => Argument { text: format!("{:#x}", arg(call, n)).into(), ..number(name, signed(arg(call, n))) },
        Mode(n) => Argument { text: format!("0{:o}", low(n)).into(), ..number(name, signed(low(n))) },
        Bits(n, names) => named(low(n), flags::bits(names, low(n))),
        Choice(n, names) => named(low(n), flags::choice(names, low(n)).map(str::to_owned)),
        Named(n, by) => named(low(n), by(low(n)).map(str::to_owned)),
        Capabilities(n) => {
            Argument { text: names::capabilities(arg(call, n)).into(), ..number(name, signed(arg(call, n))) }
        }
    }
}

fn socket<'a>(view: &View<'_>, call: &Call<'a>) -> Option<Socket<'a>> {
    Socket::of_call(call, view.record.header.hook)
}

fn path(name: &'static str, given: Given<'_>) -> Argument {
    let whole = paths::of_given(given);
    Argument {
        text: whole.map_or_else(|| given.path.to_vec(), Vec::from),
        raw: Some(given.path.to_vec()),
        ..text(name, [])
    }
}

fn arg(call: &Call<'_>, n: u8) -> u64 {
    call.args.get(usize::from(n)).copied().unwrap_or_default()
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn low(call: &Call<'_>, n: u8) -> u32 {
    arg(call, n) as u32
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::record::Body;
    use engine::event::Hook;

    /// Each type has a row or a body of its own, never both.
    #[test]
    fn every_type_has_its_arguments() {
        for event_type in EventType::ALL {
            let of_its_own =
                matches!(event_type.hook(), Hook::Exec | Hook::Fork | Hook::Exit | Hook::Open | Hook::Connect);
            assert_eq!(row(*event_type).is_empty(), of_its_own, "{}", event_type.as_str());
            let mut names: Vec<&str> = row(*event_type).iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), row(*event_type).len(), "{} has a name twice", event_type.as_str());
        }
        let _: fn(Call<'static>) -> Body<'static> = Body::Call;
    }
}
