//! From kind, operator and literals to a test; refuses what does not fit.
use super::{Affixes, End, Folded, Glob, Literals, PathSet, Pattern, Test};
use crate::{
    field::Kind,
    syntax::{Op, Quantifier, Text, from_hex},
};
use ipnet::IpNet;
use memchr::memmem;
use std::net::IpAddr;

/// Largest compiled regular expression, in bytes.
const MAX_REGEX: usize = 1 << 20;

/// A literal or operator that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TestError {
    /// Index of the literal; `None`: the operator itself does not fit the kind.
    pub item: Option<usize>,
    /// Why.
    pub message: String,
    /// What to do.
    pub suggestion: Option<String>,
}

type Result<T> = std::result::Result<T, TestError>;

fn literal_error(item: usize, message: impl Into<String>, suggestion: Option<&str>) -> TestError {
    TestError { item: Some(item), message: message.into(), suggestion: suggestion.map(str::to_owned) }
}

/// Orders of fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FractionOrder {
    /// Equal.
    Eq,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

impl FractionOrder {
    pub(super) fn holds(self, left: f64, right: f64) -> bool {
        match self {
            #[expect(clippy::float_cmp, reason = "the language says equal")]
            Self::Eq => left == right,
            Self::Lt => left < right,
            Self::Le => left <= right,
            Self::Gt => left > right,
            Self::Ge => left >= right,
        }
    }
}

impl Test {
    /// Prepares `FIELD op [quantifier] literals` for a field of a kind. Without quantifier and unless the operator
    /// takes a list, there is one literal.
    ///
    /// # Errors
    /// The operator does not fit the kind, or a literal does not.
    pub fn build(kind: Kind, op: Op, quantifier: Option<Quantifier>, literals: &[Text]) -> Result<Self> {
        check_operator(kind, op)?;
        match (op, quantifier) {
            (Op::In | Op::Intersects, _) | (Op::Eq, Some(Quantifier::AnyOf)) => one_of(kind, literals),
            (Op::Pmatch, _) => Ok(Self::Path(literals.iter().fold(PathSet::default(), |mut set, path| {
                set.insert(path.as_bytes());
                set
            }))),
            (_, None) => match literals {
                [literal] => single(kind, op, literal, 0),
                _ => Err(TestError { item: None, message: format!("`{op}` takes one value"), suggestion: None }),
            },
            // Nothing fits an empty list, also not all of it.
            (_, Some(_)) if literals.is_empty() => Ok(any_of(Vec::new())),
            (_, Some(quantifier)) => {
                let tests: Vec<Self> =
                    literals.iter().enumerate().map(|(n, l)| single(kind, op, l, n)).collect::<Result<_>>()?;
                Ok(match quantifier {
                    Quantifier::AnyOf => any_of(tests),
                    Quantifier::AllOf => Self::All(tests),
                    Quantifier::OneOf => Self::One(tests),
                })
            }
        }
    }
}

impl Test {
    /// Whether [`Test::build`] takes these; a long list is looked through and not made into a set.
    ///
    /// # Errors
    /// As `build`.
    pub fn check(kind: Kind, op: Op, quantifier: Option<Quantifier>, literals: &[Text]) -> Result<()> {
        let list = matches!(op, Op::In | Op::Intersects) || (op, quantifier) == (Op::Eq, Some(Quantifier::AnyOf));
        if !list {
            return Self::build(kind, op, quantifier, literals).map(drop);
        }
        check_operator(kind, op)?;
        let mut numbered = literals.iter().enumerate();
        match kind {
            Kind::Text | Kind::Bytes | Kind::Clock | Kind::Dyn => Ok(()),
            _ => numbered.try_for_each(|(n, literal)| single(kind, Op::Eq, literal, n).map(drop)),
        }
    }
}

/// Many literals of one operator become one test, where there is one that is faster than trying each.
fn any_of(tests: Vec<Test>) -> Test {
    const MANY: usize = 4;
    fn texts<'t>(tests: &'t [Test], of: impl Fn(&'t Test) -> Option<&'t [u8]>) -> Option<Vec<&'t [u8]>> {
        tests.iter().map(of).collect()
    }
    if tests.len() < MANY {
        return Test::Any(tests);
    }
    let affixes = |end, texts: Vec<&[u8]>| {
        Test::Affix(Affixes::new(end, texts.into_iter().map(|text| (text.into(), ())), |(), ()| ()))
    };
    if let Some(all) = texts(&tests, |t| if let Test::Prefix(p) = t { Some(p) } else { None }) {
        return affixes(End::Front, all);
    }
    if let Some(all) = texts(&tests, |t| if let Test::Suffix(p) = t { Some(p) } else { None }) {
        return affixes(End::Back, all);
    }
    let contained = texts(&tests, |t| if let Test::Contains(finder) = t { Some(finder.needle()) } else { None });
    // Fails only for more text than a rule can have; then each is tried.
    match contained.map(|texts| Literals::new(texts.into_iter().map(Box::from).collect())) {
        Some(Ok(literals)) => Test::ContainsAny(Box::new(literals)),
        _ => Test::Any(tests),
    }
}

