//! fd.*: what a call opened, connected, made or was given. Files here, sockets in `socket`.
use super::{
    View, paths,
    paths::{cut, split},
    socket::Socket,
};
use crate::{
    container::HOST_ID,
    probe::record::{Body, Call, CallFile, Layer, Open, Stream},
};
use agent_abi::call::{self as table, NONE, RESULT, Recipe, TYPES};
use engine::{
    field::Field,
    value::{Lookup, Value},
};
use std::borrow::Cow;

static RECIPES: [Recipe; TYPES] = table::recipes();

fn truth(b: bool) -> Lookup<'static> {
    Lookup::Value(Value::Bool(b))
}
fn int(n: impl Into<i64>) -> Lookup<'static> {
    Lookup::Value(Value::Int(n.into()))
}
fn some(path: Option<Cow<'_, [u8]>>) -> Lookup<'_> {
    path.map_or(Lookup::Missing, |p| Lookup::Value(Value::Str(p)))
}

pub(super) fn lookup<'a>(view: &'a View<'_>, field: Field) -> Option<Lookup<'a>> {
    // Rows of other classes are told apart before any path is made.
    if !field.def().name.starts_with("fd") {
        return None;
    }
    Some(match (field, &view.record.body) {
        (Field::FdNum, _) => number(view).map_or(Lookup::Missing, int),
        (Field::FdUid, _) => match number(view) {
            Some(fd) => format!("{}.{fd}", view.process.key.pid).into(),
            None => Lookup::Missing,
        },
        (Field::FdContainername, body) => name(view, body).map_or(Lookup::Missing, |n| in_container(view, &n)),
        (_, Body::Open(open)) => opened(view, open, field),
        (_, Body::Connect(connect)) => Socket::of_connect(connect).field(field).unwrap_or(Lookup::Missing),
        (_, Body::Call(call)) => match (Socket::of_call(call, view.record.header.hook), &call.file) {
            (Some(socket), _) => socket.field(field).unwrap_or(Lookup::Missing),
            (None, Some(file)) => found(view, file, field),
            (None, None) => Lookup::Missing,
        },
        _ => Lookup::Missing,
    })
}

/// fd.num: negative when a call that makes one failed.
fn number(view: &View<'_>) -> Option<i64> {
    match &view.record.body {
        Body::Open(_) => view.result(),
        // Of a file of the ring's own table there is none.
        Body::Connect(connect) => Some(i64::from(connect.fd)).filter(|fd| *fd >= 0 || !view.record.header.io_uring),
        Body::Call(call) => called(view, call),
        _ => None,
    }
}

/// The descriptor that a call is about, whether or not there was one with that number.
fn called(view: &View<'_>, call: &Call<'_>) -> Option<i64> {
    let recipe = RECIPES.get(view.record.header.event_type as usize)?;
    match (call.fd, recipe.fd) {
        (Some(fd), _) => Some(i64::from(fd)),
        (None, NONE) => None,
        (None, RESULT) => view.result(),
        (None, _) if view.record.header.io_uring => None,
        #[allow(clippy::cast_possible_truncation, reason = "a descriptor is the argument's lower half")]
        (None, n) => call.args.get(usize::from(n)).map(|fd| i64::from(*fd as i32)),
    }
}

/// fd.name.
fn name<'a>(view: &'a View<'_>, body: &'a Body<'a>) -> Option<Cow<'a, [u8]>> {
    match body {
        Body::Open(open) => paths::of_open(open, &view.process.cwd),
        Body::Connect(connect) => Socket::of_connect(connect).name().map(Cow::Owned),
        Body::Call(call) => match (Socket::of_call(call, view.record.header.hook), &call.file) {
            (Some(socket), _) => socket.name().map(Cow::Owned),
            (None, Some(file)) => Some(Kind::of(file).name(file)),
            (None, None) => None,
        },
        _ => None,
    }
}

/// fd.type of a call's descriptor.
pub(super) fn kind(view: &View<'_>) -> Option<&'static str> {
    let Body::Call(call) = &view.record.body else { return None };
    match (Socket::of_call(call, view.record.header.hook), &call.file) {
        (Some(socket), _) => socket.kind().0,
        (None, file) => file.as_ref().map(|file| Kind::of(file).name),
    }
}

/// Type and name of a standard stream, as fd.type and fd.name have them.
pub(super) fn stream(stream: &Stream<'_>) -> (Option<&'static str>, Option<Vec<u8>>) {
    match stream {
        Stream::Closed => (None, None),
        Stream::File(file) => {
            let kind = Kind::of(file);
            (Some(kind.name), Some(kind.name(file).into_owned()))
        }
        Stream::Socket { ends, connected } => {
            let socket = Socket::of_stream(ends, *connected);
            (socket.kind().0, socket.name())
        }
    }
}

/// What a call on a path is about, too: fchmod and fchown have a descriptor instead.
pub(super) fn file_path<'a>(call: &Call<'a>) -> Option<Cow<'a, [u8]>> {
    call.file.as_ref().map(|file| Kind::of(file).name(file))
}

