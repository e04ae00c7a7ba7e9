//! Canonical text of resolved conditions; reads back as the same condition.
use super::expr::{Comparison, Expr, Operand, Right};
use std::fmt::{Display, Formatter, Result};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Or(parts) => joined(f, parts, " or ", |part| matches!(part, Self::Or(_))),
            Self::And(parts) => joined(f, parts, " and ", |part| matches!(part, Self::Or(_) | Self::And(_))),
            Self::Not(inner) => match **inner {
                Self::And(_) | Self::Or(_) => write!(f, "not ({inner})"),
                _ => write!(f, "not {inner}"),
            },
            Self::Exists(operand) => write!(f, "{operand} exists"),
            Self::Compare(comparison) => write!(f, "{comparison}"),
        }
    }
}

fn joined(f: &mut Formatter<'_>, parts: &[Expr], word: &str, parenthesised: fn(&Expr) -> bool) -> Result {
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            f.write_str(word)?;
        }
        if parenthesised(part) { write!(f, "({part})")? } else { write!(f, "{part}")? }
    }
    Ok(())
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {} ", self.left, self.op)?;
        if let Some(quantifier) = self.quantifier {
            write!(f, "{quantifier} ")?;
        }
        match &self.right {
            Right::Value(text) => write!(f, "{text}"),
            Right::List(items) => {
                f.write_str("(")?;
                list(f, items)?;
                f.write_str(")")
            }
            Right::Operand(Operand::Field(field)) => write!(f, "val({field})"),
            Right::Operand(operand) => write!(f, "{operand}"),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Field(field) => write!(f, "{field}"),
            // Always quoted: a bare word with a dot would read as a field.
            Self::Text(text) => f.write_str(&text.quoted()),
            Self::List(items) => {
                f.write_str("(")?;
                list(f, items)?;
                f.write_str(")")
            }
            Self::Call { function, args, selector } => {
                write!(f, "{function}(")?;
                list(f, args)?;
                f.write_str(")")?;
                selector.as_ref().map_or(Ok(()), |s| write!(f, "[{s}]"))
            }
        }
    }
}

fn list<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> Result {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}
