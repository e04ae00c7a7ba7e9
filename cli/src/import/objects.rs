//! Loaded rules files as texts of objects, with what had to be changed and what is left out.
use super::{Exceptions, ImportArgs, limits, text::Yaml};
use crds::files::load_text;
use engine::{
    compile::exception_condition,
    rules_file::{List, Loaded, Macro, Problem, Rule, RuleException, object_names},
};
use serde::Serialize;
use std::{collections::HashSet, path::Path};

/// Annotation of every object that an import wrote: the file that it comes from.
pub const ANNOTATION: &str = "eyas.dev/imported-from";

/// What an import writes.
#[derive(Default)]
pub struct Objects {
    /// Path below the folder, and content.
    pub files: Vec<(String, String)>,
    pub rules: usize,
    pub macros: usize,
    pub lists: usize,
    pub libraries: usize,
    pub exceptions: usize,
    pub changed: Vec<Changed>,
    pub refused: Vec<Refused>,
}

/// An object that is not in one piece what a file says.
#[derive(Debug, Serialize)]
pub struct Changed {
    pub kind: &'static str,
    pub name: String,
    pub how: Vec<String>,
}

/// An object that was left out.
#[derive(Debug, Serialize)]
pub struct Refused {
    pub kind: &'static str,
    pub name: String,
    pub place: String,
    pub why: String,
    /// Something has to be mended; else it was skipped as Falco would skip it.
    pub error: bool,
}

/// Makes the objects.
pub fn make(loaded: &Loaded, args: &ImportArgs) -> Objects {
    let mut objects = Objects::default();
    let names = object_names(loaded.rules.iter().map(|rule| rule.name.as_str()));
    let mut exceptions = Vec::new();
    for (rule, name) in loaded.rules.iter().zip(&names) {
        let place = loaded.rule_line(rule);
        let why = rule.refused.clone().map(|why| (why, has_error(loaded, "rule", &rule.name)));
        if let Some((why, error)) = why.or_else(|| too_large(rule).map(|why| (why, true))) {
            objects.refused.push(Refused { kind: "rule", name: rule.name.clone(), place, why, error });
            continue;
        }
        let mut how: Vec<String> = rule.changes.iter().map(|c| format!("{} by {}", c.what, c.by)).collect();
        let file = base(loaded.rule_file(rule));
        let moved = args.exceptions == Exceptions::Objects && !rule.open_or;
        let text = rule_text(rule, name, file, args, moved, &mut how);
        if !objects.add(format!("rules/{name}.yaml"), text, ("rule", &rule.name, &place)) {
            continue;
        }
        objects.rules += 1;
        if moved {
            exceptions.extend(rule.exceptions.iter().map(|exception| (rule, exception, file)));
        }
        objects.change("rule", &rule.name, how);
    }
    exception_objects(&mut objects, &exceptions, args);
    libraries(&mut objects, loaded, args);
    objects
}

/// Whether something has to be mended in an object that was refused, rather than that Falco would skip it as well.
fn has_error(loaded: &Loaded, kind: &str, name: &str) -> bool {
    let of = |p: &&Problem| p.object.as_ref().is_some_and(|o| o.kind == kind && o.name == name);
    let skips = |p: &Problem| {
        let code = p.diagnostic.code.as_str();
        !p.is_error()
            && matches!(
                code,
                "LOAD_UNKNOWN_SOURCE" | "LOAD_UNKNOWN_FILTER" | "LOAD_INVALID_MACRO_NAME" | "LOAD_INVALID_LIST_NAME"
            )
    };
    let mut found = loaded.problems.iter().filter(of).peekable();
    let mut skipped = false;
    found.any(|problem| {
        skipped |= skips(problem);
        problem.is_error()
    }) || !skipped
}

