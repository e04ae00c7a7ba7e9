//! `exceptions` of a rule: Falco's loose forms become one.
//!
//! A single field name has plain values, all for one `in`; a list of fields has tuples, one value for each field, where
//! an operator that takes a list may have one. Falco pastes values into the condition as text, so a text such as
//! `(a, b)` is a list for such an operator.
use super::{
    code,
    item::Item,
    model::RuleException,
    place::Finding,
    yaml::{Node, Range, Tree},
};
use crate::{
    field::FieldRef,
    source::InlineException,
    syntax::{
        Op,
        ast::{self, Right},
        parse_condition, suggest,
    },
};
use std::collections::HashSet;

const KEYS: [&str; 4] = ["name", "fields", "comps", "values"];

/// An exception as written.
pub struct Written<'a> {
    pub name: &'a str,
    pub at: Range,
    fields: Option<&'a Node>,
    comps: Option<&'a Node>,
    pub values: Option<&'a Node>,
}

/// Reads the list. `append`: they may belong to exceptions that are there already.
pub fn read<'a>(item: &mut Item<'a>, append: bool) -> Vec<Written<'a>> {
    let Some((at, node)) = item.entry("exceptions").filter(|(_, node)| !node.is_null()) else { return Vec::new() };
    let Some(list) = node.list() else {
        let message = format!("`exceptions` is a list, not {}", node.what());
        let hint = "write exceptions: [{name: known, fields: proc.name, values: [one, two]}]";
        item.tell(at, Finding::error(code::YAML_VALIDATE, message).part("exceptions").hint(hint));
        return Vec::new();
    };
    let mut all: Vec<Written<'a>> = Vec::with_capacity(list.len());
    let mut names = HashSet::new();
    for node in list {
        let Tree::Map(entries) = &node.tree else {
            let message = format!("an exception is a map, not {}", node.what());
            let hint = "write {name: known, fields: proc.name, values: [one, two]}";
            item.tell(node.at, Finding::error(code::YAML_VALIDATE, message).part("exceptions").hint(hint));
            continue;
        };
        for (key, at, _) in entries {
            if !KEYS.contains(&&**key) {
                let hint = suggest::closest(key, KEYS).map_or_else(
                    || "an exception has name, fields, comps and values".to_owned(),
                    super::item::did_you_mean,
                );
                let message = format!("unknown key `{key}` of an exception; it has no effect");
                item.tell(*at, Finding::warning(code::UNKNOWN_ITEM, message).part("exceptions").hint(hint));
            }
        }
        let Some((name, name_at)) = name(item, node) else { continue };
        if !names.insert(name) {
            let message = format!("two exceptions of this rule are called {name:?}");
            let finding = Finding::warning(code::EXCEPTION_NAME, message).part("exceptions");
            item.tell(name_at, finding.hint("give one of them another name, or put their values together"));
        }
        let values = node.get("values");
        if let Some(values) = values.filter(|v| v.list().is_none()) {
            let message = format!("`values` of exception {name:?} is a list, not {}", values.what());
            let finding = Finding::error(code::YAML_VALIDATE, message).part("exceptions");
            item.tell(shown(values, name_at), finding.hint("write values: [one, two]"));
            continue;
        }
        if values.is_none() && append {
            let message = format!("exception {name:?} is appended to without `values`");
            item.tell(name_at, Finding::warning(code::APPEND_NO_VALUES, message).part("exceptions"));
        }
        all.push(Written { name, at: name_at, fields: node.get("fields"), comps: node.get("comps"), values });
    }
    all
}

fn name<'a>(item: &mut Item<'a>, node: &'a Node) -> Option<(&'a str, Range)> {
    let found = node.get("name").filter(|n| !n.is_null());
    let name = found.and_then(|n| n.text().filter(|t| !t.is_empty()).map(|text| (text, n.at)));
    if name.is_none() {
        let at = found.map_or(Range { start: node.at.start, end: node.at.start + 1 }, |n| n.at);
        let message = "an exception has no `name`";
        let finding = Finding::error(code::YAML_VALIDATE, message).part("exceptions");
        item.tell(at, finding.hint("add `name:`, a word that later files append values by"));
    }
    name
}

/// Exceptions that are defined, each on its own.
pub fn define(item: &mut Item<'_>, written: &[Written<'_>], known_source: bool) -> Vec<RuleException> {
    written.iter().filter_map(|one| complete(item, one, known_source)).collect()
}

