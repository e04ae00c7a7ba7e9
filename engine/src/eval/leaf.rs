//! Comparisons and `exists`, with their right-hand sides prepared.
use super::{
    Truth,
    operand::{kind_of, many_of, visit},
};
use crate::{
    event::Event,
    field::{FieldRef, Kind, Many, Supply},
    matching::{Test, TestError, compare_dynamic, refuse_dynamic},
    syntax::{Comparison, Expr, Op, Operand, Right, Text},
    value::{Lookup, Value},
};
use std::ops::ControlFlow;

/// A leaf of a condition.
#[derive(Clone, Debug)]
pub enum Leaf {
    /// `operand exists`.
    Exists(Operand),
    /// `operand op literals`.
    Test {
        /// Left.
        operand: Operand,
        /// Operator and right.
        test: Test,
        /// All values must fit (`in` over a list), not any.
        all: bool,
    },
    /// `operand op val(field)`.
    Dynamic {
        /// Left.
        left: Operand,
        /// Operator.
        op: Op,
        /// Right.
        right: Operand,
    },
}

impl Leaf {
    /// Prepares a leaf; `None`: the expression is none. This is the type check of comparisons, too.
    ///
    /// # Errors
    /// Operator, field and literals do not fit.
    pub fn build(expr: &Expr) -> Result<Option<Self>, TestError> {
        Ok(match expr {
            Expr::Exists(operand) => Some(Self::Exists(operand.clone())),
            Expr::Compare(comparison) => Some(Self::comparison(comparison)?),
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) => None,
        })
    }

    /// Prepares a comparison.
    ///
    /// # Errors
    /// Operator, field and literals do not fit.
    pub fn comparison(c: &Comparison) -> Result<Self, TestError> {
        let literals = literals(c)?;
        if let Right::Operand(right) = &c.right {
            return Ok(Self::Dynamic { left: c.left.clone(), op: c.op, right: right.clone() });
        }
        let literals = literals.unwrap_or_default();
        let test = Test::build(kind_of(&c.left), c.op, c.quantifier, literals)?;
        let all = c.op == Op::In && many_of(&c.left) == Many::Set;
        Ok(Self::Test { operand: c.left.clone(), test, all })
    }

    /// Whether a comparison can be prepared. Holds no more of a long list than it has.
    ///
    /// # Errors
    /// As [`Leaf::comparison`].
    pub fn check(c: &Comparison) -> Result<(), TestError> {
        literals(c)?.map_or(Ok(()), |literals| Test::check(kind_of(&c.left), c.op, c.quantifier, literals))
    }

    /// Evaluates it.
    #[must_use]
    pub fn evaluate(&self, event: &dyn Event) -> Truth {
        match self {
            Self::Exists(operand) => any(operand, event, &mut |_| true),
            Self::Test { operand, test, all: true } => {
                // Missing is false here too: an empty list is in no list.
                let empty = any(operand, event, &mut |_| true);
                empty.min(!any(operand, event, &mut |value| !test.matches(value)))
            }
            Self::Test { operand: Operand::Field(field), test, .. } if is_plain(field) => {
                judge(test, &event.field(field))
            }
            Self::Test { operand, test, .. } => any(operand, event, &mut |value| test.matches(value)),
            Self::Dynamic { left, op, right } => {
                let mut result = Truth::False;
                visit(right, event, &mut |found| {
                    result = result.max(match found {
                        Lookup::Missing => Truth::False,
                        // Whatever it will be, a missing left side is equal to nothing.
                        Lookup::Pending => any(left, event, &mut |_| true).min(Truth::Unknown),
                        Lookup::Value(right) => any(left, event, &mut |left| compare_dynamic(*op, left, right)),
                    });
                    stop_when_true(result)
                });
                result
            }
        }
    }

    /// Rough cost beside comparing one short text; orders the parts of `and` and `or`.
    #[must_use]
    pub fn cost(&self) -> u32 {
        match self {
            Self::Exists(operand) => operand_cost(operand),
            Self::Test { operand, test, .. } => operand_cost(operand).saturating_add(test.cost()),
            Self::Dynamic { left, right, .. } => operand_cost(left) + operand_cost(right) + 1,
        }
    }
}

/// The literals right of an operator; `None`: another operand stands there, and fits.
fn literals(c: &Comparison) -> Result<Option<&[Text]>, TestError> {
    let right = match &c.right {
        Right::Value(literal) => return Ok(Some(std::slice::from_ref(literal))),
        Right::List(literals) => return Ok(Some(literals)),
        Right::Operand(right) => right,
    };
    let refused = refuse_dynamic(kind_of(&c.left), c.op, kind_of(right))
        .or_else(|| c.quantifier.map(|q| format!("`{q}` takes a list of literals, not a field")));
    refused.map_or(Ok(None), |message| Err(TestError { item: None, message, suggestion: None }))
}

/// The truth of a test of one value.
#[must_use]
pub fn judge(test: &Test, value: &Lookup<'_>) -> Truth {
    match value {
        Lookup::Value(value) => test.matches(value).into(),
        Lookup::Missing => Truth::False,
        Lookup::Pending => Truth::Unknown,
    }
}

/// Whether any value fits; false when there is none, undecided when one is pending and no known one fits.
fn any(operand: &Operand, event: &dyn Event, fits: &mut dyn FnMut(&Value<'_>) -> bool) -> Truth {
    let mut result = Truth::False;
    visit(operand, event, &mut |found| {
        result = result.max(match found {
            Lookup::Value(value) => fits(value).into(),
            Lookup::Missing => Truth::False,
            Lookup::Pending => Truth::Unknown,
        });
        stop_when_true(result)
    });
    result
}

fn stop_when_true(result: Truth) -> ControlFlow<()> {
    if result == Truth::True { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// One value, compared as the event yields it.
#[must_use]
pub fn is_plain(field: &FieldRef) -> bool {
    field.many() == Many::One && field.field.def().kind != Kind::Clock
}

fn operand_cost(operand: &Operand) -> u32 {
    match operand {
        Operand::Field(field) => match field.many() {
            Many::Any | Many::Set => 16,
            Many::One => match field.field.def().supply {
                // Looked up beyond the event and its process.
                Supply::Container | Supply::Pod | Supply::User => 4,
                Supply::Event | Supply::Process | Supply::By(_) | Supply::Nobody => 2,
            },
        },
        Operand::Text(_) => 0,
        Operand::Call { args, .. } | Operand::List(args) => args.iter().map(operand_cost).sum::<u32>() + 10,
    }
}
