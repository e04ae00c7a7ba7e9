//! fd.* and fs.path.*: what was opened or connected.
use super::View;
use crate::{
    container::HOST_ID,
    probe::record::{Body, Connect, Layer, Open},
};
use engine::{
    field::Field,
    value::{Lookup, Value},
};
use std::{borrow::Cow, net::IpAddr};

fn truth(b: bool) -> Lookup<'static> {
    Lookup::Value(Value::Bool(b))
}
fn int(n: impl Into<i64>) -> Lookup<'static> {
    Lookup::Value(Value::Int(n.into()))
}
fn bytes<'a>(b: Cow<'a, [u8]>) -> Lookup<'a> {
    Lookup::Value(Value::Str(b))
}

pub(super) fn lookup<'a>(view: &'a View<'_>, field: Field) -> Option<Lookup<'a>> {
    // Rows of other classes are told apart before any path is made.
    let name = field.def().name;
    if !(name.starts_with("fd") || name.starts_with("fs.") || field == Field::EvtAbspath) {
        return None;
    }
    match &view.record.body {
        Body::Open(open) => file(view, open, field),
        Body::Connect(connect) => socket(view, connect, field),
        _ => Some(Lookup::Missing),
    }
}

fn file<'a>(view: &'a View<'_>, open: &'a Open<'a>, field: Field) -> Option<Lookup<'a>> {
    let path = || absolute(open, &view.process.cwd);
    let some = |path: Option<Cow<'a, [u8]>>| path.map_or(Lookup::Missing, bytes);
    // Falco tells directories by the flag.
    let directory = open.flags.cast_signed() & libc::O_DIRECTORY != 0;
    let resolved = |lookup| if open.resolved { lookup } else { Lookup::Missing };
    Some(match field {
        Field::FdNum => int(open.ret),
        Field::FdType => if directory { "directory" } else { "file" }.into(),
        Field::FdTypechar => if directory { "d" } else { "f" }.into(),
        Field::FdName | Field::FsPathName | Field::EvtAbspath => some(path()),
        Field::FdNameraw | Field::FsPathNameraw => open.path.into(),
        Field::FdDirectory => some(path().map(|p| cut(p, |p| split(p).0))),
        Field::FdFilename => some(path().map(|p| cut(p, |p| split(p).1))),
        Field::FdUid => uid(view, open.ret),
        Field::FdContainername => path().map_or(Lookup::Missing, |p| in_container(view, &p)),
        Field::FdContainerdirectory => path().map_or(Lookup::Missing, |p| in_container(view, &p[split(&p).0])),
        Field::FdDev => resolved(int(open.dev)),
        Field::FdDevMajor => resolved(int(major(open.dev))),
        Field::FdDevMinor => resolved(int(minor(open.dev))),
        Field::FdIno => resolved(int(i64::try_from(open.ino).unwrap_or(i64::MAX))),
        Field::FdIsUpperLayer => resolved(truth(open.layer == Layer::Upper)),
        Field::FdIsLowerLayer => resolved(truth(open.layer == Layer::Lower)),
        _ => Lookup::Missing,
    })
}

fn socket<'a>(view: &'a View<'_>, c: &'a Connect<'a>, field: Field) -> Option<Lookup<'a>> {
    let (local, remote) = (c.local_addr.map(|a| a.to_canonical()), c.addr.map(|a| a.to_canonical()));
    let ip = |a: Option<IpAddr>| a.map_or(Lookup::Missing, |a| Lookup::Value(Value::Ip(a)));
    let port = |is: bool, p: u16| if is { Lookup::Value(Value::Uint(u64::from(p))) } else { Lookup::Missing };
    let unix = i32::from(c.family) == libc::AF_UNIX;
    let kind = match remote {
        Some(IpAddr::V4(_)) => Some(("ipv4", "4", "ip")),
        Some(IpAddr::V6(_)) => Some(("ipv6", "6", "ip")),
        None if unix => Some(("unix", "u", "unix")),
        None => None,
    };
    let either = |a: Lookup<'a>, b: Lookup<'a>| {
        let value = |l| if let Lookup::Value(v) = l { Some(v) } else { None };
        let values: Vec<_> = [a, b].into_iter().filter_map(value).collect();
        if values.is_empty() { Lookup::Missing } else { Lookup::Value(Value::List(values)) }
    };
    Some(match field {
        Field::FdNum => int(c.fd),
        Field::FdType => kind.map(|k| k.0).into(),
        Field::FdTypechar => kind.map(|k| k.1).into(),
        Field::FdSockfamily => kind.map(|k| k.2).into(),
        Field::FdName => connection_name(c).into(),
        Field::FdUid => uid(view, i64::from(c.fd)),
        Field::FdContainername => connection_name(c).map_or(Lookup::Missing, |n| in_container(view, &n)),
        Field::FdIp | Field::FdNet => either(ip(local), ip(remote)),
        Field::FdCip | Field::FdLip | Field::FdCnet | Field::FdLnet => ip(local),
        Field::FdSip | Field::FdRip | Field::FdSnet | Field::FdRnet => ip(remote),
        Field::FdPort => either(port(local.is_some(), c.local_port), port(remote.is_some(), c.port)),
        Field::FdCport | Field::FdLport => port(local.is_some(), c.local_port),
        Field::FdSport | Field::FdRport => port(remote.is_some(), c.port),
        Field::FdL4proto => match i32::from(c.l4proto) {
            libc::IPPROTO_TCP => "tcp".into(),
            libc::IPPROTO_UDP => "udp".into(),
            libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6 => "icmp".into(),
            libc::IPPROTO_RAW => "raw".into(),
            _ => Lookup::Missing,
        },
        Field::FdIsServer => truth(false),
        Field::FdConnected => truth(c.ret == 0),
        Field::FdNameChanged => truth(true),
        _ => Lookup::Missing,
    })
}

