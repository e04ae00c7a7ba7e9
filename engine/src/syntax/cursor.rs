//! A place in the text, and the words that begin there. What a word may hold depends on where it stands (a value may be
//! `<`, a field has brackets), so the parser asks for what it expects; there are no tokens made in advance.
use super::{
    ast::{Literal, Spanned},
    text::{Text, from_hex, is_bare},
};
use crate::diagnostic::{Diagnostic, Severity, Span};

/// Falco's code for a condition that does not compile.
pub const CONDITION_CODE: &str = "LOAD_ERR_COMPILE_CONDITION";

pub type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// See the module. Positions always lie on character borders: it only steps over whole ASCII characters, or over runs
/// that end before one.
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub const fn text(&self) -> &'a str {
        self.text
    }

    pub const fn at(&self) -> usize {
        self.at
    }

    pub const fn reset(&mut self, at: usize) {
        self.at = at;
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    pub fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    fn peek_at(&self, offset: usize) -> Option<u8> {
        self.bytes().get(self.at + offset).copied()
    }

    pub fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// Steps over one ASCII byte if it is next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Steps over a sign (`<=`) if it is next.
    pub fn eat_sign(&mut self, sign: &str) -> bool {
        let found = self.bytes()[self.at..].starts_with(sign.as_bytes());
        self.at += if found { sign.len() } else { 0 };
        found
    }

    /// Steps over `and`, `or` or `not` if it is next and ends there: white space or a parenthesis follows.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let ends = matches!(self.peek_at(word.len()), Some(b) if is_space(b) || b == b'(');
        let found = ends && self.bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// Steps over `not` if it is next and ends there. Unlike after the others, any ASCII white space may follow (vertical
    /// tab and form feed, too).
    pub fn eat_not(&mut self) -> bool {
        let found = self.eat_word("not");
        if !found && self.bytes()[self.at..].starts_with(b"not") && matches!(self.peek_at(3), Some(0x0b | 0x0c)) {
            self.at += 3;
            self.run(|b| matches!(b, b' ' | b'\t'..=b'\r'));
            return true;
        }
        found
    }

    fn run(&mut self, fits: impl Fn(u8) -> bool) -> Spanned<&'a str> {
        let start = self.at;
        while self.peek().is_some_and(&fits) {
            self.at += 1;
        }
        Spanned::new(&self.text[start..self.at], self.span(start))
    }

    /// A run of letters, digits and `_`.
    pub fn word(&mut self) -> Spanned<&'a str> {
        self.run(|b| b.is_ascii_alphanumeric() || b == b'_')
    }

    /// A macro, a list or a transformer: a letter, then letters, digits and `_`.
    pub fn identifier(&mut self) -> Option<Spanned<&'a str>> {
        self.peek().filter(u8::is_ascii_alphabetic).map(|_| self.word())
    }

    /// A field without its argument: identifiers with dots between them, at least one dot.
    pub fn field_name(&mut self) -> Option<Spanned<&'a str>> {
        let start = self.at;
        self.identifier()?;
        let first = self.at;
        while self.peek() == Some(b'.') && self.peek_at(1).is_some_and(|b| b.is_ascii_alphabetic()) {
            self.at += 1;
            self.word();
        }
        if self.at == first {
            self.at = start;
            return None;
        }
        Some(Spanned::new(&self.text[start..self.at], self.span(start)))
    }

    /// A number: hexadecimal, or decimal with a sign, a fraction and a signed exponent where it has them.
    pub fn number(&mut self) -> Option<Spanned<&'a str>> {
        let start = self.at;
        if self.eat_sign("0x") || self.eat_sign("0X") {
            if !self.run(|b| b.is_ascii_hexdigit()).value.is_empty() {
                return Some(Spanned::new(&self.text[start..self.at], self.span(start)));
            }
            self.at = start;
            return None;
        }
        let _ = self.eat(b'+') || self.eat(b'-');
        if self.run(|b| b.is_ascii_digit()).value.is_empty() {
            self.at = start;
            return None;
        }
        self.eat(b'.');
        self.run(|b| b.is_ascii_digit());
        let signed =
            matches!(self.peek_at(1), Some(b'+' | b'-')) && self.peek_at(2).is_some_and(|b| b.is_ascii_digit());
        if matches!(self.peek(), Some(b'e' | b'E')) && signed {
            self.at += 2;
            self.run(|b| b.is_ascii_digit());
        }
        Some(Spanned::new(&self.text[start..self.at], self.span(start)))
    }

    /// A run of what bare strings are made of; may be empty. Takes in all that is not ASCII.
    pub fn bare(&mut self) -> Spanned<&'a str> {
        self.run(is_bare)
    }

    /// The argument of a field, `[...]`, if one follows. Returns what is inside, quotes removed.
    pub fn brackets(&mut self) -> Result<Option<Text>> {
        let start = self.at;
        if !self.eat(b'[') {
            return Ok(None);
        }
        let inner = match self.peek() {
            Some(b'"' | b'\'') => self.quoted()?.value.text,
            Some(b']') => {
                let hint = "write field[argument]; a field without one needs no brackets";
                return Err(self.hint(self.here(), "the argument of the field is empty", hint));
            }
            _ => Text::from(self.run(is_bare_argument).value),
        };
        if !self.eat(b']') {
            let hint = "write field[argument], or field[\"argument\"] where it has spaces or brackets";
            return Err(self.hint(self.span(start), "the argument of the field has no closing bracket", hint));
        }
        Ok(Some(inner))
    }

    /// A string in quotes, which are next.
    pub fn quoted(&mut self) -> Result<Spanned<Literal>> {
        let start = self.at;
        let quote = self.peek().unwrap_or(b'"');
        self.at += 1;
        let mut value = Vec::new();
        loop {
            value.extend_from_slice(self.run(|b| b != quote && b != b'\\').value.as_bytes());
            match self.peek() {
                None => {
                    let open = Span { start: to_u32(start), end: to_u32(start + 1) };
                    let hint = format!("add {} at its end; a quote inside is written \\{0}", char::from(quote));
                    return Err(self.hint(open, "the string that begins here has no closing quote", hint));
                }
                Some(b'\\') => {
                    self.escape(quote, &mut value)?;
                }
                Some(_) => {
                    self.at += 1;
                    if self.goes_on() {
                        value.push(quote);
                        continue;
                    }
                    return Ok(Spanned::new(Literal { text: Text::from(value), quoted: true }, self.span(start)));
                }
            }
        }
    }

    /// Whether a quote that was just read may not have been the last. After an escaped backslash Falco reads on; we do
    /// where nothing that ends a string follows, so that what Falco takes is taken.
    fn goes_on(&self) -> bool {
        let escaped = self.bytes()[..self.at - 1].ends_with(b"\\");
        let ends = self.peek().is_none_or(|b| is_space(b) || matches!(b, b')' | b',' | b']'));
        escaped && !ends
    }

    /// An escape; the backslash is next.
    fn escape(&mut self, quote: u8, value: &mut Vec<u8>) -> Result<()> {
        let start = self.at;
        self.at += 1;
        let byte = match self.peek() {
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'\\') => b'\\',
            Some(b'/') => b'/',
            Some(q) if q == quote => quote,
            Some(b'x') => {
                let digits = self.bytes().get(self.at + 1..self.at + 3).and_then(from_hex);
                let Some([byte]) = digits.as_deref() else {
                    return Err(self.error(self.span(start), "\\x wants two hex digits"));
                };
                self.at += 2;
                *byte
            }
            // What Falco makes of it, for the sake of rules that have it.
            Some(b' ') => b'\\',
            // The string has no end: told by who reads it.
            None => return Ok(()),
            Some(_) => {
                let length = self.here().end as usize - self.at;
                self.at += length;
                let message = format!("`{}` is no escape", &self.text[start..self.at]);
                let hint = match &self.text[start + 1..self.at] {
                    "'" | "\"" => "this kind of quote needs no backslash here".to_owned(),
                    other => format!("write \\\\{other} for a backslash, or leave the quotes out"),
                };
                return Err(self.hint(self.span(start), message, hint));
            }
        };
        self.at += 1;
        value.push(byte);
        Ok(())
    }

    /// From `start` to here.
    pub fn span(&self, start: usize) -> Span {
        Span { start: to_u32(start), end: to_u32(self.at) }
    }

    /// The next character, or the end.
    pub fn here(&self) -> Span {
        let length = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        Span { start: to_u32(self.at), end: to_u32(self.at + length) }
    }

    /// What stands here, for messages.
    pub fn found(&self) -> String {
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
        match rest[..length].char_indices().nth(24) {
            _ if rest.is_empty() => "the end".to_owned(),
            Some((cut, _)) => format!("`{}...`", &rest[..cut]),
            None if length == 0 => "white space".to_owned(),
            None => format!("`{}`", &rest[..length]),
        }
    }

    pub fn error(&self, span: Span, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic {
            severity: Severity::Error,
            code: CONDITION_CODE.to_owned(),
            part: "condition".to_owned(),
            message: message.into(),
            suggestion: None,
            text: self.text.to_owned(),
            span,
        })
    }

    pub fn hint(&self, span: Span, message: impl Into<String>, hint: impl Into<String>) -> Box<Diagnostic> {
        let mut diagnostic = self.error(span, message);
        diagnostic.suggestion = Some(hint.into());
        diagnostic
    }
}

/// What stands between words; the same as Falco's (no vertical tab or form feed, but backspace).
pub const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x08)
}

/// Bytes of an argument in brackets that is not quoted.
pub const fn is_bare_argument(byte: u8) -> bool {
    !matches!(byte, b'[' | b']' | b'"' | b'\'' | b' ' | b'\t'..=b'\r')
}

/// What a string in quotes says, when the text is one and nothing else.
pub fn unquote(text: &str) -> Option<Text> {
    let mut cursor = Cursor::new(text);
    let literal = cursor.peek().filter(|b| matches!(b, b'"' | b'\'')).and_then(|_| cursor.quoted().ok())?;
    (cursor.at() == text.len()).then_some(literal.value.text)
}

/// Texts are bounded (`parser::MAX_TEXT`) far below 4 GiB.
fn to_u32(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
