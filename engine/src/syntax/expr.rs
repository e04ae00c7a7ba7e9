//! The resolved condition: no macro, no list name, all fields known and types checked.
//!
//! Invariants (kept by `compile`, checked again by `Deserialize` and by `plan`): at most [`MAX_DEPTH`] levels and
//! [`MAX_NODES`] nodes, `And` and `Or` have at least two children. All walks may therefore recurse.
use super::text::Text;
use crate::field::FieldRef;
use serde::{Deserialize, Serialize};
use std::{str::FromStr, sync::Arc};

/// Deepest nesting, both as written and after macros are resolved (Falco's bound).
pub const MAX_DEPTH: usize = 1000;
/// Most nodes of a resolved condition; macros of macros could else grow without bound.
pub const MAX_NODES: usize = 100_000;

/// A resolved condition. Serialised flat (see `wire`), so that readers need no deep recursion.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// All hold.
    And(Vec<Expr>),
    /// Any holds.
    Or(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// The field has a value.
    Exists(Operand),
    /// A comparison.
    Compare(Box<Comparison>),
}

/// `left op [quantifier] right`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Comparison {
    /// What is compared.
    pub left: Operand,
    /// How.
    pub op: Op,
    /// `oneof`, `anyof`, `allof`: the operator applied to each item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantifier: Option<Quantifier>,
    /// With what.
    pub right: Right,
}

/// A field, or a function of fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operand {
    /// A field.
    Field(FieldRef),
    /// A transformer.
    Call {
        /// Which.
        function: Function,
        /// Its arguments, as many as it takes.
        args: Vec<Operand>,
        /// `getopt(...)[x]`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        selector: Option<String>,
    },
    /// A literal argument of a transformer.
    Text(Text),
    /// Several arguments in parentheses: `join(":", (proc.name, proc.pname))`.
    List(Vec<Operand>),
}

/// The right-hand side.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// One literal.
    Value(Text),
    /// Literals.
    List(Arc<[Text]>),
    /// Another field's value (`val(field)`), or a transformer's.
    Operand(Operand),
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $( $(#[$doc:meta])* $variant:ident $word:literal, )* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $( $(#[$doc])* #[serde(rename = $word)] $variant, )* }
        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The word (or sign) in conditions.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $word),* } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
        impl FromStr for $name {
            type Err = ();
            fn from_str(s: &str) -> Result<Self, ()> { Self::ALL.iter().find(|x| x.as_str() == s).copied().ok_or(()) }
        }
    };
}

words! {
    /// Operators between a field and a value. `==` is written `=`.
    Op {
        /// Equal.
        Eq "=",
        /// Not equal.
        Ne "!=",
        /// Less.
        Lt "<",
        /// Less or equal.
        Le "<=",
        /// Greater.
        Gt ">",
        /// Greater or equal.
        Ge ">=",
        /// Has the text in it.
        Contains "contains",
        /// The same in any ASCII case.
        Icontains "icontains",
        /// Has these bytes (hex) in it.
        Bcontains "bcontains",
        /// Begins with the text.
        Startswith "startswith",
        /// Begins with these bytes (hex).
        Bstartswith "bstartswith",
        /// Ends with the text.
        Endswith "endswith",
        /// Shell pattern over the whole value; `*` crosses `/`.
        Glob "glob",
        /// The same in any ASCII case.
        Iglob "iglob",
        /// Regular expression over the whole value.
        Regex "regex",
        /// Is one of.
        In "in",
        /// Has one in common with.
        Intersects "intersects",
        /// A path below (or at) one of these, by whole components, with shell patterns.
        Pmatch "pmatch",
    }
}

words! {
    /// What a string operator does with a list.
    Quantifier {
        /// Exactly one item fits.
        OneOf "oneof",
        /// At least one item fits.
        AnyOf "anyof",
        /// All items fit.
        AllOf "allof",
    }
}

words! {
    /// Transformers.
    Function {
        /// ASCII lower case.
        ToLower "tolower",
        /// ASCII upper case.
        ToUpper "toupper",
        /// Decodes base64, with or without padding; what is none is missing.
        B64 "b64",
        /// What follows the last `/`.
        Basename "basename",
        /// Number of bytes, or of values in a list.
        Len "len",
        /// `join(separator, list)`: the values of a list, or of several arguments in parentheses, as one text.
        Join "join",
        /// `concat(a, b, ...)`: fields and literals as one text.
        Concat "concat",
        /// `getopt(arguments, "ab:")`: the options given and their values; with `[b]` after it, that option's value.
        Getopt "getopt",
    }
}

impl Op {
    /// Takes a list on the right.
    #[must_use]
    pub const fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::Intersects | Self::Pmatch)
    }

    /// Orders numbers.
    #[must_use]
    pub const fn is_order(self) -> bool {
        matches!(self, Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }

    /// Works on text, so may be quantified (as may `=` and `!=`).
    #[must_use]
    pub const fn is_text(self) -> bool {
        !self.takes_list() && !self.is_order() && !matches!(self, Self::Eq | Self::Ne)
    }
}

impl Expr {
    /// All of these hold; flattens nested conjunctions. `None` when there are none.
    #[must_use]
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() < 2 { flat.pop() } else { Some(Self::And(flat)) }
    }

    /// Any of these holds; flattens nested disjunctions. `None` when there are none.
    #[must_use]
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() < 2 { flat.pop() } else { Some(Self::Or(flat)) }
    }

    /// The negation. Two in a row are kept as written; a third cancels one of them out.
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::Not(inner) if matches!(*inner, Self::Not(_)) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// `field op value`.
    #[must_use]
    pub fn compare(field: FieldRef, op: Op, value: impl Into<Text>) -> Self {
        let right = Right::Value(value.into());
        Self::Compare(Box::new(Comparison { left: Operand::Field(field), op, quantifier: None, right }))
    }

    /// `field op (values)`.
    #[must_use]
    pub fn compare_list(field: FieldRef, op: Op, quantifier: Option<Quantifier>, values: Vec<Text>) -> Self {
        let right = Right::List(values.into());
        Self::Compare(Box::new(Comparison { left: Operand::Field(field), op, quantifier, right }))
    }

    /// Visits every node, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|p| p.walk(visit)),
            Self::Not(inner) => inner.walk(visit),
            Self::Exists(_) | Self::Compare(_) => {}
        }
    }

    /// Visits every field that the condition reads.
    pub fn fields<'a>(&'a self, visit: &mut dyn FnMut(&'a FieldRef)) {
        self.walk(&mut |node| match node {
            Self::Exists(operand) => operand.fields(visit),
            Self::Compare(c) => {
                c.left.fields(visit);
                if let Right::Operand(operand) = &c.right {
                    operand.fields(visit);
                }
            }
            _ => {}
        });
    }
}

impl Operand {
    /// Visits every field in it.
    pub fn fields<'a>(&'a self, visit: &mut dyn FnMut(&'a FieldRef)) {
        match self {
            Self::Field(field) => visit(field),
            Self::Text(_) => {}
            Self::Call { args, .. } | Self::List(args) => args.iter().for_each(|a| a.fields(visit)),
        }
    }
}
