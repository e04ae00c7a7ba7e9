//! The grammar of conditions.
//!
//! ```text
//! condition  = conjunct { "or" conjunct }          conjunct = { "not" } primary { "and" { "not" } primary }
//! primary    = "(" condition ")" | macro | operand "exists" | operand op right
//! operand    = field [ "[" argument "]" ] | transformer "(" argument { "," argument } ")"
//! argument   = operand | quoted string | number | "(" [ argument { "," argument } ] ")"      (lists do not nest)
//! right      = literal | number | "(" [ item { "," item } ] ")" | list name | "val(" field ")" | transformer ...
//! ```
//! What is taken and refused is what Falco's parser takes and refuses; the tables in `tests/conformance` say it case by
//! case, docs/language.md where we differ.
//!
//! This file: connectives, parentheses, what an operand may be. `operand`: fields and transformers. `comparison`: operators
//! and right-hand sides.
//!
//! Nesting lives in `frames`, on the heap, and is bounded by [`MAX_DEPTH`]; only transformers recurse, at most
//! [`MAX_CALLS`] deep.
use super::{
    ast::{Ast, Node, Operand, Spanned},
    cursor::{Cursor, Result},
    expr::{MAX_DEPTH, Op},
    operand::MAX_CALLS,
    suggest,
};
use crate::diagnostic::{Diagnostic, Span};

/// Longest condition in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// Parses a condition.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse_condition(text: &str) -> Result<Ast> {
    let mut parser = Parser::new(text);
    if text.len() > MAX_TEXT {
        let message = format!("a condition of {} bytes is longer than {MAX_TEXT}", text.len());
        return Err(parser.cursor.error(Span::default(), message));
    }
    let root = parser.condition()?;
    Ok(Ast { text: text.to_owned(), root })
}

/// Parses a field with its argument, or a transformer, that begins at a byte of a text. Returns where it ends, too.
///
/// # Errors
/// It is malformed.
pub fn parse_operand_at(text: &str, start: usize) -> Result<(Operand, usize)> {
    let mut parser = Parser::new(text);
    parser.cursor.reset(start);
    let operand = match parser.cursor.field_name() {
        Some(name) => parser.field(&name)?,
        None => match parser.cursor.identifier().filter(|_| parser.cursor.peek() == Some(b'(')) {
            Some(name) => parser.call(&name, MAX_CALLS)?,
            None => return Err(parser.cursor.error(parser.cursor.span(start), "expected a field or a transformer")),
        },
    };
    Ok((operand, parser.cursor.at()))
}

/// What stands between one `(` and its `)`.
struct Frame {
    /// The `(`.
    open: Span,
    /// Finished operands of `or`.
    ors: Vec<Node>,
    /// Finished operands of the `and` that is being read.
    ands: Vec<Node>,
    /// `not`s before the operand that is being read.
    nots: usize,
}

impl Frame {
    const fn new(open: Span) -> Self {
        Self { open, ors: Vec::new(), ands: Vec::new(), nots: 0 }
    }

    fn push(&mut self, operand: Node) {
        let node = (0..std::mem::take(&mut self.nots)).fold(operand, |node, _| Node::Not(Box::new(node)));
        self.ands.push(node);
    }

    fn end_and(&mut self) {
        let mut ands = std::mem::take(&mut self.ands);
        match ands.len() {
            1 => self.ors.extend(ands.pop()),
            _ => self.ors.push(Node::And(ands)),
        }
    }

    fn finish(mut self) -> Node {
        self.end_and();
        match self.ors.pop() {
            Some(only) if self.ors.is_empty() => only,
            last => {
                self.ors.extend(last);
                Node::Or(self.ors)
            }
        }
    }
}

pub(super) struct Parser<'a> {
    pub(super) cursor: Cursor<'a>,
    /// The `and`, `or`, `not` or `(` that was read last, if an operand must follow it.
    before: Option<Span>,
}

impl<'a> Parser<'a> {
    const fn new(text: &'a str) -> Self {
        Self { cursor: Cursor::new(text), before: None }
    }
}

