//! One rule: condition, inline exceptions, output, tests, tenancy.
use super::{
    outcome::{FailedTest, Inert},
    problem::{Place, Suggest as _, code, has_error},
    resolve::Resolver,
    rule_tests,
    scope::{Item, Libraries, Names, Scope},
};
use crate::{
    diagnostic::Diagnostic,
    event::EventType,
    field::{Field, FieldRef, Supply},
    output::Template,
    plan::possible_types,
    ruleset::Rule,
    source::{InlineException, RuleSource, RuleState},
    syntax::{Expr, Op, Operand, Right, Text, parse_condition},
};

/// What became of a rule.
pub struct Judged {
    /// Compiled, when nothing is wrong.
    pub rule: Option<Rule>,
    pub problems: Vec<Diagnostic>,
    pub failed_test: Option<FailedTest>,
    /// Named in the condition or the output, and supplied by no hook.
    pub unavailable_fields: Vec<String>,
}

/// Compiles a rule. `system`: the namespace whose rules see the whole cluster.
pub fn compile(source: &RuleSource, libraries: &Libraries, system: &str) -> Judged {
    let mut problems = source.meta.problems.clone();
    if has_error(&problems) && source.condition.is_empty() && source.output.is_empty() {
        // An object that could not be read: that it says nothing is no news.
        return Judged { rule: None, problems, failed_test: None, unavailable_fields: Vec::new() };
    }
    let mut local = Names::default();
    local.add(&source.definitions, None, &mut problems);
    let scope = libraries.scope(Some(&local), &source.meta.id.namespace, system);

    let condition = condition(source, &scope, &mut problems);
    let template = Template::parse(&source.output).map_err(|error| problems.push(*error)).ok();
    if source.output.trim().is_empty() {
        let place = Place { part: "output", text: &source.output };
        let hint = "say what happened: Shell in a container (command=%proc.cmdline)";
        problems.push(place.error(code::OUTPUT, place.whole(), "the output is empty").suggest(Some(hint)));
    }
    if condition.is_some() {
        // What a condition that does not compile would use is not known.
        warn_unused(&local, &mut problems);
    }
    let Some(condition) = condition.filter(|_| !has_error(&problems)) else {
        return Judged { rule: None, problems, failed_test: None, unavailable_fields: Vec::new() };
    };
    let place = Place { part: "condition", text: &source.condition };
    let (mut unavailable_fields, warnings) = unavailable(&place, &condition);
    problems.extend(warnings);
    let shown = template.iter().flat_map(Template::fields);
    problems.extend(unavailable_in_output(&source.output, shown, &mut unavailable_fields));
    warn_types(source, &condition, &mut problems);

    let mut rule = Rule {
        id: source.meta.id.clone(),
        uid: source.meta.uid.clone(),
        generation: source.meta.generation,
        title: source.title.clone(),
        description: source.description.clone(),
        condition,
        output: source.output.clone(),
        priority: source.priority,
        tags: source.tags.clone(),
        state: source.state,
        unavailable_fields: unavailable_fields.clone(),
    };
    // Tests see the rule as written, so before the tenant's bound.
    let failed_test = rule_tests::run(&rule, &source.tests);
    if failed_test.is_some() {
        return Judged { rule: None, problems, failed_test, unavailable_fields };
    }
    if source.meta.id.namespace != system {
        rule.condition = in_namespace(&source.meta.id.namespace, Some(rule.condition));
    }
    let rule = Some(rule).filter(|rule| rule.state != RuleState::Disabled);
    Judged { rule, problems, failed_test: None, unavailable_fields }
}

/// A condition bound to the pods of one namespace.
pub fn in_namespace(namespace: &str, condition: Option<Expr>) -> Expr {
    let bound = Expr::compare(FieldRef::plain(Field::K8sNsName), Op::Eq, namespace);
    match condition {
        // Not flattened: the bound stays first and whole, whatever the condition is.
        Some(condition) => Expr::And(vec![bound, condition]),
        None => bound,
    }
}

