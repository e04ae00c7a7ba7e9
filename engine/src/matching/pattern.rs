//! Regular expressions, with the literals that every match must have: by them rules are picked before any expression runs.
use regex_syntax::hir::{
    Hir, HirKind,
    literal::{ExtractKind, Extractor, Literal},
};

/// Most alternatives that are kept.
const MAX_LITERALS: usize = 16;

/// An expression over the whole value.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: regex::bytes::Regex,
    begins: Vec<Box<[u8]>>,
    contains: Vec<Box<[u8]>>,
}

impl Pattern {
    /// `regex` is `text` between anchors.
    #[must_use]
    pub fn new(regex: regex::bytes::Regex, text: &str, unicode: bool) -> Self {
        let mut parser = regex_syntax::ParserBuilder::new().unicode(unicode).utf8(false).build();
        let (mut begins, mut contains) = (Vec::new(), Vec::new());
        if let Ok(hir) = parser.parse(text) {
            begins = prefixes(&hir);
            contains = required(&hir).unwrap_or_default();
        }
        Self { regex, begins, contains }
    }

    /// Whether the whole value fits.
    #[must_use]
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.regex.is_match(value)
    }

    /// Texts with one of which every match begins; none: it may begin with anything.
    #[must_use]
    pub fn begins(&self) -> &[Box<[u8]>] {
        &self.begins
    }

    /// Texts one of which every match contains; none: not known.
    #[must_use]
    pub fn contains(&self) -> &[Box<[u8]>] {
        &self.contains
    }
}

fn prefixes(hir: &Hir) -> Vec<Box<[u8]>> {
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_total(MAX_LITERALS);
    let found = extractor.extract(hir);
    let literals = found.literals().unwrap_or_default();
    if literals.iter().any(Literal::is_empty) {
        return Vec::new();
    }
    literals.iter().map(|literal| literal.as_bytes().into()).collect()
}

/// Texts one of which every match has: the alternatives whose shortest is longest. Recursion is bounded by the parser's own
/// nesting limit.
fn required(hir: &Hir) -> Option<Vec<Box<[u8]>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.clone()]),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required).max_by_key(|texts| shortest(texts)),
        HirKind::Alternation(parts) => {
            let all = parts.iter().map(required).collect::<Option<Vec<_>>>()?.concat();
            (all.len() <= MAX_LITERALS).then_some(all)
        }
        _ => None,
    }
}

fn shortest(texts: &[Box<[u8]>]) -> usize {
    texts.iter().map(|text| text.len()).min().unwrap_or_default()
}
