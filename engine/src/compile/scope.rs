//! Names of macros and lists, and where a name is looked for: the object's own, then its namespace's libraries, then
//! the system namespace's. A definition's own names are looked for from its own level on, so that no rule can change
//! what a library's macro means.
use super::problem::{Place, Suggest as _, code};
use crate::{
    diagnostic::Diagnostic,
    matching::FastMap,
    source::{Definitions, LibrarySource, ObjectRef},
    syntax::{Ast, Text, parse_condition},
};
use std::{
    cell::{Cell, OnceCell},
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// A macro as defined.
pub struct MacroDef {
    /// Its tree, or why there is none.
    pub ast: Result<Ast, Box<Diagnostic>>,
    /// The library that defines it; `None`: the object itself.
    pub owner: Option<ObjectRef>,
    /// `macros[name]`.
    pub part: String,
    /// Something refers to it.
    pub used: Cell<bool>,
}

/// A list as defined.
pub struct ListDef {
    /// Its items, names of other lists among them; gone into `flat` once that was asked for.
    pub items: Cell<Vec<Item>>,
    /// The library that defines it; `None`: the object itself.
    pub owner: Option<ObjectRef>,
    /// `lists[name]`.
    pub part: String,
    /// Something refers to it.
    pub used: Cell<bool>,
    /// The items with nested lists resolved, once that was asked for: rules share one copy. Or why there are none.
    pub flat: OnceCell<Result<Arc<[Text]>, String>>,
}

/// An item of a list.
pub struct Item {
    /// Its value.
    pub text: Text,
    /// It was written in quotes: never the name of a list.
    pub quoted: bool,
}

impl Item {
    /// From the text in YAML; quotes inside it are the language's.
    pub fn parse(text: &str) -> Self {
        let quoted = match text.as_bytes() {
            [q @ (b'"' | b'\''), .., end] if q == end => parse_condition(&format!("a.b = {text}")).ok(),
            _ => None,
        };
        match quoted.map(|ast| ast.root) {
            Some(crate::syntax::ast::Node::Compare(compare)) => match compare.right {
                crate::syntax::ast::Right::Value(literal) => Self { text: literal.value.text, quoted: true },
                _ => Self { text: text.into(), quoted: true },
            },
            _ => Self { text: text.into(), quoted: false },
        }
    }
}

/// Definitions of one level.
#[derive(Default)]
pub struct Names {
    pub macros: HashMap<String, MacroDef>,
    pub lists: FastMap<String, ListDef>,
}

impl Names {
    /// Adds definitions; a name that is there already stays as it is and is reported.
    pub fn add(&mut self, definitions: &Definitions, owner: Option<&ObjectRef>, problems: &mut Vec<Diagnostic>) {
        for (name, condition) in &definitions.macros {
            let part = format!("macros[{name}]");
            let place = Place { part: &part, text: condition };
            if !macro_name_fits(name, &place, problems) {
                continue;
            }
            if let Some(other) = self.macros.get(name) {
                problems.push(conflict("macro", name, other.owner.as_ref(), &place));
                continue;
            }
            let ast = parse_condition(condition).map_err(|mut error| {
                error.part.clone_from(&part);
                error
            });
            problems.extend(ast.as_ref().err().map(|e| (**e).clone()));
            let used = Cell::new(false);
            self.macros.insert(name.clone(), MacroDef { ast, owner: owner.cloned(), part, used });
        }
        for (name, items) in &definitions.lists {
            let part = format!("lists[{name}]");
            let place = Place { part: &part, text: name };
            if !list_name_fits(name, &place, problems) {
                continue;
            }
            if let Some(other) = self.lists.get(name) {
                problems.push(conflict("list", name, other.owner.as_ref(), &place));
                continue;
            }
            let items = items.iter().map(|item| Item::parse(item)).collect();
            let (items, used, flat) = (Cell::new(items), Cell::new(false), OnceCell::new());
            self.lists.insert(name.clone(), ListDef { items, owner: owner.cloned(), part, used, flat });
        }
    }
}

/// Whether conditions can name a list so: it is a bare string.
pub fn is_list_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '\'' | '=' | ','))
}

fn list_name_fits(name: &str, place: &Place<'_>, problems: &mut Vec<Diagnostic>) -> bool {
    let fits = is_list_name(name);
    if !fits {
        let message = format!("{name:?} is no name for a list");
        let hint = "use a name without spaces, quotes, parentheses, `=` and commas";
        problems.push(place.error(code::VALIDATE, place.whole(), message).suggest(Some(hint)));
    }
    fits
}

fn macro_name_fits(name: &str, place: &Place<'_>, problems: &mut Vec<Diagnostic>) -> bool {
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        && !matches!(name, "and" | "or" | "not");
    if !fits {
        let message = format!("{name:?} is no name for a macro");
        let hint = "use letters, digits and `_`, a letter first";
        problems.push(place.error(code::VALIDATE, place.whole(), message).suggest(Some(hint)));
    }
    fits
}

fn conflict(what: &str, name: &str, other: Option<&ObjectRef>, place: &Place<'_>) -> Diagnostic {
    let whose = other.map_or_else(|| "this object".to_owned(), |id| format!("RuleLibrary {id}, which is older,"));
    let message = format!("{whose} already defines the {what} {name}; that one stays in force");
    place.error(code::CONFLICT, place.whole(), message).suggest(Some("give one of them another name"))
}

/// The libraries' names by namespace.
#[derive(Default)]
pub struct Libraries {
    pub by_namespace: BTreeMap<String, Names>,
}

impl Libraries {
    /// Takes up libraries, oldest first. Returns what is wrong with each, in the given order.
    pub fn new<'a>(libraries: impl Iterator<Item = &'a LibrarySource>) -> (Self, Vec<Vec<Diagnostic>>) {
        let mut all = Self::default();
        let problems = libraries
            .map(|library| {
                let mut problems = library.meta.problems.clone();
                let names = all.by_namespace.entry(library.meta.id.namespace.clone()).or_default();
                names.add(&library.definitions, Some(&library.meta.id), &mut problems);
                problems
            })
            .collect();
        (all, problems)
    }

    /// The levels that an object of a namespace sees, its own first.
    pub fn scope<'a>(&'a self, local: Option<&'a Names>, namespace: &str, system: &str) -> Scope<'a> {
        let own = self.by_namespace.get(namespace);
        let system = self.by_namespace.get(system).filter(|_| namespace != system);
        Scope { levels: local.into_iter().chain(own).chain(system).collect() }
    }
}

/// See the module.
pub struct Scope<'a> {
    levels: Vec<&'a Names>,
}

impl<'a> Scope<'a> {
    /// A macro, and the level from which its own names are looked for.
    pub fn find_macro(&self, name: &str, from: usize) -> Option<(&'a MacroDef, usize)> {
        let found = self.levels.iter().enumerate().skip(from);
        found.filter_map(|(level, names)| names.macros.get(name).map(|def| (def, level))).next()
    }

    /// The same for a list.
    pub fn find_list(&self, name: &str, from: usize) -> Option<(&'a ListDef, usize)> {
        let found = self.levels.iter().enumerate().skip(from);
        found.filter_map(|(level, names)| names.lists.get(name).map(|def| (def, level))).next()
    }

    pub fn macro_names(&self, from: usize) -> impl Iterator<Item = &'a str> {
        self.levels.iter().skip(from).flat_map(|names| names.macros.keys().map(String::as_str))
    }

    pub fn list_names(&self, from: usize) -> impl Iterator<Item = &'a str> {
        self.levels.iter().skip(from).flat_map(|names| names.lists.keys().map(String::as_str))
    }
}
