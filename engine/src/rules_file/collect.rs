//! From objects of files to definitions: defined, redefined, appended to, overridden, in the order of the files.
//!
//! An object with a mistake changes nothing; what was there before it stays.
use super::{
    code, exceptions,
    item::{How, Item, Overrides, did_you_mean},
    model::{Change, List, Macro, Rule, Stamp},
    place::{Files, Finding, Joined, Named, Problem, is_full},
    yaml::{Node, Range, Tree},
};
use crate::{compile::is_list_name, priority::Priority, syntax::suggest};
use indexmap::{IndexMap, IndexSet};

const LIST_KEYS: [&str; 4] = ["list", "items", "append", "override"];
const MACRO_KEYS: [&str; 4] = ["macro", "condition", "append", "override"];
const RULE_KEYS: [&str; 15] = [
    "rule",
    "desc",
    "condition",
    "output",
    "priority",
    "source",
    "enabled",
    "tags",
    "exceptions",
    "append",
    "override",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "capture",
    "capture_duration",
];
const RULE_APPEND: [&str; 5] = ["condition", "output", "desc", "tags", "exceptions"];
const RULE_REPLACE: [&str; 11] = [
    "condition",
    "output",
    "desc",
    "tags",
    "exceptions",
    "priority",
    "enabled",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "capture",
    "capture_duration",
];
/// What an object can be.
const KINDS: [&str; 5] = ["rule", "macro", "list", "required_engine_version", "required_plugin_versions"];
/// Most names that one is compared with for a suggestion.
const MAX_CANDIDATES: usize = 2_000;
/// Falco's name of the source that needs no plugin.
pub const SYSCALL: &str = "syscall";

/// The definitions so far.
#[derive(Default)]
pub struct Collector {
    pub lists: IndexMap<String, List>,
    pub macros: IndexMap<String, Macro>,
    pub rules: IndexMap<String, Rule>,
    /// How many definitions there were.
    count: usize,
}

/// One object of a file, and the comments that belong to it.
pub struct Entry<'a> {
    pub files: &'a Files,
    pub file: usize,
    pub node: &'a Node,
    pub comments: Vec<String>,
}

impl Collector {
    /// Takes up one object.
    pub fn take(&mut self, entry: Entry<'_>, problems: &mut Vec<Problem>) {
        let Entry { files, file, node, comments } = entry;
        let head = Range { start: node.at.start, end: node.at.start.saturating_add(1) };
        let mut item = Item { files, problems, file, object: None, node, head, bad: false };
        if !matches!(node.tree, Tree::Map(_)) {
            let message = format!("an entry of a rules file is a map, not {}", node.what());
            let hint = "write - rule: ..., - macro: ..., or - list: ...";
            return item.tell(node.at, Finding::error(code::YAML_VALIDATE, message).hint(hint));
        }
        if item.has("required_engine_version") {
            super::versions::engine(&mut item);
        } else if item.has("required_plugin_versions") {
            super::versions::plugins(&mut item);
        } else if item.has("list") {
            self.list(&mut item, comments);
        } else if item.has("macro") {
            self.macro_(&mut item, comments);
        } else if item.has("rule") {
            self.rule(&mut item, comments);
        } else {
            unknown(&mut item);
        }
    }

    fn stamp(&mut self, there: Option<Stamp>) -> Stamp {
        let number = self.count;
        self.count += 1;
        Stamp { index: there.map_or(number, |stamp| stamp.index), last: number }
    }