impl Objects {
    /// Adds a file if it reads back as one object without a problem.
    fn add(&mut self, path: String, text: String, (kind, name, place): (&'static str, &str, &str)) -> bool {
        let read = load_text(Path::new(&path), &text);
        let found = read.problems.iter().map(|p| p.diagnostic.message.clone());
        let found = found.chain(read.rules.iter().flat_map(|r| r.problems.iter().map(|(_, d)| d.message.clone())));
        let found = found.chain(read.libraries.iter().flat_map(|r| r.problems.iter().map(|(_, d)| d.message.clone())));
        if let Some(why) = found.into_iter().next() {
            let (name, place) = (name.to_owned(), place.to_owned());
            self.refused.push(Refused { kind, name, place, why, error: true });
            return false;
        }
        self.files.push((path, text));
        true
    }

    fn change(&mut self, kind: &'static str, name: &str, how: Vec<String>) {
        if !how.is_empty() {
            self.changed.push(Changed { kind, name: name.to_owned(), how });
        }
    }
}

/// The file alone, so that it does not matter from where an import was run.
fn base(file: &str) -> &str {
    Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or(file)
}

/// Why a rule is too large for an object.
fn too_large(rule: &Rule) -> Option<String> {
    let over = |what: &str, text: &str, most: usize| {
        let length = text.chars().count();
        (length > most).then(|| format!("its {what} has {length} characters; an object takes {most}"))
    };
    let exceptions = rule.exceptions.len();
    over("name", &rule.name, limits::NAME)
        .or_else(|| over("condition", &rule.whole_condition(), limits::CONDITION))
        .or_else(|| over("output", &rule.output.text, limits::TEXT))
        .or_else(|| {
            (exceptions > limits::EXCEPTIONS)
                .then(|| format!("it has {exceptions} exceptions; an object takes {}", limits::EXCEPTIONS))
        })
}

fn head(yaml: &mut Yaml, comments: &[String], kind: &str, name: &str, file: &str, args: &ImportArgs) {
    yaml.comments(0, comments);
    yaml.entry(0, "apiVersion", "eyas.dev/v1alpha1");
    yaml.entry(0, "kind", kind);
    yaml.line(0, "metadata:");
    yaml.entry(2, "name", name);
    yaml.entry(2, "namespace", &args.namespace);
    yaml.line(2, "annotations:");
    yaml.entry(4, ANNOTATION, file);
    yaml.line(0, "spec:");
}

fn rule_text(rule: &Rule, name: &str, file: &str, args: &ImportArgs, moved: bool, how: &mut Vec<String>) -> String {
    let mut yaml = Yaml::default();
    head(&mut yaml, &rule.comments, "DetectionRule", name, file, args);
    yaml.entry(2, "name", &rule.name);
    yaml.text(2, "description", &cut(&rule.description, limits::TEXT, "description", how));
    yaml.entry(2, "priority", rule.priority.as_str());
    if !rule.tags.is_empty() {
        let tags = &rule.tags[..rule.tags.len().min(limits::TAGS)];
        if tags.len() < rule.tags.len() {
            how.push(format!("only the first {} of its tags are kept", limits::TAGS));
        }
        yaml.list(2, "tags", tags);
    }
    if !rule.enabled {
        yaml.entry(2, "state", "Disabled");
    }
    if rule.open_or && rule.exceptions.iter().any(|e| !e.inline.values.is_empty()) {
        how.push(
            "its exceptions are written into the condition, where they bind to the last part of the `or`".to_owned(),
        );
    }
    yaml.text(2, "condition", &flow(&rule.whole_condition()));
    if !rule.open_or && !moved && !rule.exceptions.is_empty() {
        inline_exceptions(&mut yaml, rule, how);
    }
    yaml.text(2, "output", &rule.output.text);
    yaml.finish()
}

/// A condition of several lines on one: outside of quotes any white space means the same.
fn flow(condition: &str) -> String {
    // In the brackets of a field other rules hold for quotes.
    if !condition.contains('\n') || condition.contains("[\"") || condition.contains("['") {
        return condition.to_owned();
    }
    let (mut out, mut quote) = (String::with_capacity(condition.len()), None);
    let mut chars = condition.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_ascii_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
                continue;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (Some(_), '\\') => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

fn cut(text: &str, most: usize, what: &str, how: &mut Vec<String>) -> String {
    if text.chars().count() > most {
        how.push(format!("its {what} is cut after {most} characters"));
    }
    text.chars().take(most).collect()
}

fn inline_exceptions(yaml: &mut Yaml, rule: &Rule, how: &mut Vec<String>) {
    yaml.line(2, "exceptions:");
    let mut names = HashSet::new();
    for exception in &rule.exceptions {
        let inline = &exception.inline;
        let mut name = inline.name.clone();
        let mut number = 2;
        // An API server takes each name once.
        while !names.insert(name.clone()) {
            name = format!("{} ({number})", inline.name);
            number += 1;
        }
        if name != inline.name {
            how.push(format!("the second exception {} is called {name}", inline.name));
        }
        yaml.line(4, &format!("- name: {}", super::text::scalar(&name)));
        let many = inline.values.first().and_then(|t| t.first()).map_or(0, Vec::len) > limits::VALUES;
        if exception.single && !many {
            yaml.entry(6, "fields", inline.fields.first().map_or("", String::as_str));
            yaml.entry(6, "comps", inline.comps.first().map_or("in", String::as_str));
            let values = inline.values.first().and_then(|tuple| tuple.first());
            yaml.list(6, "values", values.map_or(&[], Vec::as_slice));
            continue;
        }
        yaml.list(6, "fields", &inline.fields);
        yaml.list(6, "comps", &inline.comps);
        if inline.values.is_empty() {
            yaml.line(6, "values: []");
            continue;
        }
        yaml.line(6, "values:");
        for tuple in &inline.values {
            let one = |(values, comp): (&Vec<String>, &String)| {
                let scalars: Vec<String> = values.iter().map(|v| super::text::scalar(v)).collect();
                let list = matches!(comp.as_str(), "in" | "intersects" | "pmatch");
                match scalars.as_slice() {
                    [only] if !list => only.clone(),
                    many => format!("[{}]", many.join(", ")),
                }
            };
            let values: Vec<String> = tuple.iter().zip(&inline.comps).map(one).collect();
            yaml.line(8, &format!("- [{}]", values.join(", ")));
        }
    }
}

/// Exceptions of rules as objects of their own.
fn exception_objects(objects: &mut Objects, exceptions: &[(&Rule, &RuleException, &str)], args: &ImportArgs) {
    let titles: Vec<String> =
        exceptions.iter().map(|(rule, e, _)| format!("{} {}", rule.name, e.inline.name)).collect();
    let names = object_names(titles.iter().map(String::as_str));
    for ((rule, exception, file), name) in exceptions.iter().zip(names) {
        let inline = &exception.inline;
        let condition = match exception_condition(&inline.clone()) {
            Ok(Some(text)) => text,
            Ok(None) => {
                let how = format!("its exception {} has no values and is left out", inline.name);
                objects.change("rule", &rule.name, vec![how]);
                continue;
            }
            Err(why) => {
                let place = (*file).to_owned();
                objects.refused.push(Refused { kind: "exception", name: inline.name.clone(), place, why, error: true });
                continue;
            }
        };
        let length = condition.chars().count();
        if length > limits::CONDITION {
            let why = format!("its condition has {length} characters; an object takes {}", limits::CONDITION);
            let place = (*file).to_owned();
            objects.refused.push(Refused { kind: "exception", name: inline.name.clone(), place, why, error: true });
            continue;
        }
        let mut yaml = Yaml::default();
        head(&mut yaml, &[], "Exception", &name, file, args);
        yaml.list(2, "rules", std::slice::from_ref(&rule.name));
        yaml.line(2, "match:");
        yaml.text(4, "condition", &condition);
        let reason =
            format!("Exception {:?} of the rule {:?} in {file}, which does not say why.", inline.name, rule.name);
        yaml.text(2, "reason", &reason.chars().take(limits::REASON).collect::<String>());
        if objects.add(format!("exceptions/{name}.yaml"), yaml.finish(), ("exception", &inline.name, file)) {
            objects.exceptions += 1;
        }
        objects.change("rule", &rule.name, vec![format!("its exception {} is an object of its own", inline.name)]);
    }
}

/// Macros and lists, in as few libraries as fit.
fn libraries(objects: &mut Objects, loaded: &Loaded, args: &ImportArgs) {
    let mut entries: Vec<Entry> = Vec::new();
    for definition in &loaded.macros {
        macro_entry(objects, loaded, definition, &mut entries);
    }
    let mut taken: HashSet<String> = loaded.lists.iter().map(|l| l.name.clone()).collect();
    for list in &loaded.lists {
        list_entry(objects, loaded, list, &mut taken, &mut entries);
    }
    let mut file: Vec<&str> = loaded.file_names().map(base).collect();
    file.dedup();
    let file = file.join(" ");
    let mut rest = entries.as_slice();
    while !rest.is_empty() {
        let (mut bytes, mut counts, mut take) = (0, [0, 0], 0);
        while let Some(entry) = rest.get(take) {
            counts[usize::from(entry.is_list)] += 1;
            bytes += entry.text.len();
            let full = bytes > limits::LIBRARY_BYTES || counts.iter().any(|n| *n > limits::DEFINITIONS);
            if full && take > 0 {
                break;
            }
            take += 1;
        }
        objects.libraries += 1;
        let name = match objects.libraries {
            1 => args.library_name.clone(),
            n => format!("{}-{n}", args.library_name),
        };
        let mut yaml = Yaml::default();
        head(&mut yaml, &[], "RuleLibrary", &name, &file, args);
        let mut text = yaml.finish();
        let (here, later) = rest.split_at(take);
        for (key, is_list) in [("macros", false), ("lists", true)] {
            let mut of = here.iter().filter(|entry| entry.is_list == is_list).peekable();
            if of.peek().is_some() {
                text.push_str(&format!("  {key}:\n"));
                of.for_each(|entry| text.push_str(&entry.text));
            }
        }
        // What does not read back is told as refused, and the rest of the libraries stands.
        objects.add(format!("libraries/{name}.yaml"), text, ("library", &name, &file));
        rest = later;
    }
    if objects.libraries > 1 {
        let how = format!("{} objects, since one would be too large", objects.libraries);
        objects.change("library", &args.library_name, vec![how]);
    }
}

/// A macro or list of a library.
struct Entry {
    is_list: bool,
    text: String,
}

fn macro_entry(objects: &mut Objects, loaded: &Loaded, definition: &Macro, entries: &mut Vec<Entry>) {
    let name = &definition.name;
    let condition = &definition.condition.text;
    let length = condition.chars().count();
    let large = (length > limits::CONDITION || name.chars().count() > limits::NAME)
        .then(|| (format!("its condition has {length} characters; an object takes {}", limits::CONDITION), true));
    let refused = definition.refused.clone().map(|why| (why, has_error(loaded, "macro", name)));
    if let Some((why, error)) = refused.or(large) {
        let place = loaded.macro_line(definition);
        objects.refused.push(Refused { kind: "macro", name: name.clone(), place, why, error });
        return;
    }
    let mut yaml = Yaml::default();
    yaml.comments(4, &definition.comments);
    yaml.line(4, &format!("- name: {}", super::text::scalar(name)));
    yaml.text(6, "condition", &flow(condition));
    entries.push(Entry { is_list: false, text: yaml.finish() });
    objects.macros += 1;
    let how = definition.changes.iter().map(|c| format!("{} by {}", c.what, c.by)).collect();
    objects.change("macro", name, how);
}

fn list_entry(
    objects: &mut Objects,
    loaded: &Loaded,
    list: &List,
    taken: &mut HashSet<String>,
    entries: &mut Vec<Entry>,
) {
    if let Some(why) = &list.refused {
        let error = has_error(loaded, "list", &list.name);
        let place = loaded.list_line(list);
        objects.refused.push(Refused { kind: "list", name: list.name.clone(), place, why: why.clone(), error });
        return;
    }
    let mut how: Vec<String> = list.changes.iter().map(|c| format!("{} by {}", c.what, c.by)).collect();
    let parts = split(&list.items);
    let mut add = |name: &str, comments: &[String], items: &[String]| {
        let mut yaml = Yaml::default();
        yaml.comments(4, comments);
        yaml.line(4, &format!("- name: {}", super::text::scalar(name)));
        yaml.list(6, "items", items);
        entries.push(Entry { is_list: true, text: yaml.finish() });
    };
    if let [only] = parts.as_slice() {
        add(&list.name, &list.comments, only);
    } else {
        let mut names = Vec::with_capacity(parts.len());
        for part in &parts {
            let mut number = names.len() + 1;
            let mut name = format!("{}_part_{number}", list.name);
            while !taken.insert(name.clone()) {
                number += parts.len();
                name = format!("{}_part_{number}", list.name);
            }
            add(&name, &[], part);
            names.push(name);
        }
        add(&list.name, &list.comments, &names);
        how.push(format!("split into {} lists, since one would be too large", names.len()));
    }
    objects.lists += 1;
    objects.change("list", &list.name, how);
}

/// Items in parts that an object can hold.
fn split(items: &[String]) -> Vec<&[String]> {
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (i, item) in items.iter().enumerate() {
        bytes += item.len() + 12;
        if i - start >= limits::ITEMS || (bytes > limits::LIST_BYTES && i > start) {
            parts.push(&items[start..i]);
            (start, bytes) = (i, item.len() + 12);
        }
    }
    parts.push(&items[start..]);
    parts
}
