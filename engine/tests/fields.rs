//! The catalogue against the reference list of field names, where that is present.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use engine::field::{ArgRule, Field, Kind, Many};
use std::path::PathBuf;

/// A file of the reference material: in `EYAS_SHARED`, else beside the repository or its worktrees.
fn shared(path: &str) -> Option<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let beside = ["../../shared", "../../../shared"].map(|up| root.join(up));
    let found = std::env::var_os("EYAS_SHARED").map(PathBuf::from).into_iter().chain(beside);
    let text = found.map(|dir| dir.join(path)).find_map(|file| std::fs::read_to_string(file).ok());
    if text.is_none() {
        println!("skipped: ../shared/{path} is not here");
    }
    text
}

fn fits(kind: Kind, name: &str) -> bool {
    match name {
        "charbuf" => matches!(kind, Kind::Text | Kind::Clock),
        "bytebuf" => kind == Kind::Bytes,
        "bool" => kind == Kind::Bool,
        "reltime" => kind == Kind::Duration,
        // What is called a time there and is the time between two things is a span here.
        "abstime" => matches!(kind, Kind::Time | Kind::Clock | Kind::Duration),
        "int16" | "int32" | "int64" => kind == Kind::Int,
        "uint32" | "uint64" => kind == Kind::Uint,
        "port" => kind == Kind::Port,
        "ipaddr" => kind == Kind::Ip,
        "ipnet" => kind == Kind::Net,
        "double" => kind == Kind::Float,
        "dyn" => kind == Kind::Dyn,
        _ => false,
    }
}

#[test]
fn every_field_of_the_reference_list_is_there_with_its_type_and_argument() {
    let Some(table) = shared("falco/fields.tsv") else { return };
    let mut wrong = Vec::new();
    for line in table.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let mut columns = line.split('\t');
        let (name, kind, notes) = (columns.next().unwrap(), columns.next().unwrap_or(""), columns.next().unwrap_or(""));
        let Some(def) = Field::by_name(name).map(Field::def) else {
            wrong.push(format!("{name} is missing"));
            continue;
        };
        if !fits(def.kind, kind) {
            wrong.push(format!("{name} is {kind}, not {}", def.kind.as_str()));
        }
        if notes.contains("arg-required") && !matches!(def.arg, ArgRule::Key | ArgRule::OptKey)
            || notes.contains("arg-allowed") && def.arg == ArgRule::No
            || !notes.contains("arg") && def.arg != ArgRule::No
        {
            wrong.push(format!("{name} has argument {:?}, and {notes:?} there", def.arg));
        }
        if notes.contains("list") != (def.many == Many::Set) {
            wrong.push(format!("{name} has {:?} values, and {notes:?} there", def.many));
        }
        if notes.contains("deprecated") != def.is_deprecated() {
            wrong.push(format!("{name} is deprecated: {}, and {notes:?} there", def.is_deprecated()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
