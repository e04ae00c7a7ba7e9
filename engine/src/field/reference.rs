//! A field with its argument: `proc.name`, `proc.aname[2]`, `evt.arg.flags`, `k8s.pod.label["a b"]`.
use super::{ArgRule, Field, catalogue};
use crate::syntax::{Text, is_bare_argument, suggest, unquote};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest argument in bytes.
const MAX_ARG: usize = 256;

/// The argument of a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arg {
    /// A number: fields with [`ArgRule::OptIndex`] and [`ArgRule::Ancestor`].
    Index(u32),
    /// A name: fields with [`ArgRule::Key`] and [`ArgRule::OptKey`].
    Key(String),
}

/// A field with its argument, as conditions and outputs name it. Serialised as its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldRef {
    /// Which.
    pub field: Field,
    /// Its argument; fits the field's [`ArgRule`] when made by [`FieldRef::parse`].
    pub arg: Option<Arg>,
}

/// Why a text names no field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// No such name.
    #[error("unknown field {name}")]
    Unknown {
        /// The name as written, without argument.
        name: String,
        /// A known name close to it.
        close: Option<String>,
    },
    /// The argument is missing.
    #[error("field {0} needs an argument in brackets")]
    NeedsArgument(&'static str),
    /// There is one too many.
    #[error("field {0} takes no argument")]
    TakesNone(&'static str),
    /// It should be a number.
    #[error("the argument of {name} is a number, not {arg:?}")]
    NotANumber {
        /// Name of the field.
        name: &'static str,
        /// The argument.
        arg: String,
    },
    /// Brackets or quotes do not close, or the argument is empty or longer than 256 bytes.
    #[error("malformed argument in {0}; write field[argument] or field[\"argument\"]")]
    Malformed(String),
}

impl FieldError {
    /// What to do about it.
    #[must_use]
    pub fn suggestion(&self) -> Option<String> {
        match self {
            Self::Unknown { close: Some(close), .. } => Some(format!("did you mean {close}?")),
            Self::Unknown { close: None, .. } => Some("docs/fields.md lists all fields".to_owned()),
            Self::NeedsArgument(name) => Some(format!("write {name}[...]")),
            Self::TakesNone(name) => Some(format!("write {name}")),
            Self::NotANumber { name, .. } => Some(format!("write {name}[1]")),
            Self::Malformed(_) => None,
        }
    }
}

impl FieldRef {
    /// A field without argument.
    #[must_use]
    pub const fn plain(field: Field) -> Self {
        Self { field, arg: None }
    }

    /// Parses the text of a reference.
    ///
    /// # Errors
    /// The name is unknown, or the argument does not fit the field.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let Some((name, rest)) = text.split_once('[') else {
            return Self::without_brackets(text);
        };
        let malformed = || FieldError::Malformed(text.to_owned());
        let inner = rest.strip_suffix(']').ok_or_else(malformed)?;
        let unquoted = unquote(inner);
        let arg = match &unquoted {
            Some(text) => text.as_str().ok_or_else(malformed)?,
            None if inner.bytes().all(is_bare_argument) => inner,
            None => return Err(malformed()),
        };
        if arg.is_empty() || arg.len() > MAX_ARG {
            return Err(malformed());
        }
        Self::with_arg(field_named(name)?, arg)
    }

    /// Builds a reference with an argument.
    ///
    /// # Errors
    /// The field takes none, or a number and this is not one.
    pub fn with_arg(field: Field, arg: &str) -> Result<Self, FieldError> {
        let def = field.def();
        let arg = match def.arg {
            ArgRule::No => return Err(FieldError::TakesNone(def.name)),
            ArgRule::Key | ArgRule::OptKey => Arg::Key(arg.to_owned()),
            ArgRule::OptIndex | ArgRule::Ancestor => {
                Arg::Index(arg.parse().map_err(|_| FieldError::NotANumber { name: def.name, arg: arg.to_owned() })?)
            }
        };
        Ok(Self { field, arg: Some(arg) })
    }

    fn without_brackets(text: &str) -> Result<Self, FieldError> {
        if let Some(field) = Field::by_name(text) {
            return match field.def().arg {
                ArgRule::Key => Err(FieldError::NeedsArgument(field.def().name)),
                _ => Ok(Self::plain(field)),
            };
        }
        // `evt.arg.path` is `evt.arg[path]`.
        for field in [Field::EvtArg, Field::EvtRawarg, Field::EvtAbspath, Field::ThreadCgroup] {
            let arg = text.strip_prefix(field.def().name).and_then(|rest| rest.strip_prefix('.'));
            if let Some(arg) = arg.filter(|a| !a.is_empty() && a.len() <= MAX_ARG) {
                return Self::with_arg(field, arg);
            }
        }
        Err(unknown(text))
    }

    /// Whether it stands for several values, any of which may make a comparison true.
    #[must_use]
    pub fn many(&self) -> super::Many {
        if self.arg.is_some() { super::Many::One } else { self.field.def().many }
    }
}

fn field_named(name: &str) -> Result<Field, FieldError> {
    Field::by_name(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> FieldError {
    let close = suggest::closest(name, catalogue().iter().map(|d| d.name));
    FieldError::Unknown { name: name.to_owned(), close: close.map(str::to_owned) }
}

impl fmt::Display for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.field.def().name;
        match &self.arg {
            None => f.write_str(name),
            Some(Arg::Index(n)) => write!(f, "{name}[{n}]"),
            Some(Arg::Key(key)) if key.bytes().all(|b| is_bare_argument(b) && !b.is_ascii_control()) => {
                write!(f, "{name}[{key}]")
            }
            Some(Arg::Key(key)) => write!(f, "{name}[{}]", Text::from(key.as_str()).quoted()),
        }
    }
}

impl TryFrom<String> for FieldRef {
    type Error = FieldError;
    fn try_from(text: String) -> Result<Self, FieldError> {
        Self::parse(&text)
    }
}

impl From<FieldRef> for String {
    fn from(field: FieldRef) -> Self {
        field.to_string()
    }
}
