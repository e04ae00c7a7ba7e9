//! One object of a file: its keys, read with the complaints that belong to each.
use super::{
    code,
    place::{Files, Finding, Joined, Named, Place, Problem, is_full, push, push_untold},
    yaml::{Node, Range, Tree},
};
use crate::{diagnostic::Severity, syntax::suggest};
use std::collections::HashSet;

/// An object that is being read. Mistakes go to `problems` and make it `bad`.
pub struct Item<'a> {
    pub files: &'a Files,
    pub problems: &'a mut Vec<Problem>,
    pub file: usize,
    pub object: Option<Named>,
    pub node: &'a Node,
    /// Where its name stands; of a nameless one, where it begins.
    pub head: Range,
    pub bad: bool,
}

/// How a key of an earlier object is to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Append,
    Replace,
}

/// `override`: each key with what is to be done to it.
pub type Overrides<'a> = Vec<(&'a str, How, Range)>;

impl<'a> Item<'a> {
    pub const fn at(&self, at: Range) -> Place {
        Place { file: self.file, at }
    }

    /// The place of its name.
    pub const fn place(&self) -> Place {
        self.at(self.head)
    }

    pub fn tell(&mut self, at: Range, finding: Finding<'_>) {
        let error = finding.severity == Severity::Error;
        self.bad |= error;
        if is_full(self.problems) {
            if error {
                push_untold(self.problems);
            }
            return;
        }
        let problem = self.files.problem(self.at(at), self.object.clone(), finding);
        push(self.problems, problem);
    }

    /// What it is called in messages: `rule "A shell"`.
    pub fn title(&self) -> String {
        self.object.as_ref().map_or_else(|| "this entry".to_owned(), |o| format!("{} {:?}", o.kind, o.name))
    }

