//! Values of fields and transformers.
use super::clock;
use crate::{
    event::Event,
    field::{FieldRef, Kind, Many},
    matching::bytes,
    syntax::{Function, Operand},
    value::{Lookup, Value},
};
use std::ops::ControlFlow;

type Visit<'v> = &'v mut dyn FnMut(&Lookup<'_>) -> ControlFlow<()>;

/// Kind of an operand's values.
#[must_use]
pub fn kind_of(operand: &Operand) -> Kind {
    match operand {
        Operand::Field(field) => field.field.def().kind,
        Operand::Call { function: Function::Len, .. } => Kind::Uint,
        Operand::Text(_) | Operand::Call { .. } | Operand::List(_) => Kind::Text,
    }
}

/// How many values an operand has.
#[must_use]
pub fn many_of(operand: &Operand) -> Many {
    match operand {
        Operand::Field(field) => field.many(),
        Operand::Call { function: Function::Getopt, selector: None, .. } => Many::Set,
        Operand::Call { function: Function::Len | Function::Join | Function::Concat | Function::Getopt, .. }
        | Operand::Text(_) => Many::One,
        Operand::Call { args, .. } => args.first().map_or(Many::One, many_of),
        Operand::List(_) => Many::Set,
    }
}

/// Visits each value of an operand (or Missing, or Pending).
pub fn visit(operand: &Operand, event: &dyn Event, found: Visit<'_>) {
    match operand {
        Operand::Field(field) => visit_field(field, event, found),
        Operand::Text(text) => {
            let _ = found(&Lookup::Value(Value::from(text.as_bytes())));
        }
        Operand::List(items) => {
            for item in items {
                let mut stopped = false;
                visit(item, event, &mut |value| {
                    let flow = found(value);
                    stopped |= flow.is_break();
                    flow
                });
                if stopped {
                    return;
                }
            }
        }
        Operand::Call { function, args, selector } => call(*function, args, selector.as_deref(), event, found),
    }
}

fn visit_field(field: &FieldRef, event: &dyn Event, found: Visit<'_>) {
    if field.field.def().kind == Kind::Clock {
        let value = match event.field(field) {
            Lookup::Value(Value::Uint(ns)) => Lookup::Value(Value::from(clock::render(field.field, ns))),
            other => other,
        };
        let _ = found(&value);
    } else if field.many() == Many::One {
        let _ = found(&event.field(field));
    } else {
        event.visit(field, found);
    }
}

/// The one value of an operand: several become a list.
#[must_use]
pub fn value_of<'e>(operand: &Operand, event: &'e dyn Event) -> Lookup<'e> {
    if let Operand::Field(field) = operand {
        return event.field(field);
    }
    match collect(operand, event) {
        Ok(mut values) if values.len() == 1 && many_of(operand) == Many::One => {
            values.pop().map_or(Lookup::Missing, Lookup::Value)
        }
        Ok(values) => Lookup::Value(Value::List(values)),
        Err(none) => none,
    }
}

/// All values of an operand; Missing when any is or when there is none, else Pending when any is.
fn collect(operand: &Operand, event: &dyn Event) -> Result<Vec<Value<'static>>, Lookup<'static>> {
    let mut values = Vec::new();
    let mut none = None;
    visit(operand, event, &mut |found| match found {
        Lookup::Value(value) => {
            values.push(owned(value));
            ControlFlow::Continue(())
        }
        Lookup::Missing => {
            none = Some(Lookup::Missing);
            ControlFlow::Break(())
        }
        Lookup::Pending => {
            none = Some(Lookup::Pending);
            ControlFlow::Continue(())
        }
    });
    match none {
        Some(none) => Err(none),
        None if values.is_empty() => Err(Lookup::Missing),
        None => Ok(values),
    }
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Str(s) => Value::from(s.to_vec()),
        Value::Int(n) => Value::Int(*n),
        Value::Uint(n) => Value::Uint(*n),
        Value::Bool(b) => Value::Bool(*b),
        Value::Ip(ip) => Value::Ip(*ip),
        Value::List(items) => Value::List(items.iter().map(owned).collect()),
    }
}