    fn list(&mut self, item: &mut Item<'_>, comments: Vec<String>) {
        let Some(name) = name(item, "list") else { return };
        item.check_keys(&LIST_KEYS);
        let mut refused = None;
        if !is_list_name(&name) {
            let message = format!("no condition can name the list {name:?}");
            let hint = "use a name without spaces, quotes, parentheses, `=` and commas";
            item.tell(item.head, Finding::warning(code::LIST_NAME, message).hint(hint));
            refused = Some("no condition can name it".to_owned());
        }
        let old = item.old_append("items");
        let overrides = item.overrides(&["items"], &["items"]);
        let items = item.required("items").and_then(|node| item.texts("items", node));
        let Some(items) = items.filter(|_| !item.bad) else { return };
        let items: Vec<String> = items.into_iter().flat_map(split_item).collect();
        let place = item.place();
        let how = overrides.first().map(|(_, how, _)| *how);
        let append = old || how == Some(How::Append);
        if append && !exists(item, "list", &name, (self.lists.contains_key(&name), self.lists.keys()), "append to") {
            return;
        }
        let stamp = self.stamp(self.lists.get(&name).map(|l| l.stamp));
        let by = item.files.name_line(place);
        match self.lists.get_mut(&name) {
            Some(there) if append => {
                there.items.extend(items);
                there.stamp = stamp;
                there.comments.extend(comments);
                there.changes.push(Change { what: "items appended".to_owned(), by });
            }
            Some(there) => {
                let mut changes = std::mem::take(&mut there.changes);
                changes.push(Change { what: "defined again".to_owned(), by });
                *there = List { name, items, comments, changes, refused, place, stamp };
            }
            None => {
                let list = List { name: name.clone(), items, comments, changes: Vec::new(), refused, place, stamp };
                self.lists.insert(name, list);
            }
        }
    }

    fn macro_(&mut self, item: &mut Item<'_>, comments: Vec<String>) {
        let Some(name) = name(item, "macro") else { return };
        item.check_keys(&MACRO_KEYS);
        let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let mut refused = None;
        if !fits || matches!(name.as_str(), "and" | "or" | "not") {
            let message = format!("no condition can name the macro {name:?}");
            let hint = "use letters, digits and `_`, a letter first";
            item.tell(item.head, Finding::warning(code::MACRO_NAME, message).hint(hint));
            refused = Some("no condition can name it".to_owned());
        }
        let old = item.old_append("condition");
        let overrides = item.overrides(&["condition"], &["condition"]);
        let condition = item.joined("condition");
        let Some(condition) = condition.filter(|_| !item.bad) else { return };
        let place = item.place();
        let append = old || overrides.first().is_some_and(|(_, how, _)| *how == How::Append);
        if append && !exists(item, "macro", &name, (self.macros.contains_key(&name), self.macros.keys()), "append to") {
            return;
        }
        let stamp = self.stamp(self.macros.get(&name).map(|m| m.stamp));
        let by = item.files.name_line(place);
        match self.macros.get_mut(&name) {
            Some(there) if append => {
                there.condition.append(&condition);
                there.stamp = stamp;
                there.comments.extend(comments);
                there.changes.push(Change { what: "condition appended".to_owned(), by });
            }
            Some(there) => {
                let mut changes = std::mem::take(&mut there.changes);
                changes.push(Change { what: "defined again".to_owned(), by });
                *there = Macro { name, condition, comments, changes, refused, place, stamp };
            }
            None => {
                let new = Macro { name: name.clone(), condition, comments, changes: Vec::new(), refused, place, stamp };
                self.macros.insert(name, new);
            }
        }
    }

    fn rule(&mut self, item: &mut Item<'_>, comments: Vec<String>) {
        let Some(name) = name(item, "rule") else { return };
        item.check_keys(&RULE_KEYS);
        for key in ["capture", "capture_duration"] {
            if let Some((at, _)) = item.entry(key) {
                let message = format!("`{key}` has no effect: Eyas does not capture events into files");
                item.tell(at, Finding::warning(code::UNAVAILABLE, message).part(key));
            }
        }
        let old = item.old_append("condition");
        let overrides = item.overrides(&RULE_APPEND, &RULE_REPLACE);
        if item.bad {
            return;
        }
        if !overrides.is_empty() {
            self.override_rule(item, &name, &overrides, comments);
        } else if old {
            let parts: Overrides<'_> = ["condition", "exceptions"]
                .into_iter()
                .filter_map(|key| item.entry(key).map(|(at, _)| (key, How::Append, at)))
                .collect();
            for (key, at, _) in item.entries() {
                if !matches!(&**key, "rule" | "condition" | "exceptions" | "append") && RULE_KEYS.contains(&&**key) {
                    let message = format!("`{key}` beside `append: true` has no effect");
                    let hint = format!("write override: {{{key}: replace}} in place of append: true");
                    item.tell(*at, Finding::warning(code::UNKNOWN_ITEM, message).hint(hint));
                }
            }
            if parts.is_empty() {
                let message = "there is nothing to append";
                let finding = Finding::error(code::VALIDATE, message).hint("add `condition:` or `exceptions:`");
                return item.tell(item.head, finding);
            }
            self.override_rule(item, &name, &parts, comments);
        } else if ["condition", "output", "desc", "priority"].iter().all(|key| !item.has(key)) {
            self.enable_rule(item, &name);
        } else {
            self.define_rule(item, name, comments);
        }
    }

