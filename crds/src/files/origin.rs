//! Where an object was read, and where in the file a part of it stands.
use super::tree::{Node, Position, Tree};
use engine::{diagnostic::Diagnostic, source::ObjectRef};
use kube::ResourceExt;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// An object with its origin.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The object. Where the schema refused it, whatever of it could be read.
    pub object: T,
    /// Where it was read.
    pub origin: Arc<Origin>,
    /// What the schema says against it, with the place of each.
    pub problems: Vec<(Position, Diagnostic)>,
}

/// Where an object was read.
#[derive(Debug)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// Where its document begins.
    pub line: usize,
    /// The lines of the document, the first is `line`.
    lines: Vec<String>,
    /// Path below `spec` -> where its value stands, and the value where it is text.
    parts: BTreeMap<String, (Position, Option<String>)>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub at: Position,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.at.line, self.at.column)
    }
}

impl Origin {
    pub(super) fn new(path: &Path, line: usize, text: &str, object: &Node) -> Self {
        let mut parts = BTreeMap::new();
        if let Some(spec) = object.get("spec") {
            index(spec, "", &mut parts);
        }
        Self { path: path.to_owned(), line, lines: text.lines().map(str::to_owned).collect(), parts }
    }

    /// The place of line and column (from 1) in the text of a part, such as `condition` or `macros[is_shell]`.
    #[must_use]
    pub fn place(&self, part: &str, line: usize, column: usize) -> Position {
        let (at, text, exact) = self.part(part);
        let Some(text) = text.filter(|_| exact) else { return at };
        let wanted = text.lines().nth(line - 1).unwrap_or_default();
        // A literal block stands in the file as it is, indented.
        let literal = Position { line: at.line + line - 1, column: at.column };
        if self.tail(literal).is_some_and(|tail| tail == wanted) {
            return Position { column: literal.column + column - 1, ..literal };
        }
        // One line, plain or quoted. Folded text cannot be followed back: its beginning must do.
        let here = self.tail(at).unwrap_or_default();
        let quote = usize::from(here.starts_with(['"', '\'']));
        let bare: String = here.chars().skip(quote).collect();
        if line == 1 && bare.starts_with(wanted) {
            return Position { line: at.line, column: at.column + quote + column - 1 };
        }
        at
    }

    /// The position and text of a part; of the closest part above it where it has none of its own.
    fn part(&self, part: &str) -> (Position, Option<&str>, bool) {
        let in_match = format!("match.{part}");
        let in_macro = format!("{part}.condition");
        for exact in [in_macro.as_str(), part, in_match.as_str()] {
            if let Some((at, Some(text))) = self.parts.get(exact) {
                return (*at, Some(text), true);
            }
        }
        let mut above = part;
        loop {
            if let Some((at, text)) = self.parts.get(above) {
                return (*at, text.as_deref(), above == part);
            }
            let Some(cut) = above.rfind(['.', '[']) else { break };
            above = &above[..cut];
        }
        let spec = self.parts.get("").map_or(Position { line: self.line, column: 1 }, |(at, _)| *at);
        (spec, None, false)
    }

    /// The rest of a line from a position on.
    fn tail(&self, at: Position) -> Option<String> {
        let line = self.lines.get(at.line.checked_sub(self.line)?)?;
        Some(line.chars().skip(at.column - 1).collect())
    }

    /// The line of the file that a position is in.
    pub(super) fn line(&self, at: Position) -> &str {
        at.line.checked_sub(self.line).and_then(|i| self.lines.get(i)).map_or("", String::as_str)
    }
}

/// Every path below `node`. Items of lists go by index, and by `name` where they have one.
fn index(node: &Node, path: &str, parts: &mut BTreeMap<String, (Position, Option<String>)>) {
    parts.insert(path.to_owned(), (node.at, node.text().map(str::to_owned)));
    match &node.tree {
        Tree::Scalar(_) => {}
        Tree::List(items) => {
            for (i, item) in items.iter().enumerate() {
                index(item, &format!("{path}[{i}]"), parts);
                if let Some(name) = item.get("name").and_then(Node::text) {
                    index(item, &format!("{path}[{name}]"), parts);
                }
            }
        }
        Tree::Map(entries) => {
            for (key, _, value) in entries {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                index(value, &path, parts);
            }
        }
    }
}

fn find<'l, T: ResourceExt>(items: &'l [Located<T>], id: &ObjectRef) -> Option<&'l Located<T>> {
    items
        .iter()
        .find(|i| i.object.namespace().as_deref().unwrap_or_default() == id.namespace && i.object.name_any() == id.name)
}

pub(super) fn of<'l, T: ResourceExt>(items: &'l [Located<T>], id: &ObjectRef) -> Option<&'l Origin> {
    find(items, id).map(|item| &*item.origin)
}

pub(super) fn place<T: ResourceExt>(items: &[Located<T>], id: &ObjectRef, diagnostic: &Diagnostic) -> Option<Place> {
    let item = find(items, id)?;
    let told = item.problems.iter().find(|(_, known)| known == diagnostic);
    let at = told.map_or_else(
        || {
            let (line, column) = diagnostic.line_column();
            item.origin.place(&diagnostic.part, line, column)
        },
        |(at, _)| *at,
    );
    Some(Place { path: item.origin.path.clone(), at })
}