/// The resolved condition with its inline exceptions.
fn condition(source: &RuleSource, scope: &Scope<'_>, problems: &mut Vec<Diagnostic>) -> Option<Expr> {
    let mut resolver = Resolver::new(scope);
    let condition = match parse_condition(&source.condition) {
        Ok(ast) => resolver.resolve(&ast, "condition"),
        Err(error) => {
            problems.push(*error);
            None
        }
    };
    problems.append(&mut resolver.problems);
    let mut parts = vec![condition];
    for (at, exception) in source.exceptions.iter().enumerate() {
        if source.exceptions[..at].iter().any(|other| other.name == exception.name) {
            let place = Place { part: "exceptions", text: &exception.name };
            let message = format!("two exceptions are called {}", exception.name);
            problems.push(place.warning(code::EXCEPTION_NAME, place.whole(), message));
        }
        let part = format!("exceptions[{at}]");
        match exception_condition(exception) {
            Ok(None) => {}
            Ok(Some(text)) => {
                let resolved = parse_condition(&text).map(|ast| resolver.resolve(&ast, &part));
                problems.append(&mut resolver.problems);
                match resolved {
                    Ok(expr) => parts.push(expr.map(Expr::negate)),
                    Err(mut error) => {
                        error.part = part;
                        problems.push(*error);
                    }
                }
            }
            Err(message) => {
                let place = Place { part: &part, text: &exception.name };
                problems.push(place.error(code::VALIDATE, place.whole(), message));
            }
        }
    }
    parts.into_iter().collect::<Option<Vec<_>>>().and_then(Expr::all)
}

/// An inline exception as a condition: any of its tuples, all fields of the tuple. `None`: it has no values.
///
/// # Errors
/// Fields, operators and values do not fit together; says how.
pub fn exception_condition(exception: &InlineException) -> Result<Option<String>, String> {
    let InlineException { fields, comps, values, .. } = exception;
    if fields.is_empty() || !(comps.is_empty() || comps.len() == fields.len()) {
        return Err(format!("{} fields and {} comps; give one operator per field, or none", fields.len(), comps.len()));
    }
    let default = if fields.len() == 1 { "in" } else { "=" };
    let mut tuples = Vec::with_capacity(values.len());
    for tuple in values {
        if tuple.len() != fields.len() {
            return Err(format!("a tuple of {} values for {} fields", tuple.len(), fields.len()));
        }
        let compared = tuple.iter().enumerate().map(|(n, values)| {
            let op = comps.get(n).map_or(default, String::as_str);
            // What was in quotes stays so: it is never the name of a list.
            let literal = |value: &String| {
                let item = Item::parse(value);
                if item.quoted { item.text.quoted() } else { item.text.to_string() }
            };
            let takes_list = op.parse::<Op>().is_ok_and(Op::takes_list);
            match values.as_slice() {
                [one] if !takes_list => format!("{} {op} {}", fields[n], literal(one)),
                many => {
                    let items: Vec<String> = many.iter().map(literal).collect();
                    let quantifier = if takes_list { "" } else { "anyof " };
                    format!("{} {op} {quantifier}({})", fields[n], items.join(", "))
                }
            }
        });
        tuples.push(format!("({})", compared.collect::<Vec<_>>().join(" and ")));
    }
    Ok(Some(tuples.join(" or ")).filter(|_| !tuples.is_empty()))
}

fn warn_unused(local: &Names, problems: &mut Vec<Diagnostic>) {
    let macros = local.macros.iter().filter(|(_, def)| !def.used.get());
    let lists = local.lists.iter().filter(|(_, def)| !def.used.get());
    let mut unused: Vec<_> = macros
        .map(|(name, def)| (code::UNUSED_MACRO, "macro", name, &def.part))
        .chain(lists.map(|(name, def)| (code::UNUSED_LIST, "list", name, &def.part)))
        .collect();
    unused.sort_unstable();
    for (code, what, name, part) in unused {
        let place = Place { part, text: name };
        problems.push(place.warning(code, place.whole(), format!("{what} {name} is not used")));
    }
}

/// The fields of a condition that no hook supplies, and a warning for each.
pub fn unavailable(place: &Place<'_>, condition: &Expr) -> (Vec<String>, Vec<Diagnostic>) {
    let mut names: Vec<String> = Vec::new();
    condition.fields(&mut |field| {
        if field.field.def().supply == Supply::Nobody && !names.contains(&field.to_string()) {
            names.push(field.to_string());
        }
    });
    names.sort_unstable();
    let warning = |name: &String| {
        let message = format!("no hook supplies {name} yet: what compares it never holds");
        place.warning(code::UNAVAILABLE, place.find(name), message)
    };
    let warnings = names.iter().map(warning).collect();
    (names, warnings)
}