    /// `- rule: X` with `enabled` alone: an older form of an override.
    fn enable_rule(&mut self, item: &mut Item<'_>, name: &str) {
        if item.required("enabled").is_none() {
            return;
        }
        let Some(enabled) = item.truth("enabled") else { return };
        let at = item.entry("enabled").map_or(item.head, |(at, _)| at);
        let hint = "add override: {enabled: replace}";
        item.tell(at, Finding::warning(code::DEPRECATED, "`enabled` without `override` is deprecated").hint(hint));
        if !exists(item, "rule", name, (self.rules.contains_key(name), self.rules.keys()), "enable or disable") {
            return;
        }
        let by = item.files.name_line(item.place());
        if let Some(rule) = self.rules.get_mut(name) {
            rule.enabled = enabled;
            rule.changes.push(Change { what: (if enabled { "enabled" } else { "disabled" }).to_owned(), by });
        }
    }

    fn define_rule(&mut self, item: &mut Item<'_>, name: String, comments: Vec<String>) {
        let condition = item.joined("condition");
        let output = output(item);
        let description = item.required_text("desc");
        let priority = priority(item);
        let source = item.optional_text("source").unwrap_or(SYSCALL).to_owned();
        let enabled = item.truth("enabled").unwrap_or(true);
        let warn_evttypes = item.truth("warn_evttypes").unwrap_or(true);
        let skip_if_unknown_filter = item.truth("skip-if-unknown-filter").unwrap_or(false);
        let tags = tags(item);
        let written = exceptions::read(item, false);
        let exceptions = exceptions::define(item, &written, source == SYSCALL);
        if let Some(there) = self.rules.get(&name).filter(|there| there.source != source) {
            let message = format!(
                "rule {name:?} has the source {} at {}, and {source} here",
                there.source,
                item.files.name_line(there.place)
            );
            let at = item.entry("source").map_or(item.head, |(_, node)| node.at);
            item.tell(at, Finding::error(code::VALIDATE, message).hint("give one of them another name"));
        }
        let (Some(condition), Some(output), Some(description), Some(priority)) =
            (condition, output, description, priority)
        else {
            return;
        };
        if item.bad {
            return;
        }
        let mut refused = None;
        if source != SYSCALL {
            let at = item.entry("source").map_or(item.head, |(_, node)| node.at);
            let message = format!("unknown source {source}; the rule is skipped");
            let hint = suggest::closest(&source, [SYSCALL]).map(did_you_mean);
            let hint = hint.unwrap_or_else(|| "Eyas reads system calls; events of plugins stay with Falco".to_owned());
            item.tell(at, Finding::warning(code::UNKNOWN_SOURCE, message).part("source").hint(hint));
            refused = Some(format!("unknown source {source}"));
        }
        let place = item.place();
        let mut rule = Rule {
            name: name.clone(),
            description: description.trim().to_owned(),
            condition,
            output,
            priority,
            tags: tags.unwrap_or_default(),
            source,
            enabled,
            warn_evttypes,
            skip_if_unknown_filter,
            exceptions,
            comments,
            changes: Vec::new(),
            refused,
            open_or: false,
            place,
        };
        if let Some(there) = self.rules.get_mut(&name) {
            rule.changes = std::mem::take(&mut there.changes);
            let by = item.files.name_line(place);
            rule.changes.push(Change { what: "defined again".to_owned(), by });
            *there = rule;
        } else {
            self.rules.insert(name, rule);
        }
    }

