//! What objects say about each other: names that nobody defined, or later than their use; definitions that nothing uses;
//! users of what cannot be used.
//!
//! As in Falco a macro may name macros defined before it (an append counts as a definition), a rule any macro, and a
//! condition any list.
use super::{
    code,
    item::did_you_mean,
    model::{Loaded, Rule},
    place::{Files, Finding, Joined, Named, Place, Problem, is_full, push, push_untold},
};
use crate::{
    compile::exception_condition,
    field::FieldRef,
    syntax::{
        Ast,
        ast::{Literal, Node, Operand, Right, Spanned},
        parse_condition, suggest,
    },
};
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};

/// Most names that one is compared with for a suggestion.
const MAX_CANDIDATES: usize = 2_000;

/// What a condition names.
#[derive(Default)]
struct Uses {
    macros: Vec<Spanned<String>>,
    /// Words that are lists if there are lists of these names.
    words: Vec<String>,
    /// Words where a value stands that are names of fields.
    fields: Vec<Spanned<String>>,
}

pub fn judge(loaded: &mut Loaded) {
    let mut problems = Vec::new();
    let mut uses: HashMap<String, Uses> = HashMap::new();
    for definition in &mut loaded.macros {
        match parse(&definition.condition, &loaded.files, definition.place, definition.named(), &mut problems) {
            Some(ast) => {
                uses.insert(definition.name.clone(), Uses::of(&ast));
            }
            None => definition.refused = Some("its condition has an error".to_owned()),
        }
    }
    let mut of_rules = Vec::with_capacity(loaded.rules.len());
    for rule in &mut loaded.rules {
        // Nobody can judge a condition about the fields of a plugin.
        let ast = if rule.refused.is_none() {
            parse(&rule.condition, &loaded.files, rule.place, rule.named(), &mut problems)
        } else {
            None
        };
        if ast.is_none() && rule.refused.is_none() {
            rule.refused = Some("its condition has an error".to_owned());
        }
        rule.open_or = ast.is_some() && is_open_or(&rule.condition.text);
        let mut used = ast.as_ref().map(Uses::of).unwrap_or_default();
        for exception in &rule.exceptions {
            used.words.extend(exception.inline.values.iter().flatten().flatten().cloned());
        }
        if rule.open_or
            && let Some(exception) = rule.exceptions.iter().find(|e| !e.inline.values.is_empty())
        {
            let message =
                "the condition has an `or` outside of parentheses, so its exceptions bind to the last part only";
            let hint = "put the whole condition in parentheses if they are meant for all of it";
            let finding = Finding::warning(code::OPEN_OR, message).part("exceptions").hint(hint);
            push(&mut problems, loaded.files.problem(exception.place, Some(rule.named()), finding));
        }
        of_rules.push(used);
    }
    check_macros(loaded, &uses, &mut problems);
    check_rules(loaded, &of_rules, &mut problems);
    warn_lists(loaded, &mut problems);
    warn_unused(loaded, &uses, &of_rules, &mut problems);
    for problem in problems {
        push(&mut loaded.problems, problem);
    }
}

/// Parses a condition; what is wrong is told at its place.
fn parse(text: &Joined, files: &Files, head: Place, object: Named, problems: &mut Vec<Problem>) -> Option<Ast> {
    match parse_condition(&text.text) {
        Ok(ast) => Some(ast),
        Err(error) => {
            let place = text.place(files, error.span).unwrap_or(head);
            let finding = Finding::error(&error.code, error.message.clone()).part("condition");
            let seam = text.is_seam(error.span.start as usize);
            let hint = seam.then(|| "begin an appended condition with `and` or `or`".to_owned());
            push(problems, files.problem(place, Some(object), finding.hint_if(hint.or(error.suggestion.clone()))));
            None
        }
    }
}

/// Whether text appended with `and` would bind to the last part of an `or`.
fn is_open_or(text: &str) -> bool {
    parse_condition(&format!("{text} and evt.num = 0")).is_ok_and(|ast| matches!(ast.root, Node::Or(_)))
}

/// The condition of a rule as Falco puts it together, exceptions included, where they cannot stand on their own.
pub fn whole_condition(rule: &Rule) -> Joined {
    let mut condition = rule.condition.clone();
    for exception in rule.exceptions.iter().filter(|_| rule.open_or) {
        if let Ok(Some(text)) = exception_condition(&exception.inline) {
            condition.push_made(&format!(" and not ({text})"), exception.place);
        }
    }
    condition
}