    pub fn entries(&self) -> &'a [(Box<str>, Range, Node)] {
        match &self.node.tree {
            Tree::Map(entries) => entries,
            _ => &[],
        }
    }

    pub fn entry(&self, key: &str) -> Option<(Range, &'a Node)> {
        self.entries().iter().find(|(k, ..)| &**k == key).map(|(_, at, node)| (*at, node))
    }

    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Keys that nobody knows, and keys that are there twice.
    pub fn check_keys(&mut self, known: &[&str]) {
        let mut seen = HashSet::new();
        for (key, at, _) in self.entries() {
            if !seen.insert(key) {
                let message = format!("the key `{key}` is there twice; only the first one counts");
                self.tell(*at, Finding::warning(code::UNKNOWN_ITEM, message).hint("remove one of them"));
            } else if !known.contains(&&**key) {
                let close = suggest::closest(key, known.iter().copied());
                let hint = close.map_or_else(|| format!("known keys: {}", known.join(", ")), did_you_mean);
                let message = format!("unknown key `{key}`; it has no effect");
                self.tell(*at, Finding::warning(code::UNKNOWN_ITEM, message).hint(hint));
            }
        }
    }

    /// A key that must be there.
    pub fn required(&mut self, key: &str) -> Option<&'a Node> {
        if let Some((_, node)) = self.entry(key) {
            return Some(node);
        }
        let close = self.entries().iter().map(|(k, ..)| &**k);
        let close = suggest::closest(key, close).map(|other| format!("rename `{other}` to `{key}`"));
        let hint = close.unwrap_or_else(|| format!("add `{key}:`"));
        let message = format!("{} has no `{key}`", self.title());
        self.tell(self.head, Finding::error(code::YAML_VALIDATE, message).hint(hint));
        None
    }

    /// A plain value that is not empty.
    pub fn plain(&mut self, key: &str, node: &'a Node) -> Option<&'a str> {
        let what = node.what();
        let text = node.text().filter(|text| !node.is_null() && !text.is_empty());
        if text.is_none() {
            let message = match what {
                "nothing" | "a single value" => format!("`{key}` is empty"),
                what => format!("`{key}` takes a single value, not {what}"),
            };
            let at = if node.at.end > node.at.start { node.at } else { self.key_range(node) };
            self.tell(at, Finding::error(code::YAML_VALIDATE, message).part(key).hint(example(key)));
        }
        text
    }

    /// The key that a value belongs to, for values of no width.
    fn key_range(&self, node: &Node) -> Range {
        let owner = self.entries().iter().find(|(_, _, n)| std::ptr::eq(n, node));
        owner.map_or(Range { start: node.at.start, end: node.at.start }, |(_, at, _)| *at)
    }

    pub fn required_text(&mut self, key: &str) -> Option<&'a str> {
        let node = self.required(key)?;
        self.plain(key, node)
    }

    pub fn optional_text(&mut self, key: &str) -> Option<&'a str> {
        let (_, node) = self.entry(key)?;
        self.plain(key, node)
    }

    /// A text that conditions and outputs are made of, with the way back to its place.
    pub fn joined(&mut self, key: &str) -> Option<Joined> {
        let node = self.required(key)?;
        let text = self.plain(key, node)?;
        Some(Joined::new(text, self.at(node.at), node.style()).trimmed())
    }

    /// A truth; YAML 1.1's words for it too, as Falco takes them.
    pub fn truth(&mut self, key: &str) -> Option<bool> {
        let (_, node) = self.entry(key)?;
        let text = self.plain(key, node)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => {
                let message = format!("`{key}` is true or false, not {text:?}");
                self.tell(node.at, Finding::error(code::YAML_VALIDATE, message).part(key));
                None
            }
        }
    }

    /// A list of plain values.
    pub fn texts(&mut self, key: &str, node: &'a Node) -> Option<Vec<&'a str>> {
        let Some(items) = node.list() else {
            let what = node.what();
            let message = format!("`{key}` is a list, not {what}");
            let hint = node.text().filter(|t| !t.is_empty()).map(|text| format!("write {key}: [{text}]"));
            let hint = hint.unwrap_or_else(|| format!("write {key}: [one, two], or {key}: [] for none"));
            let at = if node.at.end > node.at.start { node.at } else { self.key_range(node) };
            self.tell(at, Finding::error(code::YAML_VALIDATE, message).part(key).hint(hint));
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.text() {
                Some(text) if !item.is_null() => texts.push(text),
                _ => {
                    let message = format!("an item of `{key}` is {}; items are plain values", item.what());
                    let hint = match item.what() {
                        "a map" => "put it in quotes: \"name: value\"",
                        _ => "write one plain value for each item",
                    };
                    self.tell(item.at, Finding::error(code::YAML_VALIDATE, message).part(key).hint(hint));
                }
            }
        }
        (texts.len() == items.len()).then_some(texts)
    }

    /// `override`, each key checked against what may be done to it.
    pub fn overrides(&mut self, append: &[&str], replace: &[&str]) -> Overrides<'a> {
        let Some((at, node)) = self.entry("override") else { return Vec::new() };
        let Tree::Map(entries) = &node.tree else {
            let message = format!("`override` is a map, not {}", node.what());
            let hint = "write override: {condition: append}";
            self.tell(at, Finding::error(code::YAML_VALIDATE, message).part("override").hint(hint));
            return Vec::new();
        };
        let mut overrides = Vec::new();
        let mut seen = HashSet::new();
        for (key, at, value) in entries {
            // Of a key that is there twice the first counts.
            if !seen.insert(key) {
                continue;
            }
            let may_append = append.contains(&&**key);
            let may_replace = replace.contains(&&**key);
            let allowed = match (may_append, may_replace) {
                (true, true) => "append or replace",
                (true, false) => "append",
                (false, true) => "replace",
                (false, false) => {
                    let close = suggest::closest(key, replace.iter().copied());
                    let hint = close.map_or_else(|| format!("these can be: {}", replace.join(", ")), did_you_mean);
                    let message = format!("`{key}` cannot be overridden");
                    self.tell(*at, Finding::error(code::YAML_VALIDATE, message).part("override").hint(hint));
                    continue;
                }
            };
            let how = match value.text() {
                Some("append") if may_append => How::Append,
                Some("replace") if may_replace => How::Replace,
                Some("append") => {
                    let message = format!("`{key}` cannot be appended to, only replaced");
                    let hint = format!("write {key}: replace");
                    self.tell(value.at, Finding::error(code::YAML_VALIDATE, message).part("override").hint(hint));
                    continue;
                }
                other => {
                    let word = other.unwrap_or_default();
                    let message = format!("unknown override operation {word:?} for `{key}`");
                    let hint = format!("write {key}: {allowed}");
                    self.tell(value.at, Finding::error(code::YAML_VALIDATE, message).part("override").hint(hint));
                    continue;
                }
            };
            if !self.has(key) {
                let word = if how == How::Append { "append" } else { "replace" };
                let message = format!("`override` says {key}: {word}, but there is no `{key}`");
                let hint = format!("add `{key}:` with the new value, or remove it from `override`");
                self.tell(*at, Finding::error(code::YAML_VALIDATE, message).part("override").hint(hint));
                continue;
            }
            overrides.push((&**key, how, *at));
        }
        overrides
    }

    /// `append: true`, which Falco calls deprecated. Beside `override` it is an error.
    pub fn old_append(&mut self, key: &str) -> bool {
        let append = self.truth("append") == Some(true);
        if let Some((at, _)) = self.entry("append").filter(|_| append) {
            if self.has("override") {
                let message = "`append: true` and `override` cannot stand together";
                let hint = "remove `append`; `override` says it all";
                self.tell(at, Finding::error(code::YAML_VALIDATE, message).hint(hint));
            } else {
                let hint = format!("write override: {{{key}: append}}");
                self.tell(at, Finding::warning(code::DEPRECATED, "`append: true` is deprecated").hint(hint));
            }
        }
        append
    }
}

pub fn did_you_mean(word: &str) -> String {
    format!("did you mean {word}?")
}

/// What a key's value looks like.
fn example(key: &str) -> String {
    match key {
        "condition" => "write a condition: evt.type = execve and proc.name = nc".to_owned(),
        "output" => "say what happened: A shell was started (command=%proc.cmdline)".to_owned(),
        "desc" => "say in a sentence what the rule detects".to_owned(),
        "priority" => {
            "write one of Emergency, Alert, Critical, Error, Warning, Notice, Informational, Debug".to_owned()
        }
        "required_engine_version" => "write a version: 0.31.0".to_owned(),
        key => format!("write `{key}: VALUE`"),
    }
}
