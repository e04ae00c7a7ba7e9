//! Values of fields and transformers. What a transformer makes stays on the stack while it is short.
use super::clock;
use crate::{
    event::Event,
    field::{FieldRef, Kind, Many},
    matching::{Buffer, with_bytes},
    syntax::{Function, Operand},
    value::{Lookup, Value},
};
use std::ops::ControlFlow;

/// What transformers make their texts in.
type Made = Buffer<512>;
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
        let _ = match event.field(field) {
            Lookup::Value(Value::Uint(ns)) => {
                let mut text = Buffer::<48>::default();
                // Writing to a buffer cannot fail.
                let _ = clock::write(field.field, ns, &mut text);
                found(&Lookup::Value(Value::from(text.as_bytes())))
            }
            other => found(&other),
        };
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

/// All values of an operand; what there is instead as [`each`] says.
fn collect(operand: &Operand, event: &dyn Event) -> Result<Vec<Value<'static>>, Lookup<'static>> {
    let mut values = Vec::new();
    each(operand, event, &mut |value| values.push(owned(value)))?;
    Ok(values)
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
        Function::ToLower => map(first, event, found, |text, made| {
            made.push(text);
            made.as_bytes_mut().make_ascii_lowercase();
            true
        }),
        Function::ToUpper => map(first, event, found, |text, made| {
            made.push(text);
            made.as_bytes_mut().make_ascii_uppercase();
            true
        }),
        Function::Basename => map(first, event, found, |text, made| {
            made.push(basename(text));
            true
        }),
        Function::B64 => map(first, event, found, decode_base64),
        Function::Len => {
            let (mut values, mut length) = (0_u64, 0);
            let all = each(first, event, &mut |value| {
                values += 1;
                length = with_bytes(value, <[u8]>::len) as u64;
            });
            let length = if many_of(first) == Many::One && values == 1 { length } else { values };
            let _ = found(&all.map_or_else(|none| none, |()| Lookup::Value(Value::Uint(length))));
        }
        Function::Concat => joined(args, b"", event, found),
        Function::Join => joined(std::slice::from_ref(first), b"", event, &mut |separator| {
            match (separator, args.get(1)) {
                (Lookup::Value(Value::Str(separator)), Some(Operand::List(items))) => {
                    joined(items, separator, event, found);
                }
                (Lookup::Value(Value::Str(separator)), Some(list)) => {
                    joined(std::slice::from_ref(list), separator, event, found);
                }
                (none, _) => {
                    let _ = found(none);
                }
            }
            ControlFlow::Break(())
        }),
        Function::Getopt => {
            // The words of a list are told apart by what no argument holds; those of one text by blanks.
            let gap: &[u8] = if many_of(first) == Many::One { b" " } else { b"\0" };
            joined(std::slice::from_ref(first), gap, event, &mut |arguments| match arguments {
                Lookup::Value(Value::Str(arguments)) if gap == b" " => {
                    let words = arguments.split(|b| *b == b' ').filter(|word| !word.is_empty());
                    getopt(words, literal(args.get(1)), selector, found);
                    ControlFlow::Break(())
                }
                Lookup::Value(Value::Str(arguments)) => {
                    getopt(arguments.split(|b| *b == 0), literal(args.get(1)), selector, found);
                    ControlFlow::Break(())
                }
                none => found(none),
            });
        }
    }
}

fn literal(operand: Option<&Operand>) -> &[u8] {
    match operand {
        Some(Operand::Text(text)) => text.as_bytes(),
        _ => b"",
    }
}

fn map(operand: &Operand, event: &dyn Event, found: Visit<'_>, change: impl Fn(&[u8], &mut Made) -> bool) {
    visit(operand, event, &mut |value| match value {
        Lookup::Value(value) => {
            let mut made = Made::default();
            if with_bytes(value, |text| change(text, &mut made)) {
                found(&Lookup::Value(Value::from(made.as_bytes())))
            } else {
                found(&Lookup::Missing)
            }
        }
        Lookup::Missing => found(&Lookup::Missing),
        Lookup::Pending => found(&Lookup::Pending),
    });
}

