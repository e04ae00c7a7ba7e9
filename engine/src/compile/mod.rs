//! From objects as written to a ruleset: every object judged on its own, so that a bad one harms no other.
//!
//! ```text
//! libraries -> scope (names by namespace; a name taken twice is a Conflict of the newer)
//! rules     -> parse, resolve, inline exceptions, tests, tenancy    bad: the last good one is kept
//! exceptions-> selectors and condition as one tree, rules in reach  bad: the last good one is kept
//! routes    -> the part that nodes need
//! ```
//! Deterministic: the order of the sources does not matter, equal content gives an equal revision.
mod exceptions;
mod outcome;
mod outline;
mod problem;
mod resolve;
mod rule_tests;
mod rules;
mod scope;
#[cfg(test)]
mod tests;

pub use outcome::{Compiled, FailedTest, Inert, ObjectKind, Outcome};
pub use outline::outline;
pub(crate) use problem::code::NO_EVTTYPE;
pub use rule_tests::failed_tests;
pub use rules::exception_condition;
pub(crate) use scope::is_list_name;

use crate::{
    diagnostic::Diagnostic,
    plan::possible_types,
    ruleset::{Exception, Rule, Ruleset, SCHEMA_VERSION},
    source::{LibrarySource, Meta, RouteSource, RuleSource, Sources},
    syntax::{Ast, Expr},
};
use exceptions::Target;
use problem::{Place, Suggest as _, code, has_error};
use resolve::Resolver;
use scope::Libraries;
use std::collections::{BTreeMap, HashSet};

/// Compiles everything. A rule or exception that is bad keeps its last good form out of `last_good`.
#[must_use]
pub fn compile(sources: &Sources, last_good: Option<&Ruleset>) -> Compiled {
    let system = sources.system_namespace.as_str();
    let mut outcomes = Vec::new();
    let libraries = compile_libraries(sources, &mut outcomes);
    let (rules, targets) = compile_rules(sources, &libraries, last_good, &mut outcomes);
    let exceptions = compile_exceptions(sources, &libraries, &targets, last_good, &mut outcomes);
    let routes = compile_routes(sources, system, &mut outcomes);
    outcomes.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
    let mut ruleset = Ruleset { schema: SCHEMA_VERSION, revision: String::new(), rules, exceptions, routes };
    ruleset.revision = ruleset.content_revision();
    Compiled { ruleset, outcomes }
}

/// Checks one condition on its own, with the libraries of `sources` as the system namespace sees them. The resolved
/// condition, or every problem; warnings come with either.
///
/// # Errors
/// It does not compile.
pub fn check_condition(text: &str, sources: &Sources) -> Result<(Expr, Vec<Diagnostic>), Vec<Diagnostic>> {
    Checker::new(sources).check(text)
}

/// Checks many conditions on their own, one after the other, with the same libraries.
pub struct Checker {
    libraries: Libraries,
    system: String,
}

impl Checker {
    /// With the libraries of `sources`, as the system namespace sees them.
    #[must_use]
    pub fn new(sources: &Sources) -> Self {
        let (libraries, _) = oldest_first(&sources.libraries, |l| &l.meta);
        let (libraries, _) = Libraries::new(libraries.into_iter());
        Self { libraries, system: sources.system_namespace.clone() }
    }

    /// See [`check_condition`].
    ///
    /// # Errors
    /// It does not compile.
    pub fn check(&self, text: &str) -> Result<(Expr, Vec<Diagnostic>), Vec<Diagnostic>> {
        let ast: Ast = crate::syntax::parse_condition(text).map_err(|error| vec![*error])?;
        let scope = self.libraries.scope(None, &self.system, &self.system);
        let mut resolver = Resolver::new(&scope);
        match resolver.resolve(&ast, "condition") {
            Some(expr) => {
                let place = Place { part: "condition", text };
                let mut problems = resolver.problems;
                problems.extend(rules::unavailable(&place, &expr).1);
                problems.extend(rules::inert(&expr).map(|why| rules::warn_inert(&place, why)));
                Ok((expr, problems))
            }
            None => Err(resolver.problems),
        }
    }
}