    fn override_rule(&mut self, item: &mut Item<'_>, name: &str, overrides: &Overrides<'_>, comments: Vec<String>) {
        if item.has("override") {
            for (key, at, _) in item.entries() {
                if RULE_REPLACE.contains(&&**key) && overrides.iter().all(|(other, ..)| *other != &**key) {
                    let message = format!("`{key}` is here, and `override` does not say what to do with it");
                    let can = if RULE_APPEND.contains(&&**key) { "append or replace" } else { "replace" };
                    let hint = format!("add {key}: {can} to `override`, or remove `{key}`");
                    item.tell(*at, Finding::error(code::YAML_VALIDATE, message).hint(hint));
                }
            }
        }
        if !exists(item, "rule", name, (self.rules.contains_key(name), self.rules.keys()), "override") || item.bad {
            return;
        }
        let Some(there) = self.rules.get(name) else { return };
        // On a copy: a mistake in one part leaves the rule as it was.
        let mut rule = there.clone();
        for (key, how, _) in overrides {
            change(item, &mut rule, key, *how);
        }
        if item.bad {
            return;
        }
        let by = item.files.name_line(item.place());
        for (key, how, _) in overrides {
            let done = if *how == How::Append { "appended" } else { "replaced" };
            rule.changes.push(Change { what: format!("{key} {done}"), by: by.clone() });
        }
        rule.comments.extend(comments);
        if let Some(there) = self.rules.get_mut(name) {
            *there = rule;
        }
    }
}

/// Changes one part of a rule.
fn change(item: &mut Item<'_>, rule: &mut Rule, key: &str, how: How) {
    match (key, how) {
        ("condition", _) => put(&mut rule.condition, item.joined(key), how),
        ("output", _) => put(&mut rule.output, output(item), how),
        ("desc", _) => {
            if let Some(text) = item.required_text(key) {
                match how {
                    How::Append => rule.description = format!("{} {}", rule.description, text.trim()),
                    How::Replace => text.trim().clone_into(&mut rule.description),
                }
            }
        }
        ("tags", _) => {
            if let Some(tags) = tags(item) {
                if how == How::Replace {
                    rule.tags.clear();
                }
                let all: IndexSet<String> = rule.tags.drain(..).chain(tags).collect();
                rule.tags = all.into_iter().collect();
            }
        }
        ("exceptions", How::Append) => {
            let written = exceptions::read(item, true);
            exceptions::append(item, &written, &mut rule.exceptions, rule.source == SYSCALL);
        }
        ("exceptions", How::Replace) => {
            let written = exceptions::read(item, false);
            rule.exceptions = exceptions::define(item, &written, rule.source == SYSCALL);
        }
        ("priority", _) => rule.priority = priority(item).unwrap_or(rule.priority),
        ("enabled", _) => rule.enabled = item.truth(key).unwrap_or(rule.enabled),
        ("warn_evttypes", _) => rule.warn_evttypes = item.truth(key).unwrap_or(rule.warn_evttypes),
        ("skip-if-unknown-filter", _) => {
            rule.skip_if_unknown_filter = item.truth(key).unwrap_or(rule.skip_if_unknown_filter);
        }
        // What is captured is nothing here.
        _ => {}
    }
}

fn put(text: &mut Joined, new: Option<Joined>, how: How) {
    match (new, how) {
        (Some(new), How::Append) => text.append(&new),
        (Some(new), How::Replace) => *text = new,
        (None, _) => {}
    }
}

/// `output`, where Falco still takes an older word for two fields.
fn output(item: &mut Item<'_>) -> Option<Joined> {
    const OLD: &str = "%container.info";
    const NEW: &str = "%container.name (id=%container.id)";
    let mut output = item.joined("output")?;
    if output.text.contains(OLD) {
        let at = item.entry("output").map_or(item.head, |(_, node)| node.at);
        let message = format!("{OLD} is deprecated");
        item.tell(at, Finding::warning(code::DEPRECATED, message).part("output").hint(format!("write {NEW}")));
        output.text = output.text.replace(OLD, NEW);
    }
    Some(output)
}

