//! Operators and what stands right of them.
use super::{
    ast::{Compare, Literal, Node, Operand, Right, Spanned},
    cursor::Result,
    expr::{Op, Quantifier},
    operand::MAX_CALLS,
    parser::Parser,
    suggest,
    text::Text,
};
use crate::diagnostic::Diagnostic;

impl Parser<'_> {
    /// The operator and what is right of it.
    pub(super) fn comparison(&mut self, left: Operand) -> Result<Node> {
        self.cursor.skip_space();
        let start = self.cursor.at();
        let Some(op) = self.operator() else {
            let word = self.cursor.word();
            if word.value == "exists" {
                return Ok(Node::Exists(left));
            }
            self.cursor.reset(start);
            return Err(self.no_operator(&word));
        };
        let op = Spanned::new(op, self.cursor.span(start));
        self.cursor.skip_space();
        if op.value.takes_list() {
            let right = self.list_or_name(&format!("`{}`", op.value))?;
            return Ok(Node::Compare(Box::new(Compare { left, op, quantifier: None, right })));
        }
        if let Some(quantifier) = self.quantifier() {
            if op.value.is_order() {
                let message = format!("`{}` orders numbers and takes no `{quantifier}`", op.value);
                return Err(self.cursor.error(self.cursor.span(start), message));
            }
            let right = self.list_or_name(&format!("`{quantifier}`"))?;
            return Ok(Node::Compare(Box::new(Compare { left, op, quantifier: Some(quantifier), right })));
        }
        let right = self.value()?;
        Ok(Node::Compare(Box::new(Compare { left, op, quantifier: None, right })))
    }

    fn operator(&mut self) -> Option<Op> {
        const SIGNS: &[(&str, Op)] = &[
            ("==", Op::Eq),
            ("=", Op::Eq),
            ("!=", Op::Ne),
            ("<=", Op::Le),
            ("<", Op::Lt),
            (">=", Op::Ge),
            (">", Op::Gt),
        ];
        if let Some((_, op)) = SIGNS.iter().find(|(sign, _)| self.cursor.eat_sign(sign)) {
            return Some(*op);
        }
        let start = self.cursor.at();
        let op = self.cursor.word().value.parse().ok();
        if op.is_none() {
            self.cursor.reset(start);
        }
        op
    }

    fn no_operator(&self, word: &Spanned<&str>) -> Box<Diagnostic> {
        let found = self.cursor.found();
        let message = format!("expected an operator after the field, found {found}");
        let span = if word.value.is_empty() { self.cursor.here() } else { word.span };
        let mut error = self.cursor.error(span, message);
        let names = Op::ALL.iter().map(|op| op.as_str()).chain(["exists"]).filter(|_| word.value.len() > 1);
        error.suggestion = Some(match suggest::closest(word.value, names) {
            Some(close) if !matches!(word.value, "and" | "or") => format!("did you mean {close}?"),
            _ => "write `exists` to ask whether it has a value, or compare it: `= value`, `in (a, b)`".to_owned(),
        });
        error
    }

    /// `oneof`, `anyof` or `allof`, if it is next and a list follows. Else the word is a value.
    fn quantifier(&mut self) -> Option<Quantifier> {
        let start = self.cursor.at();
        let quantifier = self.cursor.word().value.parse().ok();
        let end = self.cursor.at();
        self.cursor.skip_space();
        let spaced = self.cursor.at() > end;
        let list = match self.cursor.peek() {
            Some(b'(') => true,
            Some(b) => {
                let at = self.cursor.at();
                let connective = self.cursor.eat_word("and") || self.cursor.eat_word("or");
                self.cursor.reset(at);
                b.is_ascii_alphabetic() && !connective
            }
            None => false,
        };
        let quantifier = quantifier.filter(|_| spaced && list);
        if quantifier.is_none() {
            self.cursor.reset(start);
        }
        quantifier
    }

    fn list_or_name(&mut self, after: &str) -> Result<Right> {
        let open = self.cursor.here();
        if !self.cursor.eat(b'(') {
            let name = self.cursor.bare();
            if self.cursor.peek() == Some(b'(') {
                return self.call_on_the_right(&name);
            }
            if name.value.is_empty() {
                let message = format!("expected a list after {after}, found {}", self.cursor.found());
                return Err(self.cursor.hint(self.cursor.here(), message, "write (a, b), or the name of a list"));
            }
            return Ok(Right::Named(Spanned::new(name.value.to_owned(), name.span)));
        }
        let mut items = Vec::new();
        self.cursor.skip_space();
        if self.cursor.eat(b')') {
            return Ok(Right::List(items));
        }
        loop {
            self.cursor.skip_space();
            items.push(self.literal("an item of the list")?);
            self.cursor.skip_space();
            if self.cursor.eat(b')') {
                return Ok(Right::List(items));
            }
            if !self.cursor.eat(b',') {
                if self.cursor.peek().is_none() {
                    return Err(self.cursor.hint(open, "this list is never closed", "add `)`"));
                }
                let message = format!("expected `,` or `)` in the list, found {}", self.cursor.found());
                return Err(self.cursor.hint(self.cursor.here(), message, "items with spaces need quotes"));
            }
        }
    }

    fn literal(&mut self, what: &str) -> Result<Spanned<Literal>> {
        if matches!(self.cursor.peek(), Some(b'"' | b'\'')) {
            return self.cursor.quoted();
        }
        let bare = self.cursor.bare();
        if bare.value.is_empty() {
            let message = format!("expected {what}, found {}", self.cursor.found());
            return Err(self.cursor.error(self.cursor.here(), message));
        }
        Ok(Spanned::new(Literal { text: Text::from(bare.value), quoted: false }, bare.span))
    }

    fn value(&mut self) -> Result<Right> {
        if self.cursor.peek() == Some(b'(') {
            let hint = "use `in (a, b)`, or `= anyof (a, b)`";
            return Err(self.cursor.hint(self.cursor.here(), "this operator takes one value, not a list", hint));
        }
        let literal = self.literal("a value")?;
        if !literal.value.quoted && self.cursor.peek() == Some(b'(') {
            let name = self.cursor.text().get(literal.span.start as usize..literal.span.end as usize);
            return self.call_on_the_right(&Spanned::new(name.unwrap_or_default(), literal.span));
        }
        Ok(Right::Value(literal))
    }

    /// `val(field)` or a transformer, on the right of an operator; `(` is next.
    fn call_on_the_right(&mut self, name: &Spanned<&str>) -> Result<Right> {
        if name.value != "val" {
            return Ok(Right::Operand(self.call(name, MAX_CALLS)?));
        }
        let mut args = self.arguments(MAX_CALLS)?;
        match (args.pop(), args.is_empty()) {
            (Some(field @ Operand::Field(_)), true) => Ok(Right::Operand(field)),
            _ => {
                let span = self.cursor.span(name.span.start as usize);
                let hint = "write val(proc.pname); transformers stand on the right without val";
                Err(self.cursor.hint(span, "val() takes exactly one field", hint))
            }
        }
    }
}