impl Parser<'_> {
    fn condition(&mut self) -> Result<Node> {
        let mut frame = Frame::new(Span::default());
        let mut outer: Vec<Frame> = Vec::new();
        let mut depth = 0_usize;
        loop {
            // An operand is expected.
            self.cursor.skip_space();
            let start = self.cursor.at();
            if self.cursor.eat_not() {
                self.before = Some(Span { end: to_end(start, 3), ..self.cursor.span(start) });
                // Two are kept as written; of more, pairs cancel out and are no levels.
                (frame.nots, depth) = if frame.nots == 2 { (1, depth - 1) } else { (frame.nots + 1, depth + 1) };
                self.check_depth(depth, start)?;
                continue;
            }
            if self.cursor.eat(b'(') {
                depth += 1;
                self.check_depth(depth, start)?;
                self.before = Some(self.cursor.span(start));
                outer.push(std::mem::replace(&mut frame, Frame::new(self.cursor.span(start))));
                continue;
            }
            let mut operand = self.primary()?;
            // An operand is read: a connective, `)` or the end is expected.
            loop {
                depth -= frame.nots;
                frame.push(operand);
                self.cursor.skip_space();
                if self.cursor.eat(b')') {
                    let Some(parent) = outer.pop() else {
                        self.cursor.reset(self.cursor.at() - 1);
                        return Err(self.cursor.error(self.cursor.here(), "this `)` closes nothing"));
                    };
                    depth -= 1;
                    operand = std::mem::replace(&mut frame, parent).finish();
                    continue;
                }
                break;
            }
            let start = self.cursor.at();
            if self.cursor.eat_word("and") {
                self.before = Some(self.cursor.span(start));
                continue;
            }
            if self.cursor.eat_word("or") {
                self.before = Some(self.cursor.span(start));
                frame.end_and();
                continue;
            }
            if self.cursor.peek().is_some() {
                return Err(self.unexpected());
            }
            if !outer.is_empty() {
                return Err(self.cursor.hint(frame.open, "this `(` is never closed", "add `)`"));
            }
            return Ok(frame.finish());
        }
    }

    fn check_depth(&self, depth: usize, start: usize) -> Result<()> {
        // Parentheses and `not`s each make at most one level; a level is kept for the comparison itself.
        if depth < MAX_DEPTH {
            return Ok(());
        }
        Err(self.cursor.hint(
            self.cursor.span(start),
            format!("the condition is nested deeper than {MAX_DEPTH} levels"),
            "split it into macros, or remove needless parentheses",
        ))
    }

    /// Something other than a connective after an operand.
    fn unexpected(&mut self) -> Box<Diagnostic> {
        let (span, found) = (self.cursor.here(), self.cursor.found());
        let word = found.trim_matches('`');
        let start = self.cursor.at();
        let next = self.cursor.word();
        if matches!(next.value, "and" | "or" | "not") && self.cursor.peek().is_none_or(|b| b == b')') {
            return self.nothing_follows(next.span);
        }
        self.cursor.reset(start);
        let lower = word.to_ascii_lowercase();
        let hint = match self.cursor.peek() {
            _ if ["and", "or", "not"].contains(&&*lower) && lower != word => "write it in lower case",
            _ if ["and", "or"].iter().any(|w| lower.len() > w.len() && lower.starts_with(w)) => {
                "after `and` and `or` comes white space or `(`"
            }
            _ if word == "not" => "write `and not` or `or not`",
            Some(b'&') => "write `and`",
            Some(b'|') => "write `or`",
            Some(b',') => "values in a list stand in parentheses: field in (a, b)",
            _ => "values with spaces or special characters need quotes",
        };
        self.cursor.hint(span, format!("expected `and`, `or`, `)` or the end, found {found}"), hint)
    }

    /// An `and`, `or`, `not` or `(` at the end, or before a `)`.
    fn nothing_follows(&self, word: Span) -> Box<Diagnostic> {
        let text = self.cursor.text().get(word.start as usize..word.end as usize).unwrap_or_default();
        let hint = match text {
            "(" => "write a condition and `)`, or remove it".to_owned(),
            "not" => "write what must not hold, such as `not proc.name = bash`, or remove it".to_owned(),
            _ => format!("write a condition behind it, such as `{text} proc.name = bash`, or remove it"),
        };
        self.cursor.hint(word, format!("nothing follows `{text}`"), hint)
    }

    fn primary(&mut self) -> Result<Node> {
        let start = self.cursor.at();
        if let Some(name) = self.cursor.field_name() {
            let operand = self.field(&name)?;
            return self.comparison(operand);
        }
        let Some(name) = self.cursor.identifier() else { return Err(self.no_operand()) };
        if self.cursor.peek() == Some(b'(') {
            let operand = self.call(&name, MAX_CALLS)?;
            return self.comparison(operand);
        }
        if self.cursor.peek() == Some(b'.') {
            let message = format!("`{}.` is no field: a letter follows each dot in its name", name.value);
            return Err(self.cursor.error(self.cursor.here(), message));
        }
        if name.value == "not" && self.cursor.peek().is_none_or(|b| b == b')') {
            return Err(self.nothing_follows(name.span));
        }
        if matches!(name.value, "and" | "or" | "not") {
            self.cursor.reset(start);
            return Err(self.no_operand());
        }
        let after = self.cursor.at();
        self.cursor.skip_space();
        if self.operator_follows() {
            let message = format!("`{}` is no field: fields have a dot in their names", name.value);
            let mut error = self.cursor.error(name.span, message);
            let names = crate::field::catalogue().iter().map(|d| d.name);
            error.suggestion = suggest::closest_by(name.value, names, |full| full.rsplit('.').next().unwrap_or(full));
            return Err(error);
        }
        self.cursor.reset(after);
        Ok(Node::Macro(Spanned::new(name.value.to_owned(), name.span)))
    }

    fn no_operand(&self) -> Box<Diagnostic> {
        let (span, found) = (self.cursor.here(), self.cursor.found());
        let message = format!("expected a field, a macro, `not` or `(`, found {found}");
        match self.cursor.peek() {
            Some(b'!') => self.cursor.hint(span, message, "write `not`"),
            None if self.cursor.text().trim().is_empty() => {
                self.cursor.hint(span, "the condition is empty", "write at least one comparison: proc.name = bash")
            }
            None | Some(b')') if self.before.is_some() => self.nothing_follows(self.before.unwrap_or_default()),
            _ if matches!(found.trim_matches('`'), "and" | "or") => {
                self.cursor.hint(span, message, "a condition stands on either side of `and` and `or`")
            }
            _ => self.cursor.error(span, message),
        }
    }

    /// Whether a sign or the word of an operator stands here.
    fn operator_follows(&mut self) -> bool {
        let start = self.cursor.at();
        let follows = match self.cursor.peek() {
            Some(b'=' | b'!' | b'<' | b'>') => true,
            _ => {
                let word = self.cursor.word().value;
                word == "exists" || word.parse::<Op>().is_ok()
            }
        };
        self.cursor.reset(start);
        follows
    }
}

/// The end of a word that begins at a byte.
fn to_end(start: usize, length: usize) -> u32 {
    u32::try_from(start + length).unwrap_or(u32::MAX)
}
