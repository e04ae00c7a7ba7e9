//! Three-valued evaluation (Kleene): a missing value makes a comparison false, a pending one undecided.
//!
//! - `leaf`: comparisons and `exists`, prepared.
//! - `operand`: values of fields and transformers.
//! - `arguments`: what transformers take.
//! - `clock`: times as text.
//!
//! [`evaluate`] walks a tree as it is; `plan` does the same over shared, specialised trees and must agree with it
//! (property test).
mod arguments;
mod clock;
mod leaf;
mod operand;
#[cfg(test)]
mod tests;

pub use arguments::check_arguments;
pub use clock::render as render_clock;
pub use leaf::{Leaf, is_plain, judge};
#[cfg(test)]
pub use operand::kind_of;
pub use operand::{many_of, value_of};

use crate::{event::Event, matching::TestError, syntax::Expr};

/// False, undecided, true; `and` is the least, `or` the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    /// It does not hold.
    False,
    /// It depends on a pending field.
    Unknown,
    /// It holds.
    True,
}

impl std::ops::Not for Truth {
    type Output = Self;
    fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}

/// Evaluates a condition without any preparation: for tests and explanations, not for the stream of events.
///
/// # Errors
/// A literal that does not fit its field; compiled conditions have none.
pub fn evaluate(expr: &Expr, event: &dyn Event) -> Result<Truth, TestError> {
    let fold = |parts: &[Expr], stop: Truth, least: fn(Truth, Truth) -> Truth| {
        let mut result = !stop;
        for part in parts {
            result = least(result, evaluate(part, event)?);
            if result == stop {
                break;
            }
        }
        Ok(result)
    };
    match expr {
        Expr::And(parts) => fold(parts, Truth::False, Truth::min),
        Expr::Or(parts) => fold(parts, Truth::True, Truth::max),
        Expr::Not(inner) => Ok(!evaluate(inner, event)?),
        leaf => Ok(Leaf::build(leaf)?.map_or(Truth::False, |leaf| leaf.evaluate(event))),
    }
}
