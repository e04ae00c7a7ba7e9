//! A condition as a tree whose parts say where they came from: what people read, where `syntax::Expr` is what is evaluated.
//!
//! ```text
//! Expr (the ruleset's) -> Part            compile::outline (macros, lists, exceptions, tenancy) -> Part
//! Part + event -> trace::Trace
//! ```
//! Invariant: as deep as the condition it stands for, so walks may recurse.
use crate::{
    eval::Leaf,
    field::FieldRef,
    source::ObjectRef,
    syntax::{Expr, Right},
};
use serde::Serialize;

/// Most values of a list that are shown.
const MAX_VALUES: usize = 6;
/// Most characters of a leaf that are shown.
const MAX_SHOWN: usize = 160;

/// A part of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Macros and the like that it is the meaning of, outermost first. Empty: it stands in the condition itself.
    pub from: Vec<Origin>,
    /// What it is.
    pub shape: Shape,
}

/// See [`Part`].
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// All hold.
    And(Vec<Part>),
    /// Any holds.
    Or(Vec<Part>),
    /// It does not hold.
    Not(Box<Part>),
    /// `exists` or a comparison.
    Leaf(LeafPart),
}

/// A comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafPart {
    /// What is evaluated; never `And`, `Or`, `Not`.
    pub expr: Expr,
    /// Names of the lists that its values were taken from.
    pub lists: Vec<String>,
}

/// Where a part came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// A macro.
    Macro {
        /// Its name.
        name: String,
        /// The RuleLibrary that defines it; `None`: the rule itself.
        library: Option<ObjectRef>,
    },
    /// An inline exception of the rule, by its name.
    Exception {
        /// Its name.
        name: String,
    },
    /// The bound of a tenant's rule to the pods of its own namespace.
    Tenancy {
        /// That namespace.
        namespace: String,
    },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Macro { name, library: Some(library) } => write!(f, "macro {name} of {library}"),
            Self::Macro { name, library: None } => write!(f, "macro {name}"),
            Self::Exception { name } => write!(f, "inline exception {name}"),
            Self::Tenancy { namespace } => write!(f, "only pods of {namespace}, as for every rule there"),
        }
    }
}

impl Part {
    /// A part without origin.
    #[must_use]
    pub const fn new(shape: Shape) -> Self {
        Self { from: Vec::new(), shape }
    }

    /// A condition whose origins are not known.
    #[must_use]
    pub fn of(expr: &Expr) -> Self {
        let all = |parts: &[Expr]| parts.iter().map(Self::of).collect();
        Self::new(match expr {
            Expr::And(parts) => Shape::And(all(parts)),
            Expr::Or(parts) => Shape::Or(all(parts)),
            Expr::Not(inner) => Shape::Not(Box::new(Self::of(inner))),
            leaf => Shape::Leaf(LeafPart { expr: leaf.clone(), lists: Vec::new() }),
        })
    }

    /// The condition that it stands for, as the ruleset has it.
    #[must_use]
    pub fn expr(&self) -> Expr {
        match &self.shape {
            // As resolving does: conjunctions in conjunctions are one. Neither is ever empty.
            Shape::And(parts) => Expr::all(parts.iter().map(Self::expr)).unwrap_or_else(|| Expr::And(Vec::new())),
            Shape::Or(parts) => Expr::any(parts.iter().map(Self::expr)).unwrap_or_else(|| Expr::Or(Vec::new())),
            Shape::Not(inner) => inner.expr().negate(),
            Shape::Leaf(leaf) => leaf.expr.clone(),
        }
    }

    /// The condition as written: without the bound that a tenant's rule gets. Rule tests see it so.
    #[must_use]
    pub fn without_tenancy(&self) -> &Self {
        match &self.shape {
            Shape::And(parts) => match parts.as_slice() {
                [bound, written] if matches!(bound.from.as_slice(), [Origin::Tenancy { .. }]) => written,
                _ => self,
            },
            _ => self,
        }
    }

    /// The parts below it.
    #[must_use]
    pub fn children(&self) -> &[Self] {
        match &self.shape {
            Shape::And(parts) | Shape::Or(parts) => parts,
            Shape::Not(inner) => std::slice::from_ref(inner),
            Shape::Leaf(_) => &[],
        }
    }

    /// What evaluating it costs at the most, beside comparing one short text with another (1).
    #[must_use]
    pub fn cost(&self) -> u32 {
        match &self.shape {
            Shape::Leaf(leaf) => leaf.cost(),
            _ => self.children().iter().fold(0, |sum, part| sum.saturating_add(part.cost())),
        }
    }
}

impl LeafPart {
    /// See [`Part::cost`].
    #[must_use]
    pub fn cost(&self) -> u32 {
        // Compiled conditions do not fail.
        Leaf::build(&self.expr).ok().flatten().map_or(0, |leaf| leaf.cost())
    }

    /// The fields that it reads, each once.
    #[must_use]
    pub fn fields(&self) -> Vec<&FieldRef> {
        let mut fields = Vec::new();
        self.expr.fields(&mut |field| {
            if !fields.contains(&field) {
                fields.push(field);
            }
        });
        fields
    }

    /// Its text, long lists cut.
    #[must_use]
    pub fn shown(&self) -> String {
        if let Expr::Compare(c) = &self.expr
            && let Right::List(items) = &c.right
            && items.len() > MAX_VALUES
        {
            let quantifier = c.quantifier.map(|q| format!("{q} ")).unwrap_or_default();
            let first: Vec<String> = items.iter().take(MAX_VALUES - 1).map(ToString::to_string).collect();
            let more = items.len() + 1 - MAX_VALUES;
            return cut(&format!("{} {} {quantifier}({}, ... {more} more)", c.left, c.op, first.join(", ")));
        }
        cut(&self.expr.to_string())
    }
}

/// Long texts tell nothing more.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}
