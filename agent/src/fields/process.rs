//! proc.* and thread.*: the process table and the exec that it knows.
use super::{View, descriptor, names::capabilities};
use crate::{
    probe::record::{Body, Layer},
    process::{Held, Process, with_args},
};
use engine::{
    field::{Arg, Field},
    value::{Lookup, Value},
};
use std::{borrow::Cow, ops::ControlFlow, sync::Arc};

/// What the fields of a process, its parent, ancestors and leaders have in common.
#[derive(Clone, Copy)]
enum Part {
    Name,
    Exe,
    Exepath,
    Args,
    Cmdline,
    Pid,
}

impl Part {
    fn of(self, p: &Process) -> Lookup<'_> {
        if p.unknown && !matches!(self, Self::Pid) {
            return Lookup::Missing;
        }
        match self {
            Self::Name => p.name.as_ref().into(),
            Self::Exe => p.exec.exe().into(),
            // Kernel threads have none.
            Self::Exepath if p.exec.exepath.is_empty() => Lookup::Missing,
            Self::Exepath => p.exec.exepath.as_ref().into(),
            Self::Args => p.exec.joined().into(),
            Self::Cmdline => p.command_line().into(),
            Self::Pid => int(p.key.pid),
        }
    }

    /// The part that a field asks of ancestors.
    fn of_ancestors(field: Field) -> Option<Self> {
        Some(match field {
            Field::ProcAname => Self::Name,
            Field::ProcAexe => Self::Exe,
            Field::ProcAexepath => Self::Exepath,
            Field::ProcAargs => Self::Args,
            Field::ProcAcmdline => Self::Cmdline,
            Field::ProcApid => Self::Pid,
            _ => return None,
        })
    }
}

fn int(n: u32) -> Lookup<'static> {
    Lookup::Value(Value::Int(i64::from(n)))
}
fn nanos(n: i64) -> Lookup<'static> {
    Lookup::Value(Value::Int(n))
}
fn truth(b: bool) -> Lookup<'static> {
    Lookup::Value(Value::Bool(b))
}
fn uint(n: usize) -> Lookup<'static> {
    Lookup::Value(Value::Uint(n as u64))
}

/// Fields of all ancestors, without a list; false when the field is none of these.
pub(super) fn visit_ancestors(
    view: &View<'_>,
    field: Field,
    visit: &mut dyn FnMut(&Lookup<'_>) -> ControlFlow<()>,
) -> bool {
    let Some(part) = Part::of_ancestors(field) else { return false };
    let mut none = true;
    for ancestor in view.around.table.ancestors(view.process) {
        none = false;
        if visit(&part.of(ancestor)).is_break() {
            return true;
        }
    }
    if none {
        let _ = visit(&Lookup::Missing);
    }
    true
}

fn ancestor<'a>(view: &View<'a>, part: Part, arg: Option<&Arg>) -> Lookup<'a> {
    match arg {
        Some(Arg::Index(0)) => part.of(view.process),
        Some(Arg::Index(n)) => {
            let found = view.around.table.ancestors(view.process).nth(*n as usize - 1);
            found.map_or(Lookup::Missing, |p| part.of(p))
        }
        _ => {
            let values: Vec<Value<'a>> = view
                .around
                .table
                .ancestors(view.process)
                .filter_map(|p| match part.of(p) {
                    Lookup::Value(v) => Some(v),
                    _ => None,
                })
                .collect();
            if values.is_empty() { Lookup::Missing } else { Lookup::Value(Value::List(values)) }
        }
    }
}

fn of<'a>(process: Option<&'a Arc<Process>>, part: Part) -> Lookup<'a> {
    process.map_or(Lookup::Missing, |p| part.of(p))
}