impl Uses {
    fn of(ast: &Ast) -> Self {
        let mut uses = Self::default();
        uses.node(&ast.root);
        uses
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| self.node(part)),
            Node::Not(inner) => self.node(inner),
            Node::Macro(name) => self.macros.push(name.clone()),
            Node::Exists(_) => {}
            Node::Compare(compare) => match &compare.right {
                Right::Value(literal) => {
                    self.word(&literal.value);
                    let text = literal.value.text.as_str().filter(|t| !literal.value.quoted && t.contains('.'));
                    if let Some(text) = text.filter(|text| FieldRef::parse(text).is_ok()) {
                        self.fields.push(Spanned::new(text.to_owned(), literal.span));
                    }
                }
                Right::List(items) => items.iter().for_each(|item| self.word(&item.value)),
                Right::Named(name) => self.words.push(name.value.clone()),
                Right::Operand(Operand::Text(literal)) => self.word(&literal.value),
                Right::Operand(_) => {}
            },
        }
    }

    fn word(&mut self, literal: &Literal) {
        if !literal.quoted {
            self.words.extend(literal.text.as_str().map(str::to_owned));
        }
    }
}

/// What is wrong with the macros that a condition names, and why that refuses it.
struct Lookup<'l> {
    files: &'l Files,
    /// Index and last definition of each macro, its place, and whether it can be used.
    macros: IndexMap<String, (usize, usize, Place, bool)>,
    lists: HashSet<String>,
}

impl<'l> Lookup<'l> {
    fn new(loaded: &'l Loaded) -> Self {
        let macros =
            loaded.macros.iter().map(|m| (m.name.clone(), (m.stamp.index, m.stamp.last, m.place, m.refused.is_none())));
        Self {
            files: &loaded.files,
            macros: macros.collect(),
            lists: loaded.lists.iter().map(|l| l.name.clone()).collect(),
        }
    }

    /// `before`: only macros defined before this one exist.
    fn check(&self, name: &str, user: Option<&str>, before: usize, told: &[Problem]) -> Option<Finding<'static>> {
        let error = |message: String| Finding::error(code::VALIDATE, message).part("condition");
        match self.macros.get(name) {
            Some(_) if user == Some(name) => {
                let hint = "give the new macro another name, or write the old condition out";
                Some(error(format!("macro {name} refers to itself")).hint(hint))
            }
            Some((index, _, place, _)) if *index >= before => {
                let line = self.files.name_line(*place);
                let message = format!("macro {name} is used before it is defined, at {line}");
                Some(error(message).hint(format!("move the definition of {name} above this macro")))
            }
            Some((.., place, false)) => {
                let line = self.files.name_line(*place);
                Some(error(format!("macro {name} cannot be used: it has an error, see {line}")))
            }
            Some(_) => None,
            None if self.lists.contains(name) => {
                let message = format!("{name} is a list, not a condition");
                Some(error(message).hint(format!("write field in ({name})")))
            }
            None => {
                let names = self.macros.keys().map(String::as_str).take(if is_full(told) { 0 } else { MAX_CANDIDATES });
                let close = suggest::closest(name, names).map(did_you_mean);
                let hint =
                    close.unwrap_or_else(|| format!("add - macro: {name}, or give the file that defines it first"));
                Some(error(format!("unknown macro {name}")).hint(hint))
            }
        }
    }
}

fn check_macros(loaded: &mut Loaded, uses: &HashMap<String, Uses>, problems: &mut Vec<Problem>) {
    let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, definition) in loaded.macros.iter().enumerate() {
        for used in uses.get(&definition.name).into_iter().flat_map(|u| &u.macros) {
            users.entry(&used.value).or_default().push(i);
        }
    }
    let mut lookup = Lookup::new(loaded);
    let mut waiting: Vec<usize> = (0..loaded.macros.len()).rev().collect();
    let mut refused: Vec<Option<String>> = loaded.macros.iter().map(|m| m.refused.clone()).collect();
    let mut told = HashSet::new();
    // Whoever uses a refused macro is judged again.
    while let Some(i) = waiting.pop() {
        let definition = &loaded.macros[i];
        let Some(used) = uses.get(&definition.name) else { continue };
        let mut bad = false;
        for name in &used.macros {
            let Some(finding) = lookup.check(&name.value, Some(&definition.name), definition.stamp.last, problems)
            else {
                continue;
            };
            bad = true;
            if is_full(problems) {
                push_untold(problems);
                break;
            }
            if told.insert((i, name.span.start)) {
                let place = definition.condition.place(&loaded.files, name.span).unwrap_or(definition.place);
                push(problems, loaded.files.problem(place, Some(definition.named()), finding));
            }
        }
        if bad && refused[i].is_none() {
            refused[i] = Some("its condition has an error".to_owned());
            if let Some(known) = lookup.macros.get_mut(&definition.name) {
                known.3 = false;
            }
            waiting.extend(users.get(definition.name.as_str()).into_iter().flatten());
        }
        compared_fields(&loaded.files, &definition.condition, definition.place, &definition.named(), used, problems);
    }
    for (definition, refused) in loaded.macros.iter_mut().zip(refused) {
        definition.refused = refused;
    }
}

