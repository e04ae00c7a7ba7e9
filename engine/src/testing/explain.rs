//! Which part of a condition decided.
use crate::{
    eval::{Truth, evaluate, value_of},
    event::Event,
    syntax::{Expr, Operand},
    value::Lookup,
};

/// The smallest part of a condition that made it what it is for an event, with the values it saw: "`proc.name = bash` is
/// false: proc.name is "sh"".
#[must_use]
pub fn explain(expr: &Expr, event: &dyn Event) -> String {
    let truth = truth(expr, event);
    let (part, truth) = decisive(expr, truth, event);
    let word = match truth {
        Truth::True => "true",
        Truth::False => "false",
        Truth::Unknown => "undecided",
    };
    let mut fields = Vec::new();
    part.fields(&mut |field| {
        if fields.iter().all(|(known, _)| *known != field) {
            fields.push((field, seen(&Operand::Field(field.clone()), event)));
        }
    });
    let values: Vec<String> = fields.iter().take(5).map(|(field, value)| format!("{field} is {value}")).collect();
    format!("`{}` is {word}: {}", cut(&part.to_string()), values.join(", "))
}

fn truth(expr: &Expr, event: &dyn Event) -> Truth {
    // Compiled conditions do not fail.
    evaluate(expr, event).unwrap_or(Truth::Unknown)
}

fn decisive<'e>(expr: &'e Expr, of: Truth, event: &dyn Event) -> (&'e Expr, Truth) {
    let next = match expr {
        // One part decided an `and` that is not true, or an `or` that is not false; else all parts did.
        Expr::And(parts) if of != Truth::True => parts.iter().find(|part| truth(part, event) == of),
        Expr::Or(parts) if of != Truth::False => parts.iter().find(|part| truth(part, event) == of),
        Expr::Not(inner) if !matches!(**inner, Expr::Compare(_) | Expr::Exists(_)) => {
            return decisive(inner, !of, event);
        }
        _ => None,
    };
    next.map_or((expr, of), |part| decisive(part, of, event))
}

fn seen(operand: &Operand, event: &dyn Event) -> String {
    match value_of(operand, event) {
        Lookup::Missing => "missing".to_owned(),
        Lookup::Pending => "pending".to_owned(),
        Lookup::Value(value) => format!("{:?}", cut(&String::from_utf8_lossy(&crate::matching::bytes(&value)))),
    }
}

/// Long lists tell nothing more.
fn cut(text: &str) -> String {
    match text.char_indices().nth(160) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}