/// Whether an operator fits a kind at all.
fn check_operator(kind: Kind, op: Op) -> Result<()> {
    let text = matches!(kind, Kind::Text | Kind::Bytes | Kind::Clock | Kind::Dyn);
    let fits = match op {
        Op::Eq | Op::Ne | Op::In | Op::Intersects => true,
        Op::Lt | Op::Le | Op::Gt | Op::Ge => kind.is_numeric() || kind == Kind::Dyn,
        _ => text,
    };
    if fits {
        return Ok(());
    }
    let suggestion = match kind {
        _ if text => "this field is text: `=`, `in (...)`, `contains`, `startswith`, `endswith`, `glob`, `regex` fit",
        Kind::Bool => "write `= true` or `= false`",
        Kind::Ip | Kind::Net => "write `= address` or `in (...)`",
        _ => "write `=`, `in (...)`, `<` or `>`",
    };
    let message = format!("operator `{op}` does not fit a field of kind {}", kind.as_str());
    Err(TestError { item: None, message, suggestion: Some(suggestion.to_owned()) })
}

/// `in`.
fn one_of(kind: Kind, literals: &[Text]) -> Result<Test> {
    let numbered = literals.iter().enumerate();
    Ok(match kind {
        Kind::Text | Kind::Bytes | Kind::Clock => Test::TextIn(literals.iter().map(|l| l.as_bytes().into()).collect()),
        Kind::Dyn => Test::TextIn(literals.iter().map(dyn_text).collect()),
        Kind::Int | Kind::Uint | Kind::Port | Kind::Duration | Kind::Time => {
            Test::NumberIn(numbered.map(|(n, l)| number(kind, l, n)).collect::<Result<_>>()?)
        }
        Kind::Ip => Test::AddressIn(numbered.map(|(n, l)| address(l, n)).collect::<Result<_>>()?),
        Kind::Net => Test::Net(numbered.map(|(n, l)| block(l, n)).collect::<Result<_>>()?),
        Kind::Bool | Kind::Float => {
            Test::Any(numbered.map(|(n, l)| single(kind, Op::Eq, l, n)).collect::<Result<_>>()?)
        }
    })
}

/// One literal.
fn single(kind: Kind, op: Op, literal: &Text, n: usize) -> Result<Test> {
    let bytes = || Box::<[u8]>::from(literal.as_bytes());
    let hex = || {
        from_hex(literal.as_bytes()).ok_or_else(|| {
            let message = format!("{literal} is no sequence of bytes in hex");
            literal_error(n, message, Some("write two hex digits a byte: 7f454c46"))
        })
    };
    Ok(match op {
        Op::Ne => Test::Not(Box::new(single(kind, Op::Eq, literal, n)?)),
        Op::Eq => match kind {
            Kind::Text | Kind::Bytes | Kind::Clock => Test::TextEq(bytes()),
            Kind::Dyn => Test::TextEq(dyn_text(literal)),
            Kind::Bool => Test::Truth(
                parse_truth(literal.as_bytes())
                    .ok_or_else(|| literal_error(n, format!("{literal} is no boolean"), Some("write true or false")))?,
            ),
            Kind::Ip | Kind::Net => one_of_single(kind, literal, n)?,
            Kind::Float => Test::Fraction(FractionOrder::Eq, parse_fraction(literal, n)?),
            _ => {
                let value = number(kind, literal, n)?;
                Test::Range(value, value)
            }
        },
        Op::Lt | Op::Le | Op::Gt | Op::Ge => order(kind, op, literal, n)?,
        Op::Contains => Test::Contains(Box::new(memmem::Finder::new(literal.as_bytes()).into_owned())),
        Op::Bcontains => Test::Contains(Box::new(memmem::Finder::new(&hex()?).into_owned())),
        Op::Icontains => Test::ContainsFolded(Folded::new(literal.as_bytes())),
        Op::Startswith => Test::Prefix(bytes()),
        Op::Bstartswith => Test::Prefix(hex()?.into()),
        Op::Endswith => Test::Suffix(bytes()),
        Op::Glob if Glob::is_literal(literal.as_bytes()) => Test::TextEq(bytes()),
        Op::Glob => Test::Glob(Glob::new(literal.as_bytes(), false)),
        Op::Iglob => Test::Glob(Glob::new(literal.as_bytes(), true)),
        Op::Regex => Test::Regex(regex(literal, n)?),
        Op::In | Op::Intersects => one_of_single(kind, literal, n)?,
        Op::Pmatch => {
            let mut set = PathSet::default();
            set.insert(literal.as_bytes());
            Test::Path(set)
        }
    })
}

