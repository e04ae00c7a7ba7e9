//! evt.arg, evt.rawarg, evt.args: the arguments of an event by Falco's names, in Falco's order.
use super::{View, descriptor, names::open_flags};
use crate::probe::record::Body;
use engine::value::{Lookup, Value};

/// Name, as text, as number where it is one.
struct Argument {
    name: &'static str,
    text: Vec<u8>,
    number: Option<i64>,
}

fn text(name: &'static str, text: impl Into<Vec<u8>>) -> Argument {
    Argument { name, text: text.into(), number: None }
}

fn number(name: &'static str, n: impl Into<i64>) -> Argument {
    let n = n.into();
    Argument { name, text: n.to_string().into_bytes(), number: Some(n) }
}

/// A result: its name, and what it is called when it is an error.
fn result(name: &'static str, n: i64) -> Argument {
    let text = match n {
        n if n < 0 => format!("{n}({})", super::names::errno(n)),
        n => n.to_string(),
    };
    Argument { name, text: text.into_bytes(), number: Some(n) }
}

fn arguments(view: &View<'_>) -> Vec<Argument> {
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
            let mut list = started(vec![result("res", 0)]);
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
        Body::Fork(fork) => {
            let mut list = started(vec![result("res", i64::from(fork.child_pid))]);
            list.extend([
                Argument {
                    name: "flags",
                    text: format!("{:#x}", fork.flags).into(),
                    number: i64::try_from(fork.flags).ok(),
                },
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
                result("fd", open.ret),
                number("dirfd", open.dirfd),
                text("name", open.path),
                Argument { name: "flags", text: flags.into(), number: Some(i64::from(open.flags)) },
                Argument { name: "mode", text: format!("0{:o}", open.mode).into(), number: Some(i64::from(open.mode)) },
                number("dev", open.dev),
                number("ino", i64::try_from(open.ino).unwrap_or(i64::MAX)),
            ]
        }
        Body::Connect(connect) => {
            let tuple = descriptor::connection_name(connect).unwrap_or_default();
            let addr = descriptor::remote_name(connect).unwrap_or_default();
            vec![result("res", connect.ret), text("tuple", tuple), number("fd", connect.fd), text("addr", addr)]
        }
        Body::Call(call) => vec![result("res", call.ret)],
    }
}

/// `name=value name=value ...`
pub(super) fn all(view: &View<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    for argument in arguments(view) {
        if !line.is_empty() {
            line.push(b' ');
        }
        line.extend_from_slice(argument.name.as_bytes());
        line.push(b'=');
        line.extend_from_slice(&argument.text);
    }
    line
}

/// One by name, or by number from 0.
pub(super) fn one<'a>(view: &View<'_>, key: &str, raw: bool) -> Lookup<'a> {
    let mut list = arguments(view).into_iter();
    let found = match key.parse::<usize>() {
        Ok(n) => list.nth(n),
        Err(_) => list.find(|a| a.name == key || (a.name == "name" && key == "path")),
    };
    match found {
        None => Lookup::Missing,
        Some(Argument { number: Some(n), .. }) if raw => Lookup::Value(Value::Int(n)),
        Some(argument) => argument.text.into(),
    }
}
