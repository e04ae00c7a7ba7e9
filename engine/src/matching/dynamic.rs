//! Comparisons whose right-hand side is another field's value: `proc.name = val(proc.pname)`.
use super::{Folded, Glob, number, truth, with_bytes};
use crate::{field::Kind, syntax::Op, value::Value};

/// Why two kinds cannot be compared by an operator; `None`: they can.
#[must_use]
pub fn refuse(left: Kind, op: Op, right: Kind) -> Option<String> {
    let class = |kind: Kind| match kind {
        Kind::Text | Kind::Bytes | Kind::Clock | Kind::Dyn => 't',
        Kind::Bool => 'b',
        Kind::Ip | Kind::Net => 'i',
        _ => 'n',
    };
    if left != Kind::Dyn && right != Kind::Dyn && class(left) != class(right) {
        return Some(format!(
            "a field of kind {} cannot be compared with one of kind {}",
            left.as_str(),
            right.as_str()
        ));
    }
    match op {
        Op::Regex | Op::Bcontains | Op::Bstartswith | Op::Pmatch => {
            Some(format!("`{op}` takes a literal on its right, not a field"))
        }
        Op::Eq | Op::Ne | Op::In | Op::Intersects => None,
        op if op.is_order() => (class(left) != 'n').then(|| format!("`{op}` orders numbers only")),
        op => (class(left) != 't').then(|| format!("operator `{op}` does not fit a field of kind {}", left.as_str())),
    }
}

/// Compares two values. `in` and `intersects` against a list hold if any of its values is equal.
#[must_use]
pub fn compare(op: Op, left: &Value<'_>, right: &Value<'_>) -> bool {
    if let Value::List(items) = right {
        return items.iter().any(|item| compare(op, left, item));
    }
    match op {
        Op::Eq | Op::In | Op::Intersects => equal(left, right),
        Op::Ne => !equal(left, right),
        Op::Lt => ordered(left, right, std::cmp::Ordering::is_lt),
        Op::Le => ordered(left, right, std::cmp::Ordering::is_le),
        Op::Gt => ordered(left, right, std::cmp::Ordering::is_gt),
        Op::Ge => ordered(left, right, std::cmp::Ordering::is_ge),
        Op::Contains => texts(left, right, |a, b| memchr::memmem::find(a, b).is_some()),
        Op::Icontains => texts(left, right, |a, b| Folded::new(b).is_in(a)),
        Op::Startswith => texts(left, right, <[u8]>::starts_with),
        Op::Endswith => texts(left, right, <[u8]>::ends_with),
        Op::Glob | Op::Iglob => texts(left, right, |a, b| Glob::new(b, op == Op::Iglob).matches(a)),
        // Refused when compiled.
        Op::Regex | Op::Bcontains | Op::Bstartswith | Op::Pmatch => false,
    }
}

fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Ip(a), Value::Ip(b)) => a.to_canonical() == b.to_canonical(),
        (Value::Bool(_), _) | (_, Value::Bool(_)) => truth(left).is_some() && truth(left) == truth(right),
        (Value::Ip(_), _) | (_, Value::Ip(_)) => texts(left, right, |a, b| a == b),
        _ => match (number(left), number(right)) {
            (Some(a), Some(b)) => a == b,
            _ => texts(left, right, |a, b| a == b),
        },
    }
}

fn ordered(left: &Value<'_>, right: &Value<'_>, fits: fn(std::cmp::Ordering) -> bool) -> bool {
    number(left).zip(number(right)).is_some_and(|(a, b)| fits(a.cmp(&b)))
}

fn texts(left: &Value<'_>, right: &Value<'_>, fits: impl FnOnce(&[u8], &[u8]) -> bool) -> bool {
    with_bytes(left, |left| with_bytes(right, |right| fits(left, right)))
}