/// Whether no event that a hook supplies can match a condition: a rule of it is in the ruleset, and armed nowhere.
#[must_use]
pub fn is_inert(condition: &Expr) -> bool {
    rules::inert(condition).is_some()
}

fn outcome(kind: ObjectKind, meta: &Meta, diagnostics: Vec<Diagnostic>) -> Outcome {
    let accepted = !has_error(&diagnostics);
    let (id, generation) = (meta.id.clone(), meta.generation);
    Outcome {
        kind,
        id,
        generation,
        accepted,
        kept_generation: None,
        diagnostics,
        failed_test: None,
        unavailable_fields: Vec::new(),
        inert: None,
    }
}

/// Objects of one kind, oldest first, each identity once: of two files that say the same object, the first stays.
fn oldest_first<T>(items: &[T], meta: fn(&T) -> &Meta) -> (Vec<&T>, Vec<&T>) {
    let mut sorted: Vec<&T> = items.iter().collect();
    let key = |item: &T| {
        let meta = meta(item);
        (meta.created, meta.id.clone(), meta.uid.clone(), meta.origin.clone())
    };
    sorted.sort_by_cached_key(|item| key(item));
    let mut seen = HashSet::new();
    sorted.into_iter().partition(|item| seen.insert(meta(item).id.clone()))
}

fn twice(kind: ObjectKind, meta: &Meta, outcomes: &mut Vec<Outcome>) {
    let place = Place { part: "metadata.name", text: &meta.id.name };
    let message = format!("{} {} is there twice; the other one is used", kind.as_str(), meta.id);
    let problem = place.error(code::CONFLICT, place.whole(), message).suggest(Some("give one of them another name"));
    outcomes.push(outcome(kind, meta, vec![problem]));
}

fn compile_libraries(sources: &Sources, outcomes: &mut Vec<Outcome>) -> Libraries {
    let (libraries, again) = oldest_first(&sources.libraries, |l| &l.meta);
    again.iter().for_each(|l| twice(ObjectKind::Library, &l.meta, outcomes));
    let (names, problems) = Libraries::new(libraries.iter().copied());
    for (library, mut problems) in libraries.into_iter().zip(problems) {
        check_library(library, &names, &sources.system_namespace, &mut problems);
        outcomes.push(outcome(ObjectKind::Library, &library.meta, problems));
    }
    names
}

/// Resolves each of a library's own macros and lists, so that mistakes show where they are made.
fn check_library(library: &LibrarySource, names: &Libraries, system: &str, problems: &mut Vec<Diagnostic>) {
    let scope = names.scope(None, &library.meta.id.namespace, system);
    let mut resolver = Resolver::new(&scope);
    for (name, _) in &library.definitions.macros {
        let Some((def, 0)) = scope.find_macro(name, 0) else { continue };
        if let (Ok(ast), true) = (&def.ast, def.owner.as_ref() == Some(&library.meta.id)) {
            resolver.resolve(ast, &def.part);
            problems.append(&mut resolver.problems);
        }
    }
    for (name, _) in &library.definitions.lists {
        let Some((def, 0)) = scope.find_list(name, 0) else { continue };
        if def.owner.as_ref() == Some(&library.meta.id) {
            problems.extend(resolver.check_list(name, &def.part));
        }
    }
}

