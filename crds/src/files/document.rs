//! One file: its documents, and from each the object in it.
use super::{
    Loaded, Located, Origin, Problem, check,
    tree::{Node, Position, Tree},
};
use crate::{DetectionRule, Exception, GROUP, OutputRoute, RuleLibrary, SYSTEM_NAMESPACE, VERSION, source};
use engine::diagnostic::{Diagnostic, Span};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};

/// Reads every document of a file.
pub(super) fn read_file(path: &Path, text: &str, loaded: &mut Loaded) {
    for (line, text) in split(text) {
        let mut document = Document { path, line, text, loaded };
        match serde_saphyr::from_str_with_options::<Node>(text, serde_saphyr::options! { with_snippet: false }) {
            Ok(mut node) => {
                node.move_down(line - 1);
                document.object(&node);
            }
            Err(error) => {
                let mut at = error.location().map_or(Position { line: 1, column: 1 }, Position::from);
                at.line += line - 1;
                // The place is told apart from the message.
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or(&message);
                document.problem(at, format!("bad YAML: {message}"), yaml_hint(message));
            }
        }
    }
}

/// What most often leads to an error of the YAML reader.
fn yaml_hint(message: &str) -> Option<String> {
    let hint = if message.contains("tab") {
        "indent with spaces"
    } else if message.contains("unexpected character") {
        "put the value in quotes: a plain one cannot begin with `%`, `@` or a backquote"
    } else if message.contains("':'") || message.contains("mapping values") {
        "is a bracket or a quote before it left open, or a value with `: ` in it without quotes?"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// Documents and the line that each begins at. A line `---` at the margin always ends a document, even within a block.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut first) = (0, 1);
    let mut offset = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_end();
        if bare == "---" || bare.starts_with("--- ") {
            documents.push((first, &text[start..offset]));
            // What follows the marker on its line belongs to the document.
            let marker = if bare.len() > 3 { 0 } else { line.len() };
            (start, first) = (offset + marker, i + 1 + usize::from(marker > 0));
        }
        offset += line.len();
    }
    documents.push((first, &text[start..]));
    documents.retain(|(_, text)| text.lines().any(|l| !l.trim_start().is_empty() && !l.trim_start().starts_with('#')));
    documents
}

struct Document<'a> {
    path: &'a Path,
    line: usize,
    text: &'a str,
    loaded: &'a mut Loaded,
}

impl Document<'_> {
    fn object(&mut self, node: &Node) {
        let api = node.get("apiVersion").and_then(Node::text).unwrap_or_default();
        let kind = node.get("kind").and_then(Node::text).unwrap_or_default();
        let (group, version) = api.split_once('/').unwrap_or(("", api));
        if kind == "List" && group.is_empty() {
            if let Some(Tree::List(items)) = node.get("items").map(|n| &n.tree) {
                for item in items {
                    self.object(item);
                }
            }
            return;
        }
        if group != GROUP {
            self.loaded.foreign += 1;
            return;
        }
        if version != VERSION {
            self.problem(node.at, format!("{api} is not known here; write {GROUP}/{VERSION}"), None);
            return;
        }
        match kind {
            "DetectionRule" => self.typed(node, kind, |l| &mut l.rules, DetectionRule::new),
            "RuleLibrary" => self.typed(node, kind, |l| &mut l.libraries, RuleLibrary::new),
            "Exception" => self.typed(node, kind, |l| &mut l.exceptions, Exception::new),
            "OutputRoute" => self.typed(node, kind, |l| &mut l.routes, OutputRoute::new),
            known if check::knows(known) => self.loaded.foreign += 1, // NodeAgent: written by agents, not by people.
            other => {
                let at = node.get("kind").map_or(node.at, |kind| kind.at);
                self.problem(at, format!("{GROUP} has no kind {other:?}"), check::suggest_kind(other));
            }
        }
    }

    fn typed<T, S: Default>(
        &mut self,
        node: &Node,
        kind: &str,
        list: impl Fn(&mut Loaded) -> &mut Vec<Located<T>>,
        empty: impl Fn(&str, S) -> T,
    ) where
        T: Resource + ResourceExt + DeserializeOwned,
    {
        let metadata = node.get("metadata");
        let Some(name) = metadata.and_then(|m| m.get("name")).and_then(Node::text).filter(|n| !n.is_empty()) else {
            let at = metadata.map_or(node.at, |m| m.at);
            let hint = Some("write metadata: {name: ...}".to_owned());
            return self.problem(at, format!("a {kind} without metadata.name"), hint);
        };
        let namespace = metadata.and_then(|m| m.get("namespace")).and_then(Node::text).unwrap_or(SYSTEM_NAMESPACE);
        let origin = Arc::new(Origin::new(self.path, self.line, self.text, node));
        let mut problems: Vec<_> = check::check(kind, node)
            .into_iter()
            .map(|f| {
                let part = f.path.strip_prefix("spec").map_or(f.path.as_str(), |p| p.trim_start_matches('.'));
                (f.at, at_line(part, origin.line(f.at), f.at, f.message, f.suggestion))
            })
            .collect();
        let mut json = node.json();
        if let Value::Object(object) = &mut json {
            // Times and owners of an export are of no use here, and a malformed one must not take the object with it.
            object.insert("metadata".to_owned(), json!({"name": name, "namespace": namespace}));
            object.remove("status");
        }
        let mut object = serde_json::from_value(json).unwrap_or_else(|error| {
            if problems.is_empty() {
                problems.push((node.at, at_line("", origin.line(node.at), node.at, error.to_string(), None)));
            }
            empty(name, S::default())
        });
        object.meta_mut().namespace = Some(namespace.to_owned());
        let list = list(self.loaded);
        let twin =
            list.iter().find(|l| l.object.name_any() == name && l.object.namespace().as_deref() == Some(namespace));
        if let Some(twin) = twin {
            let message = format!("{kind} {namespace}/{name} is already in {}; this one is left out", twin.origin);
            return self.problem(node.at, message, None);
        }
        list.push(Located { object, origin, problems });
    }

    fn problem(&mut self, at: Position, message: String, suggestion: Option<String>) {
        let line = at.line.checked_sub(self.line).and_then(|i| self.text.lines().nth(i)).unwrap_or_default();
        let diagnostic = at_line("", line, at, message, suggestion);
        self.loaded.problems.push(Problem { path: self.path.to_owned(), at, diagnostic });
    }
}

/// A diagnostic whose text is one line of a file.
fn at_line(part: &str, line: &str, at: Position, message: String, suggestion: Option<String>) -> Diagnostic {
    let start = line.char_indices().nth(at.column - 1).map_or(line.len(), |(i, _)| i);
    let word = line[start..].find([':', ' ', ',', ']', '}', '#']).unwrap_or(line.len() - start).max(1);
    let clamp = |n: usize| u32::try_from(n.min(line.len())).unwrap_or(u32::MAX);
    let end = line[start..].char_indices().map(|(i, _)| i).find(|i| *i >= word).unwrap_or(line.len() - start);
    Diagnostic {
        span: Span { start: clamp(start), end: clamp(start + end) },
        suggestion,
        ..source::problem(part, line, message)
    }
}

impl Node {
    /// Positions count from the file's beginning, not the document's.
    fn move_down(&mut self, lines: usize) {
        self.at.line += lines;
        match &mut self.tree {
            Tree::Scalar(_) => {}
            Tree::List(items) => items.iter_mut().for_each(|n| n.move_down(lines)),
            Tree::Map(entries) => {
                for (_, at, node) in entries {
                    at.line += lines;
                    node.move_down(lines);
                }
            }
        }
    }
}