pub(super) fn lookup<'a>(view: &'a View<'_>, field: Field, arg: Option<&Arg>) -> Option<Lookup<'a>> {
    let p = view.process;
    let table = view.around.table;
    if let Some(part) = Part::of_ancestors(field) {
        return Some(ancestor(view, part, arg));
    }
    let parent = || table.parent(p);
    let session = || table.by_pid(p.ids.sid).filter(|_| p.ids.sid != 0);
    let group = || table.by_pid(p.ids.pgid).filter(|_| p.ids.pgid != 0);
    let known = |lookup| if p.unknown { Lookup::Missing } else { lookup };
    let time = view.record.header.time;
    let since = |start: u64| nanos(i64::try_from(time.saturating_sub(start)).unwrap_or(i64::MAX));
    let (exec, ids) = (&p.exec, &p.ids);
    Some(match field {
        Field::ProcName => Part::Name.of(p),
        Field::ProcExe => Part::Exe.of(p),
        Field::ProcExepath => Part::Exepath.of(p),
        Field::ProcCmdline => Part::Cmdline.of(p),
        Field::ProcArgs => match arg {
            Some(Arg::Index(n)) => exec.arguments().nth(*n as usize + 1).into(),
            _ => Part::Args.of(p),
        },
        Field::ProcExeline => known(with_args(exec.exe(), exec.joined()).into()),
        Field::ProcCmdnargs => known(uint(exec.arguments().count().saturating_sub(1))),
        Field::ProcCmdlenargs => known(uint(exec.arguments().skip(1).map(<[u8]>::len).sum())),
        Field::ProcCwd => known(directory(&p.cwd)),
        Field::ProcPid => int(p.key.pid),
        Field::ProcVpid => known(int(ids.vpid)),
        Field::ProcPvpid if ids.pvpid == 0 => Lookup::Missing,
        Field::ProcPvpid => int(ids.pvpid),
        Field::ProcPpid => known(int(p.parent.pid)),
        Field::ProcPname => of(parent(), Part::Name),
        Field::ProcPexe => of(parent(), Part::Exe),
        Field::ProcPexepath => of(parent(), Part::Exepath),
        Field::ProcPcmdline => of(parent(), Part::Cmdline),
        Field::ProcSid => known(int(ids.sid)),
        Field::ProcSname => of(session(), Part::Name),
        Field::ProcSidExe => of(session(), Part::Exe),
        Field::ProcSidExepath => of(session(), Part::Exepath),
        Field::ProcPgid => known(int(ids.pgid)),
        Field::ProcVpgid => known(int(ids.vpgid)),
        Field::ProcPgidName | Field::ProcVpgidName => of(group(), Part::Name),
        Field::ProcPgidExe | Field::ProcVpgidExe => of(group(), Part::Exe),
        Field::ProcPgidExepath | Field::ProcVpgidExepath => of(group(), Part::Exepath),
        Field::ProcStdinType => stream_type(p, 0),
        Field::ProcStdoutType => stream_type(p, 1),
        Field::ProcStderrType => stream_type(p, 2),
        Field::ProcStdinName => stream_name(p, 0),
        Field::ProcStdoutName => stream_name(p, 1),
        Field::ProcStderrName => stream_name(p, 2),
        Field::ProcIsSidLeader => known(truth(ids.sid == p.key.pid)),
        Field::ProcIsPgidLeader => known(truth(ids.pgid == p.key.pid)),
        Field::ProcIsVpgidLeader => known(truth(ids.vpgid == ids.vpid)),
        Field::ProcLoginshellid => {
            let line = std::iter::once(p).chain(table.ancestors(p).map(Arc::as_ref));
            let oldest = line.filter(|p| p.name.ends_with(b"sh")).last();
            oldest.map_or(Lookup::Missing, |p| int(p.key.pid))
        }
        Field::ProcTty => known(Lookup::Value(Value::Uint(u64::from(ids.tty)))),
        Field::ProcDuration => since(p.start),
        Field::ProcPpidDuration => parent().map_or(Lookup::Missing, |p| since(p.start)),
        Field::ProcPidTs => nanos(view.wall(p.start)),
        Field::ProcPpidTs => parent().map_or(Lookup::Missing, |p| nanos(view.wall(p.start))),
        Field::ProcIsExeUpperLayer => layer(p, Layer::Upper),
        Field::ProcIsExeLowerLayer => layer(p, Layer::Lower),
        Field::ProcIsExeFromMemfd => known(truth(exec.memfd)),
        Field::ProcIsExeDeleted => known(truth(exec.deleted)),
        Field::ProcIsSeeded => known(truth(exec.seeded)),
        Field::ProcExeIno => inode(exec.ino, || nanos(i64::try_from(exec.ino).unwrap_or(i64::MAX))),
        Field::ProcExeInoCtime => inode(exec.ino, || Lookup::Value(Value::Uint(exec.ctime))),
        Field::ProcExeInoMtime => inode(exec.ino, || Lookup::Value(Value::Uint(exec.mtime))),
        Field::ProcExeInoCtimeDurationProcStart => {
            inode(exec.ino, || nanos(view.wall(p.start).saturating_sub(i64::try_from(exec.ctime).unwrap_or(i64::MAX))))
        }
        Field::ThreadCapPermitted => known(capabilities(p.credentials.cap_permitted).into()),
        Field::ThreadCapInheritable => known(capabilities(p.credentials.cap_inheritable).into()),
        Field::ThreadCapEffective => known(capabilities(p.credentials.cap_effective).into()),
        Field::ThreadTid => int(view.record.header.tid),
        Field::ThreadIsmain => truth(view.record.header.tid == p.key.pid),
        Field::ThreadVtid => thread_vtid(view),
        Field::ThreadNametid => known(nametid(view)),
        Field::ThreadCgroups if p.cgroup_path.is_empty() => Lookup::Missing,
        Field::ThreadCgroups => p.cgroup_path.as_ref().into(),
        _ => return None,
    })
}

fn stream_type(p: &Process, n: usize) -> Lookup<'static> {
    let stream = p.streams.get(n).and_then(Held::stream);
    stream.and_then(|s| descriptor::stream(&s).0).into()
}

fn stream_name(p: &Process, n: usize) -> Lookup<'static> {
    let stream = p.streams.get(n).and_then(Held::stream);
    stream.and_then(|s| descriptor::stream(&s).1).into()
}

fn layer(p: &Process, wanted: Layer) -> Lookup<'static> {
    p.exec.layer.map_or(Lookup::Missing, |layer| truth(layer == wanted))
}

fn inode<'a>(ino: u64, value: impl FnOnce() -> Lookup<'a>) -> Lookup<'a> {
    if ino == 0 { Lookup::Missing } else { value() }
}

/// Falco ends directories with a slash.
fn directory(cwd: &[u8]) -> Lookup<'_> {
    match cwd {
        [] => Lookup::Missing,
        [.., b'/'] => cwd.into(),
        _ => Lookup::Value(Value::Str(Cow::Owned([cwd, b"/"].concat()))),
    }
}

fn nametid<'a>(view: &View<'_>) -> Lookup<'a> {
    let mut text = view.process.name.to_vec();
    text.extend_from_slice(format!(":{}", view.record.header.tid).as_bytes());
    text.into()
}

/// Known for exec and for first threads; for others where the pid namespace is the node's.
fn thread_vtid(view: &View<'_>) -> Lookup<'static> {
    let (header, ids) = (&view.record.header, &view.process.ids);
    match &view.record.body {
        Body::Exec(exec) => int(exec.vtid),
        _ if ids.vpid == 0 => Lookup::Missing,
        _ if header.tid == header.pid => int(ids.vpid),
        _ if ids.vpid == header.pid => int(header.tid),
        _ => Lookup::Missing,
    }
}
