//! Operators and what stands right of them.
use super::{
    ast::{Compare, Literal, Node, Operand, Right, Spanned},
    cursor::{Result, is_space},
    expr::{Function, Op, Quantifier},
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
        if self.cursor.eat_sign("exists") {
            return Ok(Node::Exists(left));
        }
        let op = self.operator()?;
        let end = self.cursor.at();
        self.cursor.skip_space();
        if op.value.takes_list() {
            let right = self.list_or_name(&format!("`{}`", op.value))?;
            return Ok(Node::Compare(Box::new(Compare { left, op, quantifier: None, right })));
        }
        let spaced = self.cursor.at() > end;
        if let Some(quantifier) = self.quantifier().filter(|_| spaced) {
            if op.value.is_order() {
                let message = format!("`{}` orders numbers and takes no `{quantifier}`", op.value);
                return Err(self.cursor.error(self.cursor.span(start), message));
            }
            let right = self.list_or_name(&format!("`{quantifier}`"))?;
            return Ok(Node::Compare(Box::new(Compare { left, op, quantifier: Some(quantifier), right })));
        }
        self.cursor.reset(end);
        self.cursor.skip_space();
        let right = if op.value.is_order() { self.number(&op)? } else { self.value()? };
        Ok(Node::Compare(Box::new(Compare { left, op, quantifier: None, right })))
    }

    /// Signs stand anywhere. After a word comes white space, but `in`, `intersects` and `pmatch` may touch what follows.
    fn operator(&mut self) -> Result<Spanned<Op>> {
        const SIGNS: &[(&str, Op)] = &[
            ("==", Op::Eq),
            ("=", Op::Eq),
            ("!=", Op::Ne),
            ("<=", Op::Le),
            ("<", Op::Lt),
            (">=", Op::Ge),
            (">", Op::Gt),
        ];
        let start = self.cursor.at();
        if let Some((_, op)) = SIGNS.iter().find(|(sign, _)| self.cursor.eat_sign(sign)) {
            return Ok(Spanned::new(*op, self.cursor.span(start)));
        }
        let word = self.cursor.word();
        if let Ok(op) = word.value.parse::<Op>() {
            if !op.takes_list() && !self.cursor.peek().is_some_and(is_space) {
                let message = format!("white space and a value must follow `{op}`, found {}", self.cursor.found());
                return Err(self.cursor.error(self.cursor.here(), message));
            }
            return Ok(Spanned::new(op, word.span));
        }
        // `field inlist`: Falco reads it as `field in list`.
        if let Some(op) =
            [Op::Intersects, Op::In, Op::Pmatch].into_iter().find(|op| word.value.starts_with(op.as_str()))
            && word.value[op.as_str().len()..].starts_with(|c: char| c.is_ascii_alphabetic())
            && (self.ends_here() || self.is_call(&word.value[op.as_str().len()..]))
        {
            self.cursor.reset(start + op.as_str().len());
            return Ok(Spanned::new(op, self.cursor.span(start)));
        }
        self.cursor.reset(start);
        Err(self.no_operator(&word))
    }

    /// Whether this is the name of a transformer, or `val`, and its `(` is next.
    fn is_call(&self, name: &str) -> bool {
        self.cursor.peek() == Some(b'(') && (name == "val" || name.parse::<Function>().is_ok())
    }

    /// Whether what may follow a whole comparison follows; the place stays.
    fn ends_here(&mut self) -> bool {
        let at = self.cursor.at();
        self.cursor.skip_space();
        let ends = match self.cursor.peek() {
            None | Some(b')') => true,
            Some(_) => self.cursor.eat_word("and") || self.cursor.eat_word("or"),
        };
        self.cursor.reset(at);
        ends
    }

    /// Right of `< <= > >=`.
    fn number(&mut self, op: &Spanned<Op>) -> Result<Right> {
        let start = self.cursor.at();
        if let Some(number) = self.cursor.number() {
            let literal = Literal { text: Text::from(number.value), quoted: false };
            return Ok(Right::Value(Spanned::new(literal, number.span)));
        }
        let name = self.cursor.identifier();
        if let Some(name) = name.as_ref().filter(|_| self.cursor.peek() == Some(b'(')) {
            return self.call_on_the_right(name);
        }
        self.cursor.reset(start);
        let message = format!("expected a number after `{}`, found {}", op.value, self.cursor.found());
        let hint = "write a decimal number, 0x and hex digits, or val(field); numbers stand without quotes";
        Err(self.cursor.hint(self.cursor.here(), message, hint))
    }

    fn no_operator(&self, word: &Spanned<&str>) -> Box<Diagnostic> {
        let found = self.cursor.found();
        let message = format!("expected an operator after the field, found {found}");
        let span = if word.value.is_empty() { self.cursor.here() } else { word.span };
        let mut error = self.cursor.error(span, message);
        if word.value.is_empty() && self.cursor.peek() == Some(b'(') {
            error.suggestion =
                Some("transformers are written tolower(field), and no other names stand before `(`".to_owned());
            return error;
        }
        let names = Op::ALL.iter().map(|op| op.as_str()).chain(["exists"]).filter(|_| word.value.len() > 1);
        error.suggestion = Some(match suggest::closest(word.value, names) {
            _ if word.value == "not" => "`not` stands before the field: not proc.name in (a, b)".to_owned(),
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
            Some(b) => b.is_ascii_alphabetic() && !self.ends_here(),
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
            let Some(name) = self.cursor.identifier() else {
                let message = format!("expected a list after {after}, found {}", self.cursor.found());
                return Err(self.cursor.hint(self.cursor.here(), message, "write (a, b), or the name of a list"));
            };
            if self.cursor.peek() == Some(b'(') {
                return self.call_on_the_right(&name);
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
            items.push(
                self.literal("an item of the list", "write an item, or remove the comma; \"\" is the empty text")?,
            );
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

    fn literal(&mut self, what: &str, hint: &str) -> Result<Spanned<Literal>> {
        if matches!(self.cursor.peek(), Some(b'"' | b'\'')) {
            return self.cursor.quoted();
        }
        let bare = self.cursor.bare();
        if bare.value.is_empty() {
            let message = format!("expected {what}, found {}", self.cursor.found());
            return Err(self.cursor.hint(self.cursor.here(), message, hint));
        }
        Ok(Spanned::new(Literal { text: Text::from(bare.value), quoted: false }, bare.span))
    }

    fn value(&mut self) -> Result<Right> {
        if self.cursor.peek() == Some(b'(') {
            let hint = "use `in (a, b)`, or `= anyof (a, b)`";
            return Err(self.cursor.hint(self.cursor.here(), "this operator takes one value, not a list", hint));
        }
        let literal =
            self.literal("a value", "write one behind the operator: proc.name = bash; \"\" is the empty text")?;
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
        self.cursor.eat(b'(');
        self.cursor.skip_space();
        if let Some(field) = self.cursor.field_name() {
            let field = self.field(&field)?;
            self.cursor.skip_space();
            if self.cursor.eat(b')') {
                return Ok(Right::Operand(field));
            }
        }
        let hint = "write val(proc.pname); transformers stand on the right without val";
        Err(self.cursor.hint(name.span, "val() takes exactly one field", hint))
    }
}
