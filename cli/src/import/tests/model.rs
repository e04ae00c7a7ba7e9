//! Falco as a model of texts: lists are pasted into conditions, exceptions behind them, macros are trees of their own.
//! A small reader and evaluator of conditions, apart from the engine's.
use std::collections::BTreeMap;

/// An event: values of text fields.
pub type Facts = BTreeMap<String, String>;

/// Definitions, later ones in the place of earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub lists: BTreeMap<String, Vec<String>>,
    pub macros: BTreeMap<String, String>,
    pub rules: BTreeMap<String, Rule>,
}

#[derive(Clone, Debug, Default)]
pub struct Rule {
    pub condition: String,
    pub enabled: bool,
    /// Name, fields (single or several), operators, values as written.
    pub exceptions: Vec<Exception>,
}

#[derive(Clone, Debug)]
pub struct Exception {
    pub name: String,
    pub fields: Vec<String>,
    pub single: bool,
    pub comps: Vec<String>,
    /// For a single field: one value each. Else tuples.
    pub values: Vec<Vec<String>>,
}

impl Model {
    /// Whether a rule matches.
    pub fn matches(&self, rule: &str, facts: &Facts) -> bool {
        let rule = &self.rules[rule];
        rule.enabled && self.holds(&format!("{}{}", rule.condition, pasted(&rule.exceptions)), facts)
    }

    fn holds(&self, condition: &str, facts: &Facts) -> bool {
        let text = self.paste_lists(condition);
        let tokens = tokens(&text);
        let mut reader = Reader { tokens: &tokens, at: 0, model: self, facts };
        let result = reader.or();
        assert_eq!(reader.at, tokens.len(), "not read to the end: {text}");
        result
    }

    /// Names of lists between delimiters become their items, until nothing changes.
    fn paste_lists(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..20 {
            let before = text.clone();
            for (name, items) in &self.lists {
                let pasted: Vec<String> = items.iter().map(|item| quote(item)).collect();
                text = paste(&text, name, &pasted.join(", "));
            }
            if text == before {
                break;
            }
        }
        text
    }
}

/// Exceptions as text.
fn pasted(exceptions: &[Exception]) -> String {
    let mut out = String::new();
    for exception in exceptions.iter().filter(|e| !e.values.is_empty()) {
        if exception.single {
            let values: Vec<String> = exception.values.iter().map(|v| quote(&v[0])).collect();
            out += &format!(" and not ({} {} ({}))", exception.fields[0], exception.comps[0], values.join(", "));
            continue;
        }
        let tuple = |values: &Vec<String>| {
            let parts = exception.fields.iter().zip(&exception.comps).zip(values).map(|((field, comp), value)| {
                let value = match comp.as_str() {
                    "in" if value.starts_with('(') => value.clone(),
                    "in" => format!("({value})"),
                    _ => quote(value),
                };
                format!("{field} {comp} {value}")
            });
            format!("({})", parts.collect::<Vec<_>>().join(" and "))
        };
        let tuples: Vec<String> = exception.values.iter().map(tuple).collect();
        out += &format!(" and not ({})", tuples.join(" or "));
    }
    out
}

fn quote(item: &str) -> String {
    if item.contains(' ') && !item.starts_with(['"', '\'']) { format!("\"{item}\"") } else { item.to_owned() }
}

fn paste(text: &str, name: &str, items: &str) -> String {
    let delimiter = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || "(),=".contains(c));
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let before = out.chars().chain(rest[..at].chars()).next_back();
        let after = rest[at + name.len()..].chars().next();
        out += &rest[..at];
        out += if delimiter(before) && delimiter(after) { items } else { name };
        rest = &rest[at + name.len()..];
    }
    // An empty list takes a comma with it.
    (out + rest).replace("( ,", "(").replace("(,", "(").replace(", )", ")").replace(", ,", ",")
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            continue;
        }
        let mut token = c.to_string();
        if c == '"' {
            token.extend(chars.by_ref().take_while(|c| *c != '"'));
        } else if !"(),=".contains(c) {
            while let Some(next) = chars.next_if(|c| !c.is_whitespace() && !"(),=\"".contains(*c)) {
                token.push(next);
            }
            if token == "!" {
                token.extend(chars.next());
            }
        }
        tokens.push(token);
    }
    tokens
}

struct Reader<'m> {
    tokens: &'m [String],
    at: usize,
    model: &'m Model,
    facts: &'m Facts,
}

impl Reader<'_> {
    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned().unwrap_or_default()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> bool {
        let mut result = self.and();
        while self.eat("or") {
            result |= self.and();
        }
        result
    }

    fn and(&mut self) -> bool {
        let mut result = self.not();
        while self.eat("and") {
            result &= self.not();
        }
        result
    }

    fn not(&mut self) -> bool {
        if self.eat("not") {
            return !self.not();
        }
        if self.eat("(") {
            let result = self.or();
            assert!(self.eat(")"), "no closing parenthesis in {:?}", self.tokens);
            return result;
        }
        let name = self.next();
        if !name.contains('.') {
            return self.model.holds(&self.model.macros[&name], self.facts);
        }
        self.comparison(&name)
    }

    fn comparison(&mut self, field: &str) -> bool {
        let value = self.facts.get(field).cloned();
        let op = self.next();
        if op == "exists" {
            return value.is_some();
        }
        let mut right = Vec::new();
        if self.eat("(") {
            while !self.eat(")") {
                right.push(self.next().trim_start_matches('"').to_owned());
                self.eat(",");
            }
        } else {
            right.push(self.next().trim_start_matches('"').to_owned());
        }
        let Some(value) = value else { return false };
        match op.as_str() {
            "in" => right.contains(&value),
            "=" => value == right[0],
            "!=" => value != right[0],
            "startswith" => value.starts_with(&right[0]),
            "contains" => value.contains(&right[0]),
            other => panic!("the model has no operator {other:?}: {:?}", self.tokens),
        }
    }
}

#[test]
fn the_model_pastes_text() {
    let mut model = Model::default();
    model.lists.insert("l".into(), vec!["a".into(), "x y".into()]);
    model.macros.insert("m".into(), "proc.name = b or proc.name in (l)".into());
    let holds = |condition: &str, name: &str| model.holds(condition, &Facts::from([("proc.name".into(), name.into())]));
    assert!(holds("m and not proc.name = c", "x y") && holds("m", "b") && !holds("not m", "a"));
    // An exception binds to what stands before it, as text does.
    let exceptions = [Exception {
        name: "e".into(),
        fields: vec!["proc.name".into()],
        single: true,
        comps: vec!["in".into()],
        values: vec![vec!["a".into()]],
    }];
    assert!(holds(&format!("proc.name = a or proc.name = b{}", pasted(&exceptions)), "a"));
}