/// Adds exceptions, and values to those that are there already.
pub fn append(item: &mut Item<'_>, written: &[Written<'_>], there: &mut Vec<RuleException>, known_source: bool) {
    for one in written {
        let Some(known) = there.iter_mut().find(|known| known.inline.name == one.name) else {
            if one.values.and_then(Node::list).is_none_or(<[Node]>::is_empty) {
                let names: Vec<String> = there.iter().map(|e| e.inline.name.clone()).collect();
                let close = suggest::closest(one.name, names.iter().map(String::as_str));
                let message = format!("{} has no exception {:?}, and a new one needs `values`", item.title(), one.name);
                let finding = Finding::error(code::VALIDATE, message).part("exceptions");
                item.tell(one.at, finding.hint_if(close.map(super::item::did_you_mean)));
            } else if let Some(new) = complete(item, one, known_source) {
                there.push(new);
            }
            continue;
        };
        for (key, node) in [("fields", one.fields), ("comps", one.comps)] {
            if let Some(node) = node {
                let message = format!("exception {:?} is there already: only `values` can be appended", one.name);
                let finding = Finding::error(code::VALIDATE, message).part("exceptions");
                item.tell(shown(node, one.at), finding.hint(format!("remove `{key}`")));
            }
        }
        let Some(values) = one.values.and_then(Node::list) else { continue };
        if let Some(mut more) = tuples(item, one.name, &known.inline, known.single, values) {
            match (known.single, known.inline.values.first_mut(), more.first_mut()) {
                // One operator for all of them.
                (true, Some(tuple), Some(new)) => {
                    if let (Some(there), Some(new)) = (tuple.first_mut(), new.first_mut()) {
                        there.append(new);
                    }
                }
                _ => known.inline.values.append(&mut more),
            }
        }
    }
}

fn complete(item: &mut Item<'_>, written: &Written<'_>, known_source: bool) -> Option<RuleException> {
    let name = written.name;
    let Some(fields_node) = written.fields.filter(|f| !f.is_null()) else {
        let message = format!("exception {name:?} has no `fields`");
        let finding = Finding::error(code::VALIDATE, message).part("exceptions");
        item.tell(written.at, finding.hint("add fields: proc.name, or fields: [proc.name, fd.name]"));
        return None;
    };
    let single = fields_node.list().is_none();
    let fields = words(item, "fields", name, fields_node)?;
    let comps = match written.comps.filter(|c| !c.is_null()) {
        None => vec![if single { "in" } else { "=" }.to_owned(); fields.len()],
        Some(node) if single && node.list().is_some() => {
            let message = format!("exception {name:?} has one field and a list of `comps`");
            let finding = Finding::error(code::VALIDATE, message).part("exceptions");
            item.tell(node.at, finding.hint("write both as lists, or both as single words"));
            return None;
        }
        Some(node) => {
            let comps = words(item, "comps", name, node)?;
            if comps.len() != fields.len() || (!single && node.list().is_none()) {
                let message = format!(
                    "exception {name:?} has {} and {}",
                    count(fields.len(), "field"),
                    count(comps.len(), "comparison")
                );
                let finding = Finding::error(code::VALIDATE, message).part("exceptions");
                item.tell(node.at, finding.hint("give one operator for each field, as lists of one length"));
                return None;
            }
            check_comps(item, name, node, &comps, single)?;
            comps
        }
    };
    if known_source {
        check_fields(item, fields_node, &fields)?;
    }
    let mut inline = InlineException { name: name.to_owned(), fields, comps, values: Vec::new() };
    let values = written.values.and_then(Node::list).unwrap_or_default();
    inline.values = tuples(item, name, &inline, single, values)?;
    Some(RuleException { inline, single, place: item.at(written.at) })
}

/// A word or a list of words.
fn words(item: &mut Item<'_>, key: &str, name: &str, node: &Node) -> Option<Vec<String>> {
    let one = std::slice::from_ref(node);
    let nodes = node.list().unwrap_or(one);
    let words: Option<Vec<String>> =
        nodes.iter().map(|n| n.text().filter(|t| !t.is_empty() && !n.is_null()).map(str::to_owned)).collect();
    let words = words.filter(|w| !w.is_empty());
    if words.is_none() {
        let message = format!("`{key}` of exception {name:?} is a word or a list of words");
        item.tell(node.at, Finding::error(code::YAML_VALIDATE, message).part("exceptions"));
    }
    words
}

fn check_comps(item: &mut Item<'_>, name: &str, node: &Node, comps: &[String], single: bool) -> Option<()> {
    let one = std::slice::from_ref(node);
    let nodes = node.list().unwrap_or(one);
    for (comp, node) in comps.iter().zip(nodes) {
        let finding = |message: String| Finding::error(code::VALIDATE, message).part("exceptions");
        let op = comp.parse::<Op>();
        if single && !matches!(comp.as_str(), "in" | "pmatch" | "intersects") {
            let message = format!("exception {name:?} has a single field, so `{comp}` cannot be its operator");
            let hint = "use in, pmatch or intersects, or write fields: [...] and comps: [...] as lists";
            item.tell(node.at, finding(message).hint(hint));
            return None;
        }
        if op.is_err() || comp == "exists" {
            let close = suggest::closest(comp, OPERATORS);
            let hint = close.map_or_else(|| format!("operators: {}", OPERATORS.join(" ")), super::item::did_you_mean);
            item.tell(node.at, finding(format!("{comp:?} is no operator")).hint(hint));
            return None;
        }
    }
    Some(())
}