fn compile_rules(
    sources: &Sources,
    libraries: &Libraries,
    last_good: Option<&Ruleset>,
    outcomes: &mut Vec<Outcome>,
) -> (Vec<Rule>, Vec<Target>) {
    let (rules, again) = oldest_first(&sources.rules, |r| &r.meta);
    again.iter().for_each(|r| twice(ObjectKind::Rule, &r.meta, outcomes));
    let (mut compiled, mut targets) = (BTreeMap::new(), Vec::new());
    for source in rules {
        let judged = rules::compile(source, libraries, &sources.system_namespace);
        let mut outcome = outcome(ObjectKind::Rule, &source.meta, judged.problems);
        outcome.accepted &= judged.failed_test.is_none();
        outcome.failed_test = judged.failed_test;
        outcome.unavailable_fields = judged.unavailable_fields;
        let mut rule = judged.rule;
        if !outcome.accepted {
            rule = last_good_rule(source, last_good);
            outcome.kept_generation = rule.as_ref().map(|r| r.generation);
        }
        outcome.inert = rule.as_ref().and_then(|rule| rules::inert(&rule.condition));
        outcomes.push(outcome);
        if let Some(rule) = rule {
            let open = source.tenant_exceptions;
            targets.push(Target {
                id: rule.id.clone(),
                title: rule.title.clone(),
                tags: rule.tags.clone(),
                open_to_tenants: open.unwrap_or_else(|| exceptions::default_open_to_tenants(rule.priority)),
            });
            compiled.insert(rule.id.clone(), rule);
        }
    }
    targets.sort_by(|a, b| a.id.cmp(&b.id));
    (compiled.into_values().collect(), targets)
}

/// The rule as it was last compiled from the same object.
fn last_good_rule(source: &RuleSource, last_good: Option<&Ruleset>) -> Option<Rule> {
    let kept = last_good?.rules.iter().find(|rule| rule.id == source.meta.id && rule.uid == source.meta.uid)?;
    // One that no longer plans (it came from elsewhere) would keep the whole ruleset from being armed.
    possible_types(&kept.condition).ok().map(|_| kept.clone())
}

fn compile_exceptions(
    sources: &Sources,
    libraries: &Libraries,
    targets: &[Target],
    last_good: Option<&Ruleset>,
    outcomes: &mut Vec<Outcome>,
) -> Vec<Exception> {
    let system = sources.system_namespace.as_str();
    let (all, again) = oldest_first(&sources.exceptions, |e| &e.meta);
    again.iter().for_each(|e| twice(ObjectKind::Exception, &e.meta, outcomes));
    let mut compiled = BTreeMap::new();
    for source in all {
        let (mut exception, problems) = exceptions::compile(source, libraries, system);
        let mut outcome = outcome(ObjectKind::Exception, &source.meta, problems);
        if exception.is_none() {
            let kept = last_good.into_iter().flat_map(|r| &r.exceptions);
            exception = kept
                .filter(|e| e.id == source.meta.id && e.uid == source.meta.uid)
                .find(|e| e.condition.as_ref().is_none_or(|c| possible_types(c).is_ok()))
                .cloned();
            outcome.kept_generation = exception.as_ref().map(|e| e.generation);
        }
        if let Some(mut exception) = exception {
            exceptions::select(&mut exception, targets, system);
            if exception.rules.is_empty() {
                let place = Place { part: "rules", text: &exception.selector.names.join(", ") };
                let message = "selects no rule that it may act on";
                let hint = "names are spec.name or metadata.name; a rule's tenantExceptions may deny a tenant's";
                let problem = place.warning(code::SELECTS_NOTHING, place.whole(), message);
                outcome.diagnostics.push(problem.suggest(Some(hint)));
            }
            compiled.insert(exception.id.clone(), exception);
        }
        outcomes.push(outcome);
    }
    compiled.into_values().collect()
}

/// Routes go to nodes as they are; a tenant's sees its own namespace only.
fn compile_routes(sources: &Sources, system: &str, outcomes: &mut Vec<Outcome>) -> Vec<RouteSource> {
    let (all, again) = oldest_first(&sources.routes, |r| &r.meta);
    again.iter().for_each(|r| twice(ObjectKind::Route, &r.meta, outcomes));
    let mut compiled = BTreeMap::new();
    for source in all {
        let outcome = outcome(ObjectKind::Route, &source.meta, source.meta.problems.clone());
        if outcome.accepted {
            let mut route = source.clone();
            route.meta.problems.clear();
            // Where a file lies is no content.
            route.meta.origin.clear();
            if route.meta.id.namespace != system {
                route.namespaces = vec![route.meta.id.namespace.clone()];
            }
            compiled.insert(route.meta.id.clone(), route);
        }
        outcomes.push(outcome);
    }
    compiled.into_values().collect()
}
