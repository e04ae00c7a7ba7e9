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
pub(super) const MAX_CALLS: usize = 32;

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
        let args = self.arguments(depth, true)?;
        let bracket = self.cursor.at();
        let selector = match function {
            Function::Getopt => self.cursor.brackets()?,
            _ => None,
        };
        let selector = match selector.as_ref().map(Text::as_str) {
            Some(None) => return Err(self.cursor.error(self.cursor.span(bracket), "an option is one letter")),
            other => other.flatten().map(str::to_owned),
        };
        let span = self.cursor.span(name.span.start as usize);
        Ok(Operand::Call { function, args, selector, span })
    }

    /// `( a, b )`; the parenthesis is next. Those of a transformer may hold lists of arguments, which may be empty.
    fn arguments(&mut self, depth: usize, of_transformer: bool) -> Result<Vec<Operand>> {
        let open = self.cursor.here();
        self.cursor.eat(b'(');
        let mut args = Vec::new();
        self.cursor.skip_space();
        if !of_transformer && self.cursor.eat(b')') {
            return Ok(args);
        }
        loop {
            self.cursor.skip_space();
            args.push(self.argument(depth, of_transformer)?);
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

    fn argument(&mut self, depth: usize, lists: bool) -> Result<Operand> {
        let start = self.cursor.at();
        match self.cursor.peek() {
            Some(b'"' | b'\'') => return Ok(Operand::Text(self.cursor.quoted()?)),
            Some(b'(') if lists => {
                let args = self.arguments(depth.saturating_sub(1), false)?;
                return Ok(Operand::List(args, self.cursor.span(start)));
            }
            _ => {}
        }
        if let Some(number) = self.cursor.number() {
            let literal = Literal { text: Text::from(number.value), quoted: false };
            return Ok(Operand::Text(Spanned::new(literal, number.span)));
        }
        if let Some(name) = self.cursor.field_name() {
            return self.field(&name);
        }
        let name = self.cursor.identifier();
        if let Some(name) = name.as_ref().filter(|_| self.cursor.peek() == Some(b'(')) {
            return self.call(name, depth.saturating_sub(1));
        }
        self.cursor.reset(start);
        let message =
            format!("expected a field, a transformer, a quoted string or a number, found {}", self.cursor.found());
        let hint = "text needs quotes here; a field has a dot in its name";
        Err(self.cursor.hint(self.cursor.here(), message, hint))
    }
}

fn function_names() -> impl Iterator<Item = &'static str> {
    Function::ALL.iter().map(|f| f.as_str())
}