fn one_of_single(kind: Kind, literal: &Text, n: usize) -> Result<Test> {
    one_of(kind, std::slice::from_ref(literal)).map_err(|e| TestError { item: Some(n), ..e })
}

fn order(kind: Kind, op: Op, literal: &Text, n: usize) -> Result<Test> {
    if kind == Kind::Float {
        let order = match op {
            Op::Lt => FractionOrder::Lt,
            Op::Le => FractionOrder::Le,
            Op::Gt => FractionOrder::Gt,
            _ => FractionOrder::Ge,
        };
        return Ok(Test::Fraction(order, parse_fraction(literal, n)?));
    }
    let limit = number(Kind::Int, literal, n)?;
    Ok(match op {
        Op::Lt => Test::Range(i128::MIN, limit - 1),
        Op::Le => Test::Range(i128::MIN, limit),
        Op::Gt => Test::Range(limit + 1, i128::MAX),
        _ => Test::Range(limit, i128::MAX),
    })
}

/// Decimal, or hexadecimal after `0x`; with a sign. Anything of 64 bits.
pub(super) fn parse_number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i128::from(u64::from_str_radix(hex, 16).ok()?),
        None if digits.bytes().all(|b| b.is_ascii_digit()) => i128::from(digits.parse::<u64>().ok()?),
        None => return None,
    };
    Some(if negative { -value } else { value })
}

fn number(kind: Kind, literal: &Text, n: usize) -> Result<i128> {
    let value = literal.as_str().and_then(parse_number).ok_or_else(|| {
        let fraction = literal.as_str().is_some_and(|s| s.contains(['.', 'e', 'E']) && s.parse::<f64>().is_ok());
        let what = if fraction { "whole number" } else { "number" };
        literal_error(n, format!("{literal} is no {what}"), Some("write a decimal number, or 0x and hex digits"))
    })?;
    if kind == Kind::Port && !(0..=65_535).contains(&value) {
        return Err(literal_error(n, format!("{literal} is no port"), Some("ports go from 0 to 65535")));
    }
    Ok(value)
}

fn parse_fraction(literal: &Text, n: usize) -> Result<f64> {
    let value = literal.as_str().and_then(|s| s.parse().ok()).filter(|f: &f64| f.is_finite());
    value.ok_or_else(|| literal_error(n, format!("{literal} is no number"), None))
}

pub(super) fn parse_truth(text: &[u8]) -> Option<bool> {
    match text {
        b"1" => Some(true),
        b"0" => Some(false),
        _ if text.eq_ignore_ascii_case(b"true") => Some(true),
        _ if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

/// Numbers in canonical form, so that `0x10` equals an event's 16.
fn dyn_text(literal: &Text) -> Box<[u8]> {
    match literal.as_str().and_then(parse_number) {
        Some(n) => n.to_string().into_bytes().into(),
        None => literal.as_bytes().into(),
    }
}

fn address(literal: &Text, n: usize) -> Result<IpAddr> {
    let text = literal.lossy();
    text.parse::<IpAddr>().map(|ip| ip.to_canonical()).map_err(|_| {
        if text.parse::<IpNet>().is_ok() {
            let message = format!("{literal} is a block, and this field is compared with single addresses");
            return literal_error(n, message, Some("use fd.net, fd.snet, fd.cnet, fd.lnet or fd.rnet for blocks"));
        }
        literal_error(n, format!("{literal} is no address"), Some("write an IPv4 or IPv6 address: 10.0.0.1"))
    })
}

fn block(literal: &Text, n: usize) -> Result<IpNet> {
    let text = literal.lossy();
    let parsed = text.parse::<IpNet>().or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error));
    parsed.map_err(|_| {
        literal_error(n, format!("{literal} is no address block"), Some("write a block in CIDR form: 10.0.0.0/8"))
    })
}

fn regex(literal: &Text, n: usize) -> Result<Box<Pattern>> {
    let Some(text) = literal.as_str() else {
        return Err(literal_error(n, "a regular expression must be UTF-8", Some("write bytes as \\\\xHH in it")));
    };
    let build = |unicode: bool| {
        regex::bytes::RegexBuilder::new(&format!(r"\A(?:{text})\z")).unicode(unicode).size_limit(MAX_REGEX).build()
    };
    // Alone first: `a)|(b` would else slip out of the anchors.
    let alone = regex::bytes::RegexBuilder::new(text).size_limit(MAX_REGEX).build();
    // RE2's classes (\w, \d) are ASCII; only expressions that name characters beyond need Unicode.
    let built = alone.and_then(|_| {
        build(false)
            .map(|regex| Pattern::new(regex, text, false))
            .or_else(|_| Ok(Pattern::new(build(true)?, text, true)))
    });
    built.map(Box::new).map_err(|error: regex::Error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        literal_error(n, format!("{literal} is no regular expression: {reason}"), Some("the syntax is RE2's"))
    })
}