const OPERATORS: [&str; 19] = [
    "=",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "contains",
    "icontains",
    "bcontains",
    "startswith",
    "bstartswith",
    "endswith",
    "glob",
    "iglob",
    "regex",
    "in",
    "intersects",
    "pmatch",
];

fn check_fields(item: &mut Item<'_>, node: &Node, fields: &[String]) -> Option<()> {
    let one = std::slice::from_ref(node);
    let nodes = node.list().unwrap_or(one);
    let mut fine = Some(());
    for (field, node) in fields.iter().zip(nodes) {
        if let Err(error) = FieldRef::parse(field) {
            let finding = Finding::error(code::VALIDATE, error.to_string()).part("exceptions");
            item.tell(node.at, finding.hint_if(error.suggestion()));
            fine = None;
        }
    }
    fine
}

/// Values in the one form: tuples, for each field a list of values.
fn tuples(
    item: &mut Item<'_>,
    name: &str,
    inline: &InlineException,
    single: bool,
    values: &[Node],
) -> Option<Vec<Vec<Vec<String>>>> {
    let (mut tuples, mut plain, mut fine) = (Vec::new(), Vec::new(), true);
    for value in values {
        let finding = |message: String| Finding::error(code::VALIDATE, message).part("exceptions");
        if single {
            match value.text().filter(|t| !t.is_empty() && !value.is_null()) {
                Some(text) => plain.extend(list_text(text)),
                None => {
                    let message =
                        format!("exception {name:?} has a single field, so its values are plain, not {}", value.what());
                    let hint = format!("write values: [one, two], or fields: [{}]", inline.fields.join(", "));
                    item.tell(value.at, finding(message).hint(hint));
                    fine = false;
                }
            }
            continue;
        }
        let entries = value.list().filter(|entries| entries.len() == inline.fields.len());
        let Some(entries) = entries else {
            let many = value.list().map_or_else(|| value.what().to_owned(), |l| count(l.len(), "value"));
            let wanted = count(inline.fields.len(), "field");
            let message = format!("exception {name:?} has {wanted}, and here is {many}");
            let example: Vec<String> = inline.fields.iter().map(|f| format!("<{f}>")).collect();
            item.tell(value.at, finding(message).hint(format!("write - [{}]", example.join(", "))));
            fine = false;
            continue;
        };
        let mut tuple = Vec::with_capacity(entries.len());
        for (entry, comp) in entries.iter().zip(&inline.comps) {
            match entry_values(entry, comp) {
                Ok(values) => tuple.push(values),
                Err(message) => {
                    item.tell(entry.at, finding(message).hint("operators that take a list: in, intersects, pmatch"));
                    fine = false;
                }
            }
        }
        if tuple.len() == entries.len() {
            tuples.push(tuple);
        }
    }
    if !plain.is_empty() {
        tuples.push(vec![plain]);
    }
    fine.then_some(tuples)
}

fn entry_values(entry: &Node, comp: &str) -> Result<Vec<String>, String> {
    let takes_list = comp.parse::<Op>().is_ok_and(Op::takes_list);
    if let Some(items) = entry.list() {
        if !takes_list {
            return Err(format!("`{comp}` takes one value, not a list"));
        }
        let texts = items.iter().map(|item| item.text().map(list_text));
        let texts = texts.collect::<Option<Vec<_>>>().ok_or("the items of a value are plain values")?;
        return Ok(texts.into_iter().flatten().collect());
    }
    match entry.text().filter(|text| !text.is_empty()) {
        None => Err("a value must not be empty".to_owned()),
        Some(text) if takes_list => Ok(list_text(text)),
        Some(text) => Ok(vec![text.to_owned()]),
    }
}

/// The items of a text that is pasted into parentheses: `a, b` and `(a, b)` are two.
fn list_text(text: &str) -> Vec<String> {
    let one = || vec![text.to_owned()];
    if !text.starts_with('(') && !text.contains(',') {
        return one();
    }
    let inside = if text.starts_with('(') { text.to_owned() } else { format!("({text})") };
    let Ok(ast) = parse_condition(&format!("a.b in {inside}")) else { return one() };
    let ast::Node::Compare(compare) = ast.root else { return one() };
    let Right::List(items) = compare.right else { return one() };
    let written = |literal: &ast::Literal| {
        if literal.quoted { literal.text.quoted() } else { literal.text.lossy().into_owned() }
    };
    items.iter().map(|item| written(&item.value)).collect()
}

fn shown(node: &Node, else_at: Range) -> Range {
    if node.at.end > node.at.start { node.at } else { else_at }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