fn check_rules(loaded: &mut Loaded, of_rules: &[Uses], problems: &mut Vec<Problem>) {
    let lookup = Lookup::new(loaded);
    let mut refused = Vec::new();
    for (i, (rule, used)) in loaded.rules.iter().zip(of_rules).enumerate() {
        for name in &used.macros {
            let Some(finding) = lookup.check(&name.value, None, usize::MAX, problems) else { continue };
            refused.push(i);
            if is_full(problems) {
                push_untold(problems);
                break;
            }
            let place = rule.condition.place(&loaded.files, name.span).unwrap_or(rule.place);
            push(problems, loaded.files.problem(place, Some(rule.named()), finding));
        }
        compared_fields(&loaded.files, &rule.condition, rule.place, &rule.named(), used, problems);
    }
    for i in refused {
        loaded.rules[i].refused.get_or_insert_with(|| "its condition has an error".to_owned());
    }
}

/// A value that is the name of a field is text all the same.
fn compared_fields(
    files: &Files,
    condition: &Joined,
    head: Place,
    object: &Named,
    used: &Uses,
    problems: &mut Vec<Problem>,
) {
    for field in &used.fields {
        if is_full(problems) {
            return;
        }
        let name = &field.value;
        let message = format!("{name} is taken as text here, not as the field of this name");
        let hint = format!("write val({name}) for the field's value, or \"{name}\" for the text");
        let finding = Finding::warning(code::COMPILE_CONDITION, message).part("condition").hint(hint);
        let place = condition.place(files, field.span).unwrap_or(head);
        let problem = files.problem(place, Some(object.clone()), finding);
        if !problems.contains(&problem) {
            push(problems, problem);
        }
    }
}

/// Lists that name lists of further down.
fn warn_lists(loaded: &Loaded, problems: &mut Vec<Problem>) {
    let known: HashMap<&str, (usize, Place)> =
        loaded.lists.iter().map(|l| (l.name.as_str(), (l.stamp.index, l.place))).collect();
    for list in &loaded.lists {
        for item in &list.items {
            let Some((_, place)) = known.get(item.as_str()).filter(|(index, _)| *index > list.stamp.last) else {
                continue;
            };
            let line = loaded.files.name_line(*place);
            let message = format!("list {} names the list {item}, which is defined later, at {line}", list.name);
            let finding = Finding::warning(code::UNKNOWN_ITEM, message).part("items");
            let finding = finding.hint(format!("move {item} above; its items are taken in all the same"));
            push(problems, loaded.files.problem(list.place, Some(list.named()), finding));
        }
    }
}

fn warn_unused(loaded: &Loaded, uses: &HashMap<String, Uses>, of_rules: &[Uses], problems: &mut Vec<Problem>) {
    let all = || uses.values().chain(of_rules);
    let macros: HashSet<&str> = all().flat_map(|u| &u.macros).map(|m| m.value.as_str()).collect();
    let in_lists = loaded.lists.iter().flat_map(|list| &list.items);
    let words: HashSet<&str> = all().flat_map(|u| &u.words).chain(in_lists).map(String::as_str).collect();
    for definition in loaded.macros.iter().filter(|m| !macros.contains(m.name.as_str())) {
        let message = format!("no rule and no macro uses the macro {}", definition.name);
        let finding = Finding::warning(code::UNUSED_MACRO, message);
        push(problems, loaded.files.problem(definition.place, Some(definition.named()), finding));
    }
    for list in loaded.lists.iter().filter(|l| !words.contains(l.name.as_str())) {
        let message = format!("no condition and no list uses the list {}", list.name);
        push(
            problems,
            loaded.files.problem(list.place, Some(list.named()), Finding::warning(code::UNUSED_LIST, message)),
        );
    }
}