/// The name of an object; from here on its problems bear it.
fn name(item: &mut Item<'_>, kind: &'static str) -> Option<String> {
    let node = item.required(kind)?;
    let name = item.plain(kind, node)?.to_owned();
    item.head = node.at;
    item.object = Some(Named { kind, name: name.clone() });
    Some(name)
}

fn priority(item: &mut Item<'_>) -> Option<Priority> {
    let node = item.required("priority")?;
    let text = item.plain("priority", node)?;
    let parsed = text.parse::<Priority>();
    if parsed.is_err() {
        let lower = text.to_ascii_lowercase();
        let names = Priority::ALL.map(|p| p.as_str().to_ascii_lowercase());
        let close = suggest::closest(&lower, names.iter().map(String::as_str));
        let close = close.and_then(|c| c.parse::<Priority>().ok()).map(|p| did_you_mean(p.as_str()));
        let all = || "write one of Emergency, Alert, Critical, Error, Warning, Notice, Informational, Debug".to_owned();
        let finding = Finding::error(code::YAML_VALIDATE, format!("unknown priority {text:?}")).part("priority");
        item.tell(node.at, finding.hint(close.unwrap_or_else(all)));
    }
    parsed.ok()
}

fn tags(item: &mut Item<'_>) -> Option<Vec<String>> {
    let (_, node) = item.entry("tags").filter(|(_, node)| !node.is_null())?;
    let tags: IndexSet<&str> = item.texts("tags", node)?.into_iter().collect();
    Some(tags.into_iter().map(str::to_owned).collect())
}

/// Falco pastes items as text: a comma between words without spaces makes two of one.
fn split_item(item: &str) -> Vec<String> {
    let plain = !item.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')'));
    if plain && item.contains(',') {
        item.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    } else {
        vec![item.to_owned()]
    }
}

/// Whether there is an object to change.
fn exists<'k>(
    item: &mut Item<'_>,
    kind: &str,
    name: &str,
    there: (bool, impl Iterator<Item = &'k String> + Clone),
    what: &str,
) -> bool {
    if there.0 {
        return true;
    }
    let close = there.1.map(String::as_str);
    // Among very many names the search would cost more than it is worth.
    let close = close.take(if is_full(item.problems) { 0 } else { MAX_CANDIDATES });
    let lower = name.to_lowercase();
    let same = close.clone().find(|other| other.to_lowercase() == lower);
    let close = same.or_else(|| suggest::closest(name, close)).map(|other| format!("did you mean {other:?}?"));
    let hint = close.unwrap_or_else(|| "give the file that defines it before this one".to_owned());
    let message = format!("there is no {kind} {name:?} to {what}");
    item.tell(item.head, Finding::error(code::VALIDATE, message).hint(hint));
    false
}

fn unknown(item: &mut Item<'_>) {
    let first = item.entries().first().map(|(key, at, _)| (key.to_string(), *at));
    let (key, at) = first.unwrap_or_else(|| (String::new(), item.head));
    let keys = item.entries().iter().map(|(key, at, _)| (&**key, *at));
    let close = keys.clone().find_map(|(key, at)| suggest::closest(key, KINDS).map(|kind| (key, at, kind)));
    let (message, at, hint) = match close {
        Some((key, at, kind)) => (format!("unknown entry `{key}`; it is left out"), at, did_you_mean(kind)),
        None if item.has("condition") && item.has("output") => {
            ("an entry without `rule`; it is left out".to_owned(), at, "add - rule: with its name".to_owned())
        }
        None if item.has("condition") => {
            ("an entry without `macro`; it is left out".to_owned(), at, "add - macro: with its name".to_owned())
        }
        None if item.has("items") => {
            ("an entry without `list`; it is left out".to_owned(), at, "add - list: with its name".to_owned())
        }
        None => (format!("unknown entry `{key}`; it is left out"), at, format!("entries are {}", KINDS.join(", "))),
    };
    item.tell(at, Finding::warning(code::UNKNOWN_ITEM, message).hint(hint));
}
