//! One Exception: its selectors as one condition, and the rules it may act on.
use super::{
    problem::{Place, code, has_error},
    resolve::Resolver,
    rules::in_namespace,
    scope::Libraries,
};
use crate::{
    diagnostic::Diagnostic,
    field::{Field, FieldError, FieldRef},
    priority::Priority,
    ruleset::Exception,
    source::{ExceptionSource, LabelOp, LabelRequirement, ObjectRef, RuleSelector},
    syntax::{Expr, Op, Quantifier, Text, parse_condition},
};

/// What an exception needs to know of a rule.
pub struct Target {
    pub id: ObjectRef,
    pub title: String,
    pub tags: Vec<String>,
    /// Whether tenants' exceptions may act on it.
    pub open_to_tenants: bool,
}

/// The default of `tenantExceptions`: tenants may silence what at most warns.
pub fn default_open_to_tenants(priority: Priority) -> bool {
    priority <= Priority::Warning
}

/// Compiles an exception; its rules are set by [`select`].
pub fn compile(source: &ExceptionSource, libraries: &Libraries, system: &str) -> (Option<Exception>, Vec<Diagnostic>) {
    let mut problems = source.meta.problems.clone();
    let namespace = &source.meta.id.namespace;
    let tenant = namespace != system;
    let mut parts = Vec::new();
    for requirement in &source.pod_selector {
        match label(requirement) {
            Ok(part) => parts.push(part),
            Err(error) => {
                let place = Place { part: "match.podSelector", text: &requirement.key };
                problems.push(place.error(code::VALIDATE, place.whole(), error.to_string()));
            }
        }
    }
    if !source.pod_selector.is_empty() {
        // `NotIn` and `DoesNotExist` hold for what has no labels: they are about pods all the same.
        parts.push(Expr::Exists(crate::syntax::Operand::Field(FieldRef::plain(Field::K8sPodName))));
    }
    parts.extend(Expr::any(source.service_accounts.iter().map(|account| service_account(account))));
    parts.extend(patterns(Field::ContainerImage, &source.images));
    parts.extend(one_of(Field::ContainerName, &source.containers));
    parts.extend(one_of(Field::K8sNsName, &source.namespaces));
    parts.extend(processes(&source.processes));
    if let Some(text) = &source.condition {
        let scope = libraries.scope(None, namespace, system);
        let mut resolver = Resolver::new(&scope);
        match parse_condition(text) {
            Ok(ast) => parts.extend(resolver.resolve(&ast, "match.condition")),
            Err(mut error) => {
                "match.condition".clone_into(&mut error.part);
                problems.push(*error);
            }
        }
        problems.append(&mut resolver.problems);
    }
    if tenant && !source.namespaces.is_empty() && !has_error(&problems) {
        let place = Place { part: "match.namespaces", text: &source.namespaces.join(", ") };
        let message = format!("only an Exception in {system} may select namespaces");
        problems.push(place.error(code::VALIDATE, place.whole(), message));
    }
    if has_error(&problems) {
        return (None, problems);
    }
    let condition = Expr::all(parts);
    let condition = if tenant { Some(in_namespace(namespace, condition)) } else { condition };
    let exception = Exception {
        id: source.meta.id.clone(),
        uid: source.meta.uid.clone(),
        generation: source.meta.generation,
        selector: source.rules.clone(),
        rules: Vec::new(),
        condition,
        expires_at: source.expires_at,
    };
    (Some(exception), problems)
}

/// Sets the rules that an exception acts on: selected, and within its reach.
pub fn select(exception: &mut Exception, targets: &[Target], system: &str) {
    let namespace = &exception.id.namespace;
    let reach = |target: &Target| {
        namespace == system
            || target.id.namespace == *namespace
            || (target.id.namespace == system && target.open_to_tenants)
    };
    let selected = targets.iter().filter(|target| reach(target) && selects(&exception.selector, target));
    exception.rules = selected.map(|target| target.id.clone()).collect();
}

/// Whether a selector selects a rule: by title, by object name, or by tag; an empty one selects all.
pub fn selects(selector: &RuleSelector, rule: &Target) -> bool {
    let RuleSelector { names, tags } = selector;
    if names.is_empty() && tags.is_empty() {
        return true;
    }
    names.iter().any(|name| *name == rule.title || *name == rule.id.name) || tags.iter().any(|t| rule.tags.contains(t))
}

fn texts(values: &[String]) -> Vec<Text> {
    values.iter().map(|value| Text::from(value.as_str())).collect()
}

fn one_of(field: Field, values: &[String]) -> Option<Expr> {
    (!values.is_empty()).then(|| Expr::compare_list(FieldRef::plain(field), Op::In, None, texts(values)))
}

fn patterns(field: Field, values: &[String]) -> Option<Expr> {
    let any = Some(Quantifier::AnyOf);
    (!values.is_empty()).then(|| Expr::compare_list(FieldRef::plain(field), Op::Glob, any, texts(values)))
}

/// Paths name executables, other words name processes.
fn processes(values: &[String]) -> Option<Expr> {
    let (paths, names): (Vec<String>, Vec<String>) = values.iter().cloned().partition(|value| value.starts_with('/'));
    Expr::any(patterns(Field::ProcExepath, &paths).into_iter().chain(patterns(Field::ProcName, &names)))
}

fn service_account(account: &str) -> Expr {
    let name = |name: &str| Expr::compare(FieldRef::plain(Field::K8sSaName), Op::Eq, name);
    match account.split_once('/') {
        Some((namespace, account)) => {
            Expr::And(vec![Expr::compare(FieldRef::plain(Field::K8sNsName), Op::Eq, namespace), name(account)])
        }
        None => name(account),
    }
}

fn label(requirement: &LabelRequirement) -> Result<Expr, FieldError> {
    let field = FieldRef::with_arg(Field::K8sPodLabel, &requirement.key)?;
    let values = || texts(&requirement.values);
    let exists = |field| Expr::Exists(crate::syntax::Operand::Field(field));
    Ok(match requirement.op {
        LabelOp::In => Expr::compare_list(field, Op::In, None, values()),
        LabelOp::NotIn => Expr::compare_list(field, Op::In, None, values()).negate(),
        LabelOp::Exists => exists(field),
        LabelOp::DoesNotExist => exists(field).negate(),
    })
}
