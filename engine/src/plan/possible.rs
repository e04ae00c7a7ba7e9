//! The event types that a condition can match, known without making a plan.
use super::known::{Known, is_decisive};
use crate::{
    eval::{Leaf, Truth},
    event::EventType,
    matching::TestError,
    syntax::{Expr, Right},
};
use std::collections::BTreeSet;

/// The event types for which a condition is not certain to be false.
///
/// # Errors
/// A literal in it does not fit its field.
pub fn possible_types(condition: &Expr) -> Result<BTreeSet<EventType>, TestError> {
    let mut checked = Ok(());
    condition.walk(&mut |node| {
        if let (Expr::Compare(comparison), Ok(())) = (node, &checked) {
            checked = Leaf::check(comparison);
        }
    });
    checked?;
    let sketch = Sketch::new(condition)?;
    let possible = |event_type: &EventType| {
        let known = Known { event_type: Some(*event_type), open_class: None };
        sketch.decide(&known) != Truth::False
    };
    Ok(EventType::ALL.iter().copied().filter(possible).collect())
}

/// A condition in which only that is prepared which what is known of an event decides: of a comparison of another field
/// with literals it counts which fields it reads.
pub struct Sketch<'e> {
    condition: &'e Expr,
    /// In the order of [`Expr::walk`].
    leaves: Vec<Leaf>,
}

impl<'e> Sketch<'e> {
    /// # Errors
    /// A literal that what is known may decide does not fit its field.
    pub fn new(condition: &'e Expr) -> Result<Self, TestError> {
        let (mut leaves, mut failed) = (Vec::new(), None);
        condition.walk(&mut |node| match node {
            Expr::Compare(c) if !matches!(c.right, Right::Operand(_)) && !is_decisive(&c.left) => {
                leaves.push(Leaf::Exists(c.left.clone()));
            }
            other => match Leaf::build(other) {
                Ok(leaf) => leaves.extend(leaf),
                Err(error) => failed = failed.take().or(Some(error)),
            },
        });
        failed.map_or(Ok(Self { condition, leaves }), Err)
    }

    /// What is certain of the condition.
    pub fn decide(&self, known: &Known) -> Truth {
        decide(self.condition, &mut self.leaves.iter().map(|leaf| known.decide(leaf)))
    }
}

/// The truth of a condition by that of its leaves, in the order of [`Expr::walk`].
fn decide(expr: &Expr, leaves: &mut dyn Iterator<Item = Truth>) -> Truth {
    match expr {
        Expr::And(parts) => parts.iter().fold(Truth::True, |truth, part| truth.min(decide(part, leaves))),
        Expr::Or(parts) => parts.iter().fold(Truth::False, |truth, part| truth.max(decide(part, leaves))),
        Expr::Not(inner) => !decide(inner, leaves),
        Expr::Exists(_) | Expr::Compare(_) => leaves.next().unwrap_or(Truth::Unknown),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{
        field::Kind,
        matching::Test,
        plan::{
            builder::Builder,
            generate::{self, Rng},
            graph::Planned,
        },
        syntax::{Op, Quantifier, Text},
    };

    #[test]
    fn the_types_are_those_that_a_plan_has() {
        let (mut all, mut some, mut none) = (0, 0, 0);
        for seed in 1..200 {
            let condition = generate::condition(&mut Rng(seed), &[], 3);
            let by_plan = |event_type: &EventType| {
                let known = Known { event_type: Some(*event_type), open_class: None };
                let planned = Builder::default().add(&condition, &known).unwrap();
                !matches!(planned, Planned::Constant(false))
            };
            let expected: BTreeSet<_> = EventType::ALL.iter().copied().filter(by_plan).collect();
            let types = possible_types(&condition).unwrap();
            assert_eq!(types, expected, "{seed}: {condition}");
            match types.len() {
                0 => none += 1,
                n if n == EventType::ALL.len() => all += 1,
                _ => some += 1,
            }
        }
        assert!(all > 4 && some > 4 && none > 4, "{all} {some} {none}");
    }

    #[test]
    fn what_is_checked_is_what_can_be_prepared() {
        const KINDS: &[Kind] =
            &[Kind::Text, Kind::Dyn, Kind::Int, Kind::Port, Kind::Float, Kind::Bool, Kind::Ip, Kind::Net, Kind::Clock];
        const LITERALS: &[&str] =
            &["a", "", "1", "-1", "0x1f", "70000", "1.5", "true", "10.0.0.1", "10.0.0.0/8", "7f4", "("];
        let mut refused = 0;
        for kind in KINDS {
            for op in Op::ALL {
                for quantifier in Quantifier::ALL.iter().copied().map(Some).chain([None]) {
                    for pair in LITERALS.windows(2).chain(LITERALS.chunks(1)).chain([&[][..]]) {
                        let literals: Vec<Text> = pair.iter().map(|text| Text::from(*text)).collect();
                        let built = Test::build(*kind, *op, quantifier, &literals).map(drop);
                        refused += usize::from(built.is_err());
                        let checked = Test::check(*kind, *op, quantifier, &literals);
                        assert_eq!(checked, built, "{kind:?} {op} {quantifier:?} {pair:?}");
                    }
                }
            }
        }
        assert!(refused > 1_000);
    }
}