/// The same for what the output names; adds to `names` what is not among them yet.
fn unavailable_in_output<'t>(
    output: &str,
    fields: impl Iterator<Item = &'t (String, Operand)>,
    names: &mut Vec<String>,
) -> Vec<Diagnostic> {
    let place = Place { part: "output", text: output };
    let mut shown = Vec::new();
    for (name, operand) in fields {
        if let Operand::Field(field) = operand
            && field.field.def().supply == Supply::Nobody
        {
            shown.push((name, field.to_string()));
        }
    }
    names.extend(shown.iter().filter(|(_, field)| !names.contains(field)).map(|(_, f)| f.clone()).collect::<Vec<_>>());
    names.sort_unstable();
    let warning = |(name, field): &(&String, String)| {
        let message = format!("no hook supplies {field} yet: the output always shows <NA> for it");
        place.warning(code::UNAVAILABLE, place.find(name), message).suggest(Some("leave it out"))
    };
    shown.iter().map(warning).collect()
}

/// Why no event that a hook supplies can match a condition; `None`: one can.
pub fn inert(condition: &Expr) -> Option<Inert> {
    // A condition that does not plan is told by its tests, or by the plan.
    let types = possible_types(condition).ok()?;
    if types.is_empty() { Some(why_inert(condition)) } else { None }
}

fn why_inert(condition: &Expr) -> Inert {
    let never = |condition: &Expr| possible_types(condition).is_ok_and(|types| types.is_empty());
    let mut types = false;
    condition.walk(&mut |node| types |= names_unsupplied_type(node));
    match (never(&all_supplied(condition)), types) {
        (false, _) => Inert::Fields,
        (true, true) => Inert::EventTypes,
        (true, false) => Inert::Contradiction,
    }
}

/// The condition with an undecided part in place of each that reads a field which no hook supplies.
fn all_supplied(condition: &Expr) -> Expr {
    let all = |parts: &[Expr]| parts.iter().map(all_supplied).collect();
    match condition {
        Expr::And(parts) => Expr::And(all(parts)),
        Expr::Or(parts) => Expr::Or(all(parts)),
        Expr::Not(inner) => Expr::Not(Box::new(all_supplied(inner))),
        leaf => {
            let mut unsupplied = false;
            leaf.fields(&mut |field| unsupplied |= field.field.def().supply == Supply::Nobody);
            if unsupplied { Expr::Exists(Operand::Field(FieldRef::plain(Field::ProcName))) } else { leaf.clone() }
        }
    }
}

/// Whether a part compares `evt.type` with a name that no hook supplies.
fn names_unsupplied_type(node: &Expr) -> bool {
    let Expr::Compare(comparison) = node else { return false };
    let literals = match &comparison.right {
        Right::Value(literal) => std::slice::from_ref(literal),
        Right::List(literals) => literals,
        Right::Operand(_) => return false,
    };
    let of_type = matches!(&comparison.left, Operand::Field(f) if f.field == Field::EvtType);
    let supplied = |l: &Text| EventType::ALL.iter().any(|t| t.as_str().as_bytes() == l.as_bytes());
    of_type && matches!(comparison.op, Op::Eq | Op::In | Op::Intersects) && literals.iter().any(|l| !supplied(l))
}

/// Says that a rule never matches.
pub fn warn_inert(place: &Place<'_>, why: Inert) -> Diagnostic {
    let (message, hint) = match why {
        Inert::Fields => (
            "no event can match before the fields above are supplied: the rule is armed nowhere",
            "docs/fields.md says who supplies which field",
        ),
        Inert::EventTypes => (
            "no event that a hook supplies yet can match: the rule is armed nowhere",
            "docs/language.md lists the event types of this version",
        ),
        Inert::Contradiction => {
            ("no event can match: parts of the condition exclude each other", "kubectl eyas explain shows the parts")
        }
    };
    let span = if why == Inert::EventTypes { place.find("evt.type") } else { place.whole() };
    place.warning(code::NEVER, span, message).suggest(Some(hint))
}

/// Rules that nothing can match, and rules that everything is tried for.
fn warn_types(source: &RuleSource, condition: &Expr, problems: &mut Vec<Diagnostic>) {
    let place = Place { part: "condition", text: &source.condition };
    let Ok(types) = possible_types(condition) else { return };
    if types.is_empty() {
        problems.push(warn_inert(&place, why_inert(condition)));
    } else if types.len() == EventType::ALL.len() {
        let message = "the rule is evaluated for every event";
        let hint = "say which: evt.type in (execve, execveat) and ...";
        problems.push(place.warning(code::NO_EVTTYPE, place.whole(), message).suggest(Some(hint)));
    }
}
