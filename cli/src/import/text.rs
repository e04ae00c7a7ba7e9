//! Objects as YAML text that people like to read: comments, folded conditions, short lists on one line.
//!
//! Values are written plain where YAML reads them back as the same text, else in double quotes.
use std::fmt::Write as _;

/// Longest line that is written on purpose.
const WIDTH: usize = 110;

/// YAML that grows line by line.
#[derive(Default)]
pub struct Yaml {
    out: String,
}

impl Yaml {
    pub fn finish(self) -> String {
        self.out
    }

    /// A line as it is.
    pub fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.out, "{:indent$}{text}", "");
    }

    /// Comments, each with its `#`.
    pub fn comments(&mut self, indent: usize, comments: &[String]) {
        for comment in comments {
            let clean: String = comment.chars().map(|c| if is_control(c) { ' ' } else { c }).collect();
            self.line(indent, format!("# {}", clean.trim_end()).trim_end());
        }
    }

    /// `key: value` with a short value.
    pub fn entry(&mut self, indent: usize, key: &str, value: &str) {
        self.line(indent, &format!("{key}: {}", scalar(value)));
    }

    /// `key:` with a text of any length.
    pub fn text(&mut self, indent: usize, key: &str, text: &str) {
        let short = text.chars().count() <= WIDTH;
        if short && is_sentence(text) {
            self.line(indent, &format!("{key}: {text}"));
        } else if !short && is_foldable(text) {
            self.line(indent, &format!("{key}: >-"));
            for line in wrap(text) {
                self.line(indent + 2, line);
            }
        } else if text.contains('\n') && is_literal(text) {
            self.line(indent, &format!("{key}: |-"));
            for line in text.split('\n') {
                let indent = if line.is_empty() { 0 } else { indent + 2 };
                self.line(indent, line);
            }
        } else {
            self.line(indent, &format!("{key}: {}", quoted(text)));
        }
    }

    /// `key:` with values, on one line where they are few.
    pub fn list(&mut self, indent: usize, key: &str, values: &[String]) {
        let scalars: Vec<String> = values.iter().map(|value| scalar(value)).collect();
        let one_line = format!("{key}: [{}]", scalars.join(", "));
        if one_line.chars().count() <= WIDTH {
            return self.line(indent, &one_line);
        }
        self.line(indent, &format!("{key}:"));
        for scalar in scalars {
            self.line(indent + 2, &format!("- {scalar}"));
        }
    }
}

/// A value in a list or behind a key.
pub fn scalar(text: &str) -> String {
    if is_word(text) { text.to_owned() } else { quoted(text) }
}

/// In double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_control(c) => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What YAML does not print, or takes as the end of a line.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Words that YAML, of this or an older version, takes as something else than text.
fn is_special(text: &str) -> bool {
    const WORDS: [&str; 10] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "~"];
    let number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-'));
    number || WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// A word that may stand without quotes, in a list too.
fn is_word(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '+' | ' ');
    !is_special(text)
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'))
        && !text.ends_with(' ')
        && text.chars().all(fits)
}

/// A text that may stand behind a key without quotes.
fn is_sentence(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '(' | '/' | '_'))
        && !is_special(text)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains(is_control)
}

/// One line that can be broken at its blanks and folded again.
fn is_foldable(text: &str) -> bool {
    !text.contains(is_control) && !text.starts_with(' ') && !text.ends_with(' ') && !text.is_empty()
}

/// Lines that can stand as they are.
fn is_literal(text: &str) -> bool {
    let fits = |line: &str| !line.contains(is_control) && !line.ends_with(' ');
    let first = text.split('\n').next().unwrap_or_default();
    text.split('\n').all(fits) && !first.starts_with(' ') && !first.is_empty() && !text.ends_with('\n')
}

/// Lines of at most the width where that is possible; breaks only at single blanks.
fn wrap(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let single =
        |at: usize| bytes[at] == b' ' && bytes[at - 1] != b' ' && bytes.get(at + 1).is_some_and(|b| *b != b' ');
    let (mut lines, mut start, mut last) = (Vec::new(), 0, None);
    for at in 1..bytes.len() {
        if !single(at) {
            continue;
        }
        if at - start > WIDTH
            && let Some(cut) = last.take()
        {
            lines.push(&text[start..cut]);
            start = cut + 1;
        }
        last = Some(at);
    }
    if text.len() - start > WIDTH
        && let Some(cut) = last
    {
        lines.push(&text[start..cut]);
        start = cut + 1;
    }
    lines.push(&text[start..]);
    lines
}
