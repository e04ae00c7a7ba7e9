//! Fields and transformers.
use super::{
    ast::{Literal, Operand, Spanned},
    cursor::Result,
    expr::Function,
    parser::Parser,
    suggest,
    text::Text,
};

/// Deepest nesting of transformers.
pub(super) const MAX_CALLS: usize = 16;

impl Parser<'_> {
    /// A field whose name has been read.
    pub(super) fn field(&mut self, name: &Spanned<&str>) -> Result<Operand> {
        let start = name.span.start as usize;
        self.cursor.brackets()?;
        let span = self.cursor.span(start);
        Ok(Operand::Field(Spanned::new(self.cursor.text()[start..self.cursor.at()].to_owned(), span)))
    }

    /// A transformer whose name has been read; `(` is next.
    pub(super) fn call(&mut self, name: &Spanned<&str>, depth: usize) -> Result<Operand> {
        let Ok(function) = name.value.parse::<Function>() else {
            let mut error = self.cursor.error(name.span, format!("unknown transformer `{}`", name.value));
            error.suggestion = Some(match (name.value, suggest::closest(name.value, function_names())) {
                ("val", _) => "val(field) stands on the right of an operator only, and does not nest".to_owned(),
                (_, Some(close)) => format!("did you mean {close}?"),
                _ => format!("transformers are {}", function_names().collect::<Vec<_>>().join(", ")),
            });
            return Err(error);
        };
        if depth == 0 {
            return Err(self.cursor.error(name.span, format!("transformers nested deeper than {MAX_CALLS}")));
        }
        let args = self.arguments(depth)?;
        let selector = match function {
            Function::Getopt => self.cursor.brackets()?.map(str::to_owned),
            _ => None,
        };
        let span = self.cursor.span(name.span.start as usize);
        if let Err(message) = check_arguments(function, &args) {
            return Err(self.cursor.error(span, message));
        }
        Ok(Operand::Call { function, args, selector, span })
    }

    /// `( a, b )`; the parenthesis is next.
    pub(super) fn arguments(&mut self, depth: usize) -> Result<Vec<Operand>> {
        let open = self.cursor.here();
        self.cursor.eat(b'(');
        let mut args = Vec::new();
        loop {
            self.cursor.skip_space();
            args.push(self.argument(depth)?);
            self.cursor.skip_space();
            if self.cursor.eat(b')') {
                return Ok(args);
            }
            if !self.cursor.eat(b',') {
                let message = match self.cursor.peek() {
                    None => return Err(self.cursor.hint(open, "this `(` is never closed", "add `)`")),
                    Some(_) => format!("expected `,` or `)`, found {}", self.cursor.found()),
                };
                return Err(self.cursor.error(self.cursor.here(), message));
            }
        }
    }

    fn argument(&mut self, depth: usize) -> Result<Operand> {
        let start = self.cursor.at();
        match self.cursor.peek() {
            Some(b'"' | b'\'') => return Ok(Operand::Text(self.cursor.quoted()?)),
            Some(b'(') if depth > 1 => {
                let args = self.arguments(depth - 1)?;
                return Ok(Operand::List(args, self.cursor.span(start)));
            }
            _ => {}
        }
        let name = self.cursor.name();
        if self.cursor.peek() == Some(b'(') {
            return self.call(&name, depth.saturating_sub(1));
        }
        if name.value.contains('.') && name.value.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return self.field(&name);
        }
        self.cursor.reset(start);
        let bare = self.cursor.bare();
        if bare.value.is_empty() {
            let message = format!("expected a field or a quoted string, found {}", self.cursor.found());
            return Err(self.cursor.error(self.cursor.here(), message));
        }
        Ok(Operand::Text(Spanned::new(Literal { text: Text::from(bare.value), quoted: false }, bare.span)))
    }
}

fn function_names() -> impl Iterator<Item = &'static str> {
    Function::ALL.iter().map(|f| f.as_str())
}

/// How many arguments, and of which form.
fn check_arguments(function: Function, args: &[Operand]) -> std::result::Result<(), String> {
    let value = |a: &Operand| matches!(a, Operand::Field(_) | Operand::Call { .. });
    let fits = match function {
        Function::ToLower | Function::ToUpper | Function::B64 | Function::Basename | Function::Len => {
            matches!(args, [a] if value(a))
        }
        Function::Join => matches!(args, [a, Operand::Text(_)] if value(a) || matches!(a, Operand::List(..))),
        Function::Concat => !args.iter().any(|a| matches!(a, Operand::List(..))) && args.iter().any(value),
        Function::Getopt => matches!(args, [a, Operand::Text(_)] if value(a)),
    };
    let usage = match function {
        Function::Join => "join(field, \"separator\") or join((field, field), \"separator\")",
        Function::Concat => "concat(field, \"text\", field, ...)",
        Function::Getopt => "getopt(proc.args, \"ab:\")",
        _ => "one field: tolower(proc.name)",
    };
    if fits { Ok(()) } else { Err(format!("{function}() takes {usage}")) }
}