/// Every value of an operand; what there is instead when one is missing, when there is none, or else when one is pending.
fn each(operand: &Operand, event: &dyn Event, take: &mut dyn FnMut(&Value<'_>)) -> Result<(), Lookup<'static>> {
    let mut none = Some(Lookup::Missing);
    visit(operand, event, &mut |found| match found {
        Lookup::Value(value) => {
            take(value);
            if none == Some(Lookup::Missing) {
                none = None;
            }
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
    none.map_or(Ok(()), Err)
}

/// All values of the operands as one text. Missing when any is missing, else Pending when any is.
fn joined(args: &[Operand], separator: &[u8], event: &dyn Event, found: Visit<'_>) {
    let (mut made, mut first, mut pending) = (Made::default(), true, false);
    for arg in args {
        let all = each(arg, event, &mut |value| {
            if !std::mem::take(&mut first) {
                made.push(separator);
            }
            with_bytes(value, |text| made.push(text));
        });
        match all {
            Ok(()) => {}
            Err(Lookup::Pending) => pending = true,
            Err(missing) => {
                let _ = found(&missing);
                return;
            }
        }
    }
    let _ = if pending { found(&Lookup::Pending) } else { found(&Lookup::Value(Value::from(made.as_bytes()))) };
}

fn basename(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// Standard alphabet, padding optional.
fn decode_base64(text: &[u8], out: &mut Made) -> bool {
    let end = text.iter().rposition(|b| *b != b'=').map_or(0, |at| at + 1);
    if text.len() - end > 2 || end % 4 == 1 {
        return false;
    }
    let (mut bits, mut have) = (0_u32, 0_u32);
    for byte in &text[..end] {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return false,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push(&[(bits >> have & 0xff) as u8]);
        }
    }
    true
}

/// Options in arguments, as getopt(3) reads them: letters and values in their order, `?` for a letter that is no option; or
/// the last value of one option, which is its letter where it takes none. A value that is not there is empty. Long options
/// are passed over; what is no option ends them.
fn getopt<'w>(mut words: impl Iterator<Item = &'w [u8]>, options: &[u8], selector: Option<&str>, found: Visit<'_>) {
    let (mut seen, mut last) = (false, None);
    while let Some(word) = words.next() {
        let Some(mut letters) = word.strip_prefix(b"-").filter(|rest| !matches!(rest, [] | [b'-'])) else { break };
        if letters.starts_with(b"-") {
            continue;
        }
        while let [letter, rest @ ..] = letters {
            letters = rest;
            let at = options.iter().position(|o| o == letter && *o != b':');
            let takes = at.is_some_and(|at| options.get(at + 1) == Some(&b':'));
            let name = if at.is_some() { std::slice::from_ref(letter) } else { b"?" };
            let value = match rest {
                _ if !takes => None,
                [] => Some(words.next()),
                rest => Some(Some(rest)),
            };
            if takes {
                letters = b"";
            }
            if let Some(wanted) = selector {
                if wanted.as_bytes() == [*letter] && at.is_some() {
                    last = Some(value.map_or(name, Option::unwrap_or_default));
                }
                continue;
            }
            // Where its value is missing, an option is that alone.
            let shown = match value {
                None => [Some(name), None],
                Some(None) => [Some(&b""[..]), None],
                Some(value) => [Some(name), value],
            };
            seen = true;
            for text in shown.into_iter().flatten() {
                if found(&Lookup::Value(Value::from(text))).is_break() {
                    return;
                }
            }
        }
    }
    if let Some(value) = last {
        let _ = found(&Lookup::Value(Value::from(value)));
    } else if !seen {
        let _ = found(&Lookup::Missing);
    }
}
