//! The condition as written: spans everywhere, macro and list names not resolved, fields not looked up.
use super::{
    expr::{Function, Op, Quantifier},
    text::Text,
};
use crate::diagnostic::Span;

/// Something with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// What.
    pub value: T,
    /// Where.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Puts the two together.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// A parsed condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Ast {
    /// The text, for diagnostics.
    pub text: String,
    /// The tree.
    pub root: Node,
}

/// A node of the tree, at most [`MAX_DEPTH`](super::MAX_DEPTH) deep.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `a and b and c`.
    And(Vec<Node>),
    /// `a or b or c`.
    Or(Vec<Node>),
    /// `not a`.
    Not(Box<Node>),
    /// The name of a macro.
    Macro(Spanned<String>),
    /// `field exists`.
    Exists(Operand),
    /// `left op right`.
    Compare(Box<Compare>),
}

/// A comparison as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Compare {
    /// Left of the operator.
    pub left: Operand,
    /// The operator.
    pub op: Spanned<Op>,
    /// `oneof`, `anyof`, `allof`.
    pub quantifier: Option<Quantifier>,
    /// Right of the operator.
    pub right: Right,
}

/// A literal as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// Its value, escapes resolved.
    pub text: Text,
    /// It stood in quotes: never the name of a list.
    pub quoted: bool,
}

/// Right of an operator.
#[derive(Clone, Debug, PartialEq)]
pub enum Right {
    /// A literal.
    Value(Spanned<Literal>),
    /// Literals and names of lists in parentheses.
    List(Vec<Spanned<Literal>>),
    /// The name of a list, without parentheses.
    Named(Spanned<String>),
    /// `val(field)` (as the field), or a transformer.
    Operand(Operand),
}

/// Left of an operator, or an argument of a transformer.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// The text of a field reference.
    Field(Spanned<String>),
    /// A transformer.
    Call {
        /// Which.
        function: Function,
        /// Its arguments.
        args: Vec<Operand>,
        /// `getopt(...)[x]`.
        selector: Option<String>,
        /// From its name to its last bracket.
        span: Span,
    },
    /// A literal argument.
    Text(Spanned<Literal>),
    /// Arguments in parentheses.
    List(Vec<Operand>, Span),
}

impl Operand {
    /// Where it stands.
    #[must_use]
    pub const fn span(&self) -> Span {
        match self {
            Self::Field(field) => field.span,
            Self::Text(literal) => literal.span,
            Self::Call { span, .. } | Self::List(_, span) => *span,
        }
    }
}