/// The argument of an open; what was opened where the argument could not be read any more.
pub(super) fn given<'a>(open: &Open<'a>) -> &'a [u8] {
    if open.given.is_empty() { open.path } else { open.given }
}

fn opened<'a>(view: &'a View<'_>, open: &'a Open<'a>, field: Field) -> Lookup<'a> {
    let path = || paths::of_open(open, &view.process.cwd);
    // Falco tells directories by the flag.
    let directory = open.flags.cast_signed() & libc::O_DIRECTORY != 0;
    let resolved = |lookup| if open.resolved { lookup } else { Lookup::Missing };
    match field {
        Field::FdType => if directory { "directory" } else { "file" }.into(),
        Field::FdTypechar => if directory { "d" } else { "f" }.into(),
        Field::FdNameraw => given(open).into(),
        Field::FdName | Field::FdDirectory | Field::FdFilename | Field::FdContainerdirectory => {
            of_path(view, path(), field)
        }
        _ => resolved(of_inode(open.dev, open.ino, open.layer, field)),
    }
}

fn found<'a>(view: &'a View<'_>, file: &CallFile<'a>, field: Field) -> Lookup<'a> {
    let kind = Kind::of(file);
    match field {
        Field::FdType => kind.name.into(),
        Field::FdTypechar => kind.letter.into(),
        Field::FdName => some(Some(kind.name(file))),
        Field::FdNameraw => file.path.into(),
        Field::FdDirectory | Field::FdFilename | Field::FdContainerdirectory if kind.has_path => {
            of_path(view, Some(Cow::Borrowed(file.path)), field)
        }
        _ => of_inode(file.dev, file.ino, file.layer, field),
    }
}

/// Fields that are a file's path or a part of it.
fn of_path<'a>(view: &'a View<'_>, path: Option<Cow<'a, [u8]>>, field: Field) -> Lookup<'a> {
    match field {
        Field::FdName => some(path),
        Field::FdDirectory => some(path.map(|p| cut(p, |p| split(p).0))),
        Field::FdFilename => some(path.map(|p| cut(p, |p| split(p).1))),
        _ => path.map_or(Lookup::Missing, |p| in_container(view, &p[split(&p).0])),
    }
}

/// Fields that an inode has.
fn of_inode(dev: u32, ino: u64, layer: Layer, field: Field) -> Lookup<'static> {
    match field {
        Field::FdDev => int(dev),
        Field::FdDevMajor => int(major(dev)),
        Field::FdDevMinor => int(minor(dev)),
        Field::FdIno => int(i64::try_from(ino).unwrap_or(i64::MAX)),
        Field::FdIsUpperLayer => truth(layer == Layer::Upper),
        Field::FdIsLowerLayer => truth(layer == Layer::Lower),
        _ => Lookup::Missing,
    }
}

/// What kind of file is behind a descriptor, by Falco's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    letter: &'static str,
    /// Its name is a path.
    has_path: bool,
}

/// Names of the kernel's anonymous inodes (`anon_inode_getfile` and the like), as they stand in their dentries.
const ANONYMOUS: [(&str, &str, &str); 12] = [
    ("[eventpoll]", "eventpoll", "l"),
    ("[eventfd]", "event", "e"),
    ("[signalfd]", "signalfd", "s"),
    ("[timerfd]", "timerfd", "t"),
    ("[userfaultfd]", "userfaultfd", "u"),
    ("[io_uring]", "io_uring", "r"),
    ("[pidfd]", "pidfd", "P"),
    ("inotify", "inotify", "i"),
    ("bpf-map", "bpf", "b"),
    ("bpf-prog", "bpf", "b"),
    ("bpf_link", "bpf", "b"),
    ("btf", "bpf", "b"),
];

