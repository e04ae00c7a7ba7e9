//! fs.path.*, evt.abspath: the paths that a call was given, absolute and as given.
//!
//! Which is the source and which the target is Falco's choice: of a link the source is the link that is made. Falco takes a
//! symbolic link's relative target from the working directory; here it starts where the link lies, as the kernel takes it.
use super::{View, descriptor, paths};
use crate::probe::record::{Body, Call, Given};
use engine::{
    event::{EventType, Hook},
    field::{Arg, Field},
    value::{Lookup, Value},
};
use std::borrow::Cow;

/// The paths of a call: as given, and made absolute.
#[derive(Default)]
struct Paths<'a> {
    one: Option<Given<'a>>,
    source: Option<Given<'a>>,
    target: Option<Given<'a>>,
}

impl<'a> Paths<'a> {
    fn of(call: &Call<'a>, hook: Hook) -> Self {
        let one = Some(call.path).filter(|p| !p.path.is_empty());
        let two = Some(call.path2).filter(|p| !p.path.is_empty());
        match hook {
            Hook::Rename => Self { source: one, target: two, ..Self::default() },
            Hook::Link => Self { source: two, target: one, ..Self::default() },
            _ => Self { one, ..Self::default() },
        }
    }
}

pub(super) fn lookup<'a>(view: &'a View<'_>, field: Field, arg: Option<&Arg>) -> Option<Lookup<'a>> {
    let mounts = |call: &Call<'a>, event_type| mount_paths(call, event_type);
    let is_path = matches!(
        field,
        Field::FsPathName
            | Field::FsPathNameraw
            | Field::FsPathSource
            | Field::FsPathSourceraw
            | Field::FsPathTarget
            | Field::FsPathTargetraw
    );
    if !is_path && field != Field::EvtAbspath {
        return None;
    }
    let header = &view.record.header;
    Some(match &view.record.body {
        Body::Open(open) => match (field, arg) {
            (Field::FsPathNameraw, _) => descriptor::given(open).into(),
            (Field::FsPathName, _) | (Field::EvtAbspath, None) => some(paths::of_open(open, &view.process.cwd)),
            _ => Lookup::Missing,
        },
        Body::Call(call) => {
            let paths = match header.hook {
                Hook::Mount => mounts(call, header.event_type),
                hook => Paths::of(call, hook),
            };
            if is_path {
                // As Falco: nothing was acted on when the call failed.
                if call.ret < 0 { Lookup::Missing } else { acted_on(call, &paths, header.event_type, field) }
            } else {
                absolute(call, &paths, header.event_type, arg)
            }
        }
        _ => Lookup::Missing,
    })
}

fn some(path: Option<Cow<'_, [u8]>>) -> Lookup<'_> {
    path.map_or(Lookup::Missing, |p| Lookup::Value(Value::Str(p)))
}

/// mount and move_mount have a source and a target, umount2 one path.
fn mount_paths<'a>(call: &Call<'a>, event_type: EventType) -> Paths<'a> {
    let all = Paths::of(call, Hook::Mount);
    let two = Some(call.path2).filter(|p| !p.path.is_empty());
    match event_type {
        EventType::Mount => Paths { one: None, source: two, target: all.one },
        EventType::MoveMount => Paths { one: None, source: all.one, target: two },
        _ => all,
    }
}

fn acted_on<'a>(call: &Call<'a>, paths: &Paths<'a>, event_type: EventType, field: Field) -> Lookup<'a> {
    let raw = |given: Option<Given<'a>>| given.map_or(Lookup::Missing, |g| g.path.into());
    let whole = |given: Option<Given<'a>>| given.map_or(Lookup::Missing, |g| some(paths::of_given(g)));
    match field {
        // fchmod and fchown.
        Field::FsPathName | Field::FsPathNameraw if paths.one.is_none() && paths.source.is_none() => {
            some(descriptor::file_path(call).filter(|_| matches!(event_type.hook(), Hook::Chmod | Hook::Chown)))
        }
        Field::FsPathName => whole(paths.one),
        Field::FsPathNameraw => raw(paths.one),
        // What is mounted may be no path (proc, a label), and stays as it is then.
        Field::FsPathSource if event_type == EventType::Mount => match paths.source {
            Some(given) if given.path.starts_with(b"/") => whole(Some(given)),
            other => raw(other),
        },
        Field::FsPathSource => whole(paths.source),
        Field::FsPathSourceraw => raw(paths.source),
        Field::FsPathTarget => some(target(paths, event_type)),
        _ => raw(paths.target),
    }
}

/// The absolute target; a symbolic link's own starts where the link lies.
fn target<'a>(paths: &Paths<'a>, event_type: EventType) -> Option<Cow<'a, [u8]>> {
    let target = paths.target?;
    if !matches!(event_type, EventType::Symlink | EventType::Symlinkat) {
        return paths::of_given(target);
    }
    let link = paths::of_given(paths.source?)?;
    paths::absolute(target.path, &link[paths::split(&link).0])
}

/// evt.abspath: whether or not the call succeeded. Of a symbolic link the link itself.
fn absolute<'a>(call: &Call<'a>, paths: &Paths<'a>, event_type: EventType, arg: Option<&Arg>) -> Lookup<'a> {
    let key = match arg {
        Some(Arg::Key(key)) => Some(key.as_str()),
        _ => None,
    };
    let (old, new) = (Some(call.path), Some(call.path2));
    let is_symlink = matches!(event_type, EventType::Symlink | EventType::Symlinkat);
    let given = match (key, event_type.hook()) {
        (None, Hook::Link) if is_symlink => paths.source,
        (None, _) => paths.one,
        (Some("src"), Hook::Rename) => old,
        (Some("src"), Hook::Link) if !is_symlink => old,
        (Some("dst"), Hook::Rename | Hook::Link) => new,
        (Some("src"), Hook::Mount) => paths.source,
        (Some("dst"), Hook::Mount) => paths.target,
        _ => None,
    };
    given.map_or(Lookup::Missing, |g| some(paths::of_given(g)))
}