/// `client:port->server:port`, or the path of a unix socket (`@` stands for the NUL of an abstract name).
pub(super) fn connection_name(c: &Connect<'_>) -> Option<Vec<u8>> {
    if c.addr.is_none() {
        return remote_name(c);
    }
    let mut name = c.local_addr.map_or_else(Vec::new, |a| end(a, c.local_port).into_bytes());
    name.extend_from_slice(b"->");
    name.extend(remote_name(c)?);
    Some(name)
}

/// The destination alone.
pub(super) fn remote_name(c: &Connect<'_>) -> Option<Vec<u8>> {
    match c.addr {
        Some(addr) => Some(end(addr, c.port).into_bytes()),
        None if c.unix_path.is_empty() => None,
        None => Some(match c.unix_path {
            [0, rest @ ..] => [b"@", rest].concat(),
            path => path.to_vec(),
        }),
    }
}

fn end(addr: IpAddr, port: u16) -> String {
    format!("{}:{port}", addr.to_canonical())
}

/// Without links resolved where the kernel did not: `.`, `..` and doubled slashes are taken out of the text.
fn absolute<'a>(open: &Open<'a>, cwd: &[u8]) -> Option<Cow<'a, [u8]>> {
    if open.resolved {
        return Some(Cow::Borrowed(open.path));
    }
    if open.path.is_empty() {
        return None;
    }
    let base = match open.path {
        [b'/', ..] => &[][..],
        _ if open.base.starts_with(b"/") => open.base,
        _ if open.base.is_empty() && open.dirfd == libc::AT_FDCWD && cwd.starts_with(b"/") => cwd,
        _ => return None,
    };
    Some(Cow::Owned(normalize(base, open.path)))
}

fn normalize(base: &[u8], path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in base.split(|b| *b == b'/').chain(path.split(|b| *b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let mut whole = Vec::with_capacity(base.len() + path.len() + 1);
    for part in parts {
        whole.push(b'/');
        whole.extend_from_slice(part);
    }
    if whole.is_empty() {
        whole.push(b'/');
    }
    whole
}

/// Where the directory part and the last part lie. The directory of `/x` is `/`.
fn split(path: &[u8]) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (0..at.max(1), at + 1..path.len()),
        None => (0..0, 0..path.len()),
    }
}

fn cut(path: Cow<'_, [u8]>, range: impl FnOnce(&[u8]) -> std::ops::Range<usize>) -> Cow<'_, [u8]> {
    let range = range(&path);
    match path {
        Cow::Borrowed(b) => Cow::Borrowed(&b[range]),
        Cow::Owned(b) => Cow::Owned(b[range].to_vec()),
    }
}

fn uid<'a>(view: &View<'_>, fd: i64) -> Lookup<'a> {
    format!("{}.{fd}", view.process.key.pid).into()
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
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_made_absolute() {
        assert_eq!(normalize(b"/home/ada", b"../bob/./x//y"), b"/home/bob/x/y");
        assert_eq!(normalize(b"", b"/../.."), b"/");
        assert_eq!(split(b"/etc/shadow"), (0..4, 5..11));
        assert_eq!(split(b"/x"), (0..1, 1..2));
    }

    #[test]
    fn device_numbers_come_apart_as_in_stat() {
        let meta = std::fs::metadata("/dev/null").unwrap();
        let rdev = std::os::unix::fs::MetadataExt::rdev(&meta);
        let dev = u32::try_from(rdev).unwrap();
        assert_eq!((major(dev), minor(dev)), (1, 3));
    }

    proptest! {
        #[test]
        fn normal_paths_stay_normal(path in "[a./]{0,40}") {
            let once = normalize(b"/b", path.as_bytes());
            prop_assert_eq!(normalize(b"", &once), once.clone());
            prop_assert!(once.starts_with(b"/"));
            prop_assert!(!once.split(|b| *b == b'/').any(|p| p == b".." || p == b"."));
        }
    }
}