impl Kind {
    fn of(file: &CallFile<'_>) -> Self {
        let kind = |name, letter, has_path| Self { name, letter, has_path };
        let format = u32::from(file.mode) & libc::S_IFMT;
        match format {
            libc::S_IFDIR => return kind("directory", "d", true),
            libc::S_IFIFO => return kind("pipe", "p", !is_nameless(file.path)),
            libc::S_IFREG if is_nameless(file.path) => return kind("file", "f", false),
            _ => {}
        }
        // Pseudo files hang on no mount: their path is one part. They have no format, or since Linux 6.15 a regular one.
        if matches!(format, 0 | libc::S_IFREG)
            && let Some(name) = file.path.strip_prefix(b"/").filter(|n| !n.contains(&b'/'))
        {
            if name.starts_with(b"memfd:") {
                return kind("memfd", "m", false);
            }
            if let Some((_, name, letter)) = ANONYMOUS.iter().find(|(n, ..)| n.as_bytes() == name) {
                return kind(name, letter, false);
            }
        }
        kind("file", "f", true)
    }

    /// fd.name.
    fn name<'a>(self, file: &CallFile<'a>) -> Cow<'a, [u8]> {
        match (self.has_path, self.letter) {
            (true, _) => Cow::Borrowed(file.path),
            (false, "p") => Cow::Owned(format!("pipe:[{}]", file.ino).into_bytes()),
            (false, "f") => Cow::Owned(format!("ns:[{}]", file.ino).into_bytes()),
            (false, _) => Cow::Borrowed(file.path.strip_prefix(b"/").unwrap_or(file.path)),
        }
    }
}

/// Pipes and namespaces: their dentries have no name.
fn is_nameless(path: &[u8]) -> bool {
    path.iter().all(|b| *b == b'/')
}

fn in_container<'a>(view: &View<'_>, name: &[u8]) -> Lookup<'a> {
    let id = view.container().map_or(HOST_ID, |c| c.short_id());
    [id.as_bytes(), b":", name].concat().into()
}

/// As glibc takes device numbers of 32 bits apart (the kernel's `new_decode_dev`).
fn major(dev: u32) -> u32 {
    dev >> 8 & 0xfff
}
fn minor(dev: u32) -> u32 {
    dev & 0xff | dev >> 12 & 0xfff00
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use rstest::rstest;

    #[test]
    fn device_numbers_come_apart_as_in_stat() {
        let meta = std::fs::metadata("/dev/null").unwrap();
        let rdev = std::os::unix::fs::MetadataExt::rdev(&meta);
        let dev = u32::try_from(rdev).unwrap();
        assert_eq!((major(dev), minor(dev)), (1, 3));
    }

    #[rstest]
    #[case(libc::S_IFREG, "/etc/shadow", "file", "f", "/etc/shadow")]
    #[case(libc::S_IFCHR, "/dev/null", "file", "f", "/dev/null")]
    #[case(libc::S_IFDIR, "/proc", "directory", "d", "/proc")]
    #[case(libc::S_IFIFO, "//", "pipe", "p", "pipe:[7]")]
    #[case(libc::S_IFREG, "//", "file", "f", "ns:[7]")]
    #[case(libc::S_IFIFO, "/run/initctl", "pipe", "p", "/run/initctl")]
    #[case(libc::S_IFREG, "/memfd:x", "memfd", "m", "memfd:x")]
    #[case(0, "/[eventpoll]", "eventpoll", "l", "[eventpoll]")]
    #[case(libc::S_IFREG, "/[io_uring]", "io_uring", "r", "[io_uring]")]
    #[case(0, "/bpf-prog", "bpf", "b", "bpf-prog")]
    #[case(libc::S_IFREG, "/tmp/bpf-prog", "file", "f", "/tmp/bpf-prog")]
    fn kinds_of_files(
        #[case] format: u32,
        #[case] path: &str,
        #[case] kind: &str,
        #[case] letter: &str,
        #[case] name: &str,
    ) {
        let mode = u16::try_from(format | 0o600).unwrap();
        let file = CallFile { path: path.as_bytes(), mode, dev: 1, ino: 7, layer: Layer::None };
        let of = Kind::of(&file);
        assert_eq!((of.name, of.letter), (kind, letter));
        assert_eq!(of.name(&file).as_ref(), name.as_bytes());
    }
}
