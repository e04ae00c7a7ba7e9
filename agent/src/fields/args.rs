//! evt.arg, evt.rawarg, evt.args: the arguments of an event by Falco's names, in Falco's order.
use super::{
    View, calls, descriptor, flags,
    names::{errno, open_flags},
    socket::Socket,
};
use crate::probe::record::Body;
use engine::{
    event::EventType,
    value::{Lookup, Value},
};

/// One argument of an event.
#[derive(Debug)]
pub struct Argument {
    /// Falco's name.
    pub name: &'static str,
    /// As text: `evt.arg.NAME`.
    pub text: Vec<u8>,
    /// As number where it is one.
    pub(super) number: Option<i64>,
    /// As the call gave it, where `text` is something else.
    pub(super) raw: Option<Vec<u8>>,
    /// It has no value.
    pub(super) unknown: bool,
}

pub(super) fn text(name: &'static str, text: impl Into<Vec<u8>>) -> Argument {
    Argument { name, text: text.into(), number: None, raw: None, unknown: false }
}

pub(super) fn number(name: &'static str, n: impl Into<i64>) -> Argument {
    let n = n.into();
    Argument { number: Some(n), ..text(name, n.to_string()) }
}

/// A result: its name, and what it is called when it is an error; one that is not known yet is as Falco writes what is missing.
pub(super) fn result(name: &'static str, n: Option<i64>) -> Argument {
    let Some(n) = n else { return Argument { unknown: true, ..text(name, "<NA>") } };
    let words = if n < 0 { format!("{n}({})", errno(n)) } else { n.to_string() };
    Argument { number: Some(n), ..text(name, words) }
}

/// Flags by name; as a number when none has one.
fn named_flags(n: u64, names: flags::Names) -> Argument {
    let words = flags::bits(names, n).unwrap_or_else(|| format!("{n:#x}"));
    Argument { number: i64::try_from(n).ok(), ..text("flags", words) }
}

impl Argument {
    /// `evt.rawarg.NAME`: the number where it is one, else what the call gave.
    #[must_use]
    pub fn raw(&self) -> Value<'_> {
        match (self.number, &self.raw) {
            (Some(n), _) => Value::Int(n),
            (None, Some(given)) => given.as_slice().into(),
            (None, None) => self.text.as_slice().into(),
        }
    }
}

/// Texts that are each ended by NUL.
fn words(texts: &[u8]) -> Vec<&[u8]> {
    let texts = texts.strip_suffix(b"\0").unwrap_or(texts);
    if texts.is_empty() { Vec::new() } else { texts.split(|b| *b == 0).collect() }
}

pub(super) fn arguments(view: &View<'_>) -> Vec<Argument> {
    let (header, p) = (&view.record.header, view.process);
    let started = |mut list: Vec<Argument>| {
        list.extend([
            text("exe", p.exec.exe()),
            text("args", p.exec.joined()),
            number("tid", header.tid),
            number("pid", header.pid),
            number("ptid", p.parent.pid),
            text("cwd", p.cwd.as_ref()),
            text("comm", p.name.as_ref()),
        ]);
        list
    };
    match &view.record.body {
        Body::Exec(exec) => {
            let mut list = started(vec![result("res", Some(0))]);
            list.extend([
                number("tty", exec.tty),
                number("pgid", exec.pgid),
                number("loginuid", exec.loginuid.map_or(-1, i64::from)),
                number("uid", exec.uid),
                text("filename", exec.file),
                text("exepath", exec.path),
            ]);
            list
        }
        Body::FailedExec(exec) => {
            // What was tried; the caller is what it was.
            let all = words(exec.args);
            let (first, rest) = all.split_first().map_or((&[][..], &[][..]), |(first, rest)| (*first, rest));
            vec![
                result("res", Some(exec.ret)),
                text("exe", first),
                text("args", rest.join(&b' ')),
                number("tid", header.tid),
                number("pid", header.pid),
                number("ptid", p.parent.pid),
                text("cwd", p.cwd.as_ref()),
                text("comm", p.name.as_ref()),
                text("filename", exec.file),
            ]
        }
        Body::Fork(fork) => {
            let mut list = started(vec![result("res", Some(i64::from(fork.child_pid)))]);
            list.extend([
                named_flags(fork.flags, flags::CLONE),
                number("uid", fork.child_uid),
                number("vpid", fork.child_vpid),
            ]);
            list
        }
        Body::Exit(exit) => vec![
            number("status", exit.code),
            number("ret", exit.code >> 8 & 0xff),
            number("sig", exit.code & 0x7f),
            number("core", exit.code >> 7 & 1),
        ],
        Body::Open(open) => {
            let flags = open_flags(open, header.event_type);
            vec![
                result("fd", view.result()),
                number("dirfd", open.dirfd),
                Argument { raw: Some(descriptor::given(open).to_vec()), ..text("name", open.path) },
                Argument { number: Some(i64::from(open.flags)), ..text("flags", flags) },
                Argument { number: Some(i64::from(open.mode)), ..text("mode", format!("0{:o}", open.mode)) },
                number("dev", open.dev),
                number("ino", i64::try_from(open.ino).unwrap_or(i64::MAX)),
            ]
        }
        Body::Connect(connect) => {
            let socket = Socket::of_connect(connect);
            let (tuple, addr) = (socket.name().unwrap_or_default(), socket.address().unwrap_or_default());
            vec![result("res", view.result()), text("tuple", tuple), number("fd", connect.fd), text("addr", addr)]
        }
        Body::Call(call) => calls::arguments(view, call),
    }
}

/// `name=value name=value ...`; a path that was made absolute stands in parentheses behind what was given.
pub(super) fn all(view: &View<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    for argument in arguments(view) {
        if !line.is_empty() {
            line.push(b' ');
        }
        line.extend_from_slice(argument.name.as_bytes());
        line.push(b'=');
        match argument.raw {
            Some(raw) if raw != argument.text => {
                line.extend_from_slice(&raw);
                line.push(b'(');
                line.extend_from_slice(&argument.text);
                line.push(b')');
            }
            _ => line.extend_from_slice(&argument.text),
        }
    }
    line
}

/// Names that Falco has for the path of one call or the other: each finds it, whatever it is called there.
const PATH_NAMES: [&str; 4] = ["path", "name", "filename", "pathname"];

/// One by name, or by number from 0.
pub(super) fn one<'a>(view: &View<'_>, key: &str, raw: bool) -> Lookup<'a> {
    let list = arguments(view);
    let found = match key.parse::<usize>() {
        Ok(n) => list.into_iter().nth(n),
        Err(_) => {
            let exact = list.iter().position(|a| a.name == key);
            let other = || list.iter().position(|a| PATH_NAMES.contains(&a.name));
            let may_be_other = PATH_NAMES.contains(&key) && has_one_path(view.record.header.event_type);
            let at = exact.or_else(|| if may_be_other { other() } else { None });
            at.and_then(|at| list.into_iter().nth(at))
        }
    };
    match found {
        None | Some(Argument { unknown: true, .. }) => Lookup::Missing,
        Some(Argument { number: Some(n), .. }) if raw => Lookup::Value(Value::Int(n)),
        Some(Argument { raw: Some(given), .. }) if raw => given.into(),
        Some(argument) => argument.text.into(),
    }
}

fn has_one_path(event_type: EventType) -> bool {
    event_type.hook() == engine::event::Hook::Open || calls::has_one_path(event_type)
}
