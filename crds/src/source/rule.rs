//! DetectionRule: words become enums, Falco's loose forms of inline exceptions become one form.
use super::{definitions, meta, priority, problem, word};
use crate::{
    DetectionRule,
    rule::{InlineException as Inline, RuleTest as Test},
};
use engine::{
    priority::Priority,
    source::{Expect, InlineException, Meta, RuleSource, RuleState, RuleTest},
};
use serde_json::Value;

/// A DetectionRule.
#[must_use]
pub fn rule(object: &DetectionRule) -> RuleSource {
    let mut meta = meta(&object.metadata);
    let spec = &object.spec;
    if let Some(source) = spec.source.as_deref() {
        word("source", source, &["syscall"], &mut meta);
    }
    let state = match spec.state.as_str() {
        "" | "Active" => RuleState::Active,
        "Shadow" => RuleState::Shadow,
        "Disabled" => RuleState::Disabled,
        other => {
            word("state", other, &["Active", "Shadow", "Disabled"], &mut meta);
            RuleState::Disabled
        }
    };
    let tenant_exceptions = spec
        .tenant_exceptions
        .as_deref()
        .filter(|text| word("tenantExceptions", text, &["Allow", "Deny"], &mut meta))
        .map(|text| text == "Allow");
    let title = spec.name.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| meta.id.name.clone());
    RuleSource {
        title,
        description: spec.description.clone(),
        condition: spec.condition.clone(),
        output: spec.output.clone(),
        priority: priority("priority", &spec.priority, &mut meta).unwrap_or(Priority::Debug),
        tags: spec.tags.clone(),
        state,
        definitions: definitions(&spec.macros, &spec.lists),
        exceptions: spec.exceptions.iter().enumerate().filter_map(|(i, e)| inline(i, e, &mut meta)).collect(),
        tenant_exceptions,
        tests: spec.tests.iter().enumerate().map(|(i, t)| test(i, t, &mut meta)).collect(),
        meta,
    }
}

fn test(index: usize, test: &Test, meta: &mut Meta) -> RuleTest {
    let expect = if test.expect == "NoMatch" { Expect::NoMatch } else { Expect::Match };
    word(&format!("tests[{index}].expect"), &test.expect, &["Match", "NoMatch"], meta);
    let name = if test.name.is_empty() { format!("tests[{index}]") } else { test.name.clone() };
    RuleTest { name, events: test.events.clone(), expect }
}

/// `fields: proc.name` with `values: [a, b]` is one tuple with one list; `fields: [f, g]` has a list of tuples.
fn inline(index: usize, given: &Inline, meta: &mut Meta) -> Option<InlineException> {
    let part = format!("exceptions[{index}]");
    let mut fail = |message: &str| {
        meta.problems.push(problem(part.clone(), &given.name, format!("exception {:?}: {message}", given.name)));
        None
    };
    let single = given.fields.as_str();
    let Some(fields) = texts(&given.fields).filter(|f| !f.is_empty()) else {
        return fail("fields is a field name or a list of them");
    };
    let comps = match &given.comps {
        Value::Null if single.is_some() => vec!["in".to_owned()],
        Value::Null => Vec::new(),
        other => match texts(other) {
            Some(comps) if comps.len() == fields.len() => comps,
            given => {
                let (comps, fields) = (given.map_or(0, |comps| comps.len()), fields.len());
                let hint = "write as many operators as fields, such as [=, startswith], or leave comps out";
                return fail(&format!("{comps} operators in comps for {fields} in fields; {hint}"));
            }
        },
    };
    let values = if single.is_some() {
        let Some(values) = given.values.iter().map(scalar).collect::<Option<Vec<_>>>() else {
            return fail("with a single field name, values is a list of plain values");
        };
        if values.is_empty() { Vec::new() } else { vec![vec![values]] }
    } else {
        let mut tuples = Vec::with_capacity(given.values.len());
        for (n, tuple) in given.values.iter().enumerate() {
            match tuple.as_array().and_then(|t| t.iter().map(texts).collect::<Option<Vec<_>>>()) {
                Some(tuple) if tuple.len() == fields.len() => tuples.push(tuple),
                _ => {
                    let fields = fields.join(", ");
                    return fail(&format!("values[{n}] is no list of one value for each of the fields [{fields}]"));
                }
            }
        }
        tuples
    };
    Some(InlineException { name: given.name.clone(), fields, comps, values })
}

/// A plain value, or a list of them.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(scalar).collect(),
        one => scalar(one).map(|text| vec![text]),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