fn call(function: Function, args: &[Operand], selector: Option<&str>, event: &dyn Event, found: Visit<'_>) {
    let Some(first) = args.first() else { return };
    match function {
        Function::ToLower => map(first, event, found, |text| Some(text.to_ascii_lowercase())),
        Function::ToUpper => map(first, event, found, |text| Some(text.to_ascii_uppercase())),
        Function::Basename => map(first, event, found, |text| Some(basename(text).to_vec())),
        Function::B64 => map(first, event, found, decode_base64),
        Function::Len => {
            let length = collect(first, event).map(|values| match (many_of(first), values.as_slice()) {
                (Many::One, [only]) => bytes(only).len(),
                (_, values) => values.len(),
            });
            once(length.map(|n| Value::Uint(u64::try_from(n).unwrap_or(u64::MAX))), found);
        }
        Function::Concat => once(joined(args, b"", event), found),
        Function::Join => {
            let separator = literal(args.get(1));
            once(joined(std::slice::from_ref(first), separator, event), found);
        }
        Function::Getopt => match collect(first, event) {
            Ok(values) => getopt(&values, literal(args.get(1)), selector, found),
            Err(none) => {
                let _ = found(&none);
            }
        },
    }
}

fn literal(operand: Option<&Operand>) -> &[u8] {
    match operand {
        Some(Operand::Text(text)) => text.as_bytes(),
        _ => b"",
    }
}

fn once(value: Result<Value<'static>, Lookup<'static>>, found: Visit<'_>) {
    let _ = found(&value.map_or_else(|none| none, Lookup::Value));
}

fn map(operand: &Operand, event: &dyn Event, found: Visit<'_>, change: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    visit(operand, event, &mut |value| match value {
        Lookup::Value(value) => found(&change(&bytes(value)).into()),
        Lookup::Missing => found(&Lookup::Missing),
        Lookup::Pending => found(&Lookup::Pending),
    });
}

fn joined(args: &[Operand], separator: &[u8], event: &dyn Event) -> Result<Value<'static>, Lookup<'static>> {
    let (mut parts, mut pending) = (Vec::new(), false);
    for arg in args {
        match collect(arg, event) {
            Ok(values) => parts.extend(values.iter().map(|value| bytes(value).into_owned())),
            Err(Lookup::Pending) => pending = true,
            Err(missing) => return Err(missing),
        }
    }
    if pending { Err(Lookup::Pending) } else { Ok(Value::from(parts.join(separator))) }
}

fn basename(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// Standard alphabet, padding optional.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|b| *b != b'=').map_or(0, |at| at + 1);
    if text.len() - end > 2 || end % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(end * 3 / 4);
    let (mut bits, mut have) = (0_u32, 0_u32);
    for byte in &text[..end] {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have & 0xff) as u8);
        }
    }
    Some(out)
}

/// Options in arguments, as getopt(3) reads them: their letters, or one option's value.
fn getopt(arguments: &[Value<'_>], options: &[u8], selector: Option<&str>, found: Visit<'_>) {
    let texts: Vec<_> = arguments.iter().map(bytes).collect();
    let mut words = texts.iter().flat_map(|text| text.split(|b| *b == b' ')).filter(|word| !word.is_empty());
    let mut seen = false;
    while let Some(word) = words.next() {
        if word == b"--" {
            break;
        }
        let Some(mut letters) = word.strip_prefix(b"-").filter(|rest| !rest.starts_with(b"-")) else { continue };
        while let [letter, rest @ ..] = letters {
            letters = rest;
            let Some(at) = options.iter().position(|o| o == letter && *o != b':') else { continue };
            let mut value: &[u8] = b"";
            if options.get(at + 1) == Some(&b':') {
                value = if rest.is_empty() { words.next().unwrap_or_default() } else { rest };
                letters = b"";
            }
            let shown = match selector {
                Some(wanted) if wanted.as_bytes() == [*letter] => value,
                Some(_) => continue,
                None => std::slice::from_ref(letter),
            };
            seen = true;
            if found(&Lookup::Value(Value::from(shown))).is_break() || selector.is_some() {
                return;
            }
        }
    }
    if !seen {
        let _ = found(&Lookup::Missing);
    }
}
