//! What there is to tell of a rule.
use crate::problems::{Checked, Located};
use anyhow::Result;
use engine::{
    compile::{ObjectKind, outline},
    event::{EventType, Hook},
    field::{FieldRef, Supply},
    plan::{OpenFilter, Plan},
    ruleset::{Exception, Rule, Ruleset, SCHEMA_VERSION},
    source::{ObjectRef, RuleSource, Sources},
    testing::{Part, Reason, Trace, Truth, trace},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// See the module.
pub struct Facts<'f> {
    pub rule: &'f RuleSource,
    /// File and line; empty for a condition from the command line.
    pub place: String,
    pub part: Part,
    /// Each field that the condition reads.
    pub fields: BTreeSet<FieldRef>,
    /// Event types that can match.
    pub types: BTreeSet<EventType>,
    /// Hooks that supply them.
    pub hooks: BTreeSet<Hook>,
    /// What the kernel is told to send on behalf of this rule alone, a line each.
    pub kernel_filters: Vec<String>,
    /// The finest filters that follow from the condition, a line a class: what the kernel side may be told once it takes more
    /// than kinds of opens.
    pub derived_filters: Vec<String>,
    /// Exceptions that act on its matches.
    pub exceptions: Vec<&'f Exception>,
    /// Errors (a failed test) and warnings.
    pub problems: Vec<&'f Located>,
    pub event: Option<Traced<'f>>,
}

/// What an event did.
pub struct Traced<'f> {
    pub trace: Trace,
    pub reasons: Vec<Reason>,
    /// What else keeps it from matching.
    pub others: Vec<Vec<Reason>>,
    /// The exceptions that hold for it; the first silences a match.
    pub silenced_by: Vec<&'f ObjectRef>,
}

impl<'f> Facts<'f> {
    /// Gathers them. `None`: the rule does not compile.
    ///
    /// # Errors
    /// The rule cannot be planned.
    pub fn gather(
        rule: &'f RuleSource,
        sources: &Sources,
        checked: &'f Checked,
        event: Option<&engine::testing::MapEvent>,
    ) -> Result<Option<Self>> {
        let Some(part) = outline(rule, sources) else { return Ok(None) };
        let id = &rule.meta.id;
        let plan = Plan::new(Arc::new(alone(rule, &part)))?;
        let mut fields = BTreeSet::new();
        part.expr().fields(&mut |field| {
            fields.insert(field.clone());
        });
        let types: BTreeSet<EventType> = plan.needed_types().iter().collect();
        let exceptions = checked.compiled.ruleset.exceptions.iter().filter(|exception| exception.rules.contains(id));
        let exceptions: Vec<&Exception> = exceptions.collect();
        let event = event.map(|event| {
            let traced = trace(&part, event);
            let holds = |exception: &&&Exception| match &exception.condition {
                None => true,
                Some(condition) => trace(&Part::of(condition), event).truth == Truth::True,
            };
            let now = jiff::Timestamp::now().as_second();
            let in_force = exceptions.iter().filter(|exception| exception.expires_at.is_none_or(|at| now < at));
            let silenced_by = in_force.filter(holds).map(|exception| &exception.id).collect();
            let others = traced.other_reasons(&part);
            Traced { reasons: traced.reasons(&part), others, trace: traced, silenced_by }
        });
        Ok(Some(Self {
            rule,
            place: checked.place(ObjectKind::Rule, id).unwrap_or_else(|| rule.meta.origin.clone()),
            fields,
            hooks: types.iter().map(|event_type| event_type.hook()).collect(),
            kernel_filters: kernel_filters(&plan),
            derived_filters: derived_filters(&plan),
            types,
            exceptions,
            problems: checked.problems_of(id).collect(),
            event,
            part,
        }))
    }

    /// Fields that no hook supplies.
    pub fn unavailable(&self) -> Vec<String> {
        let nobody = self.fields.iter().filter(|field| field.field.def().supply == Supply::Nobody);
        nobody.map(ToString::to_string).collect()
    }

    /// The types by the hook that supplies them.
    pub fn types_by_hook(&self) -> BTreeMap<Hook, Vec<&'static str>> {
        let mut by_hook: BTreeMap<Hook, Vec<&'static str>> = BTreeMap::new();
        for event_type in &self.types {
            by_hook.entry(event_type.hook()).or_default().push(event_type.as_str());
        }
        by_hook
    }
}

/// A ruleset of nothing else, so that a plan says what this rule alone needs.
fn alone(rule: &RuleSource, part: &Part) -> Ruleset {
    let rule = Rule {
        id: rule.meta.id.clone(),
        uid: String::new(),
        generation: rule.meta.generation,
        title: rule.title.clone(),
        description: String::new(),
        condition: part.expr(),
        // The output has no part in what is explained, and may be what is wrong.
        output: String::new(),
        priority: rule.priority,
        tags: Vec::new(),
        state: rule.state,
        unavailable_fields: Vec::new(),
    };
    let revision = String::new();
    Ruleset { schema: SCHEMA_VERSION, revision, rules: vec![rule], exceptions: Vec::new(), routes: Vec::new() }
}

/// Every filter that the kernel side makes of a plan, a line each.
fn kernel_filters(plan: &Plan) -> Vec<String> {
    opens(plan.open_filter()).map(|opens| format!("open: {opens}")).into_iter().collect()
}

/// The finest filters of a plan of one rule, without naming it again.
fn derived_filters(plan: &Plan) -> Vec<String> {
    let text = plan.kernel_filters().to_string();
    text.lines().map(|line| line.split("; rules: ").next().unwrap_or(line).to_owned()).collect()
}

/// Which opens are sent, in words; `None`: the rule is not about opens.
fn opens(filter: OpenFilter) -> Option<String> {
    const BITS: [(u32, &str, &str); 4] = [
        (OpenFilter::READ, "for reading", "not for reading"),
        (OpenFilter::WRITE, "for writing", "not for writing"),
        (OpenFilter::CREATE, "may create the file", "cannot create the file"),
        (OpenFilter::FAILED, "failed", "succeeded"),
    ];
    if !filter.any() {
        return None;
    }
    // Bits that make a difference, and each combination of them that is wanted.
    let differs = |bit: u32| (0..16).any(|class| filter.wants(class) != filter.wants(class ^ bit));
    let matters: Vec<_> = BITS.iter().filter(|(bit, ..)| differs(*bit)).collect();
    let mask: u32 = matters.iter().map(|(bit, ..)| bit).sum();
    let wanted = (0..16_u32).filter(|class| class & !mask == 0 && filter.wants(*class)).map(|class| {
        let words: Vec<_> = matters.iter().map(|(bit, yes, no)| if class & bit != 0 { *yes } else { *no }).collect();
        words.join(", ")
    });
    let wanted: Vec<String> = wanted.collect();
    Some(if matters.is_empty() { "every one".to_owned() } else { wanted.join(" | ") })
}

/// What supplies a field, in words.
pub fn supplied_by(field: &FieldRef) -> String {
    match field.field.def().supply {
        Supply::Event => "every event".to_owned(),
        Supply::Process => "process table".to_owned(),
        Supply::User => "process table, user database".to_owned(),
        Supply::Container => "control group, pod specification".to_owned(),
        Supply::Pod => "pod metadata".to_owned(),
        Supply::Nobody => "no hook yet".to_owned(),
        Supply::By(hooks) => {
            let hooks: Vec<_> = hooks.iter().map(|hook| hook.as_str()).collect();
            format!("hook {}", hooks.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    //! Filters in words.
    use super::*;

    #[test]
    fn classes_of_opens_are_told_by_what_matters() {
        assert_eq!(opens(OpenFilter::NONE), None);
        assert_eq!(opens(OpenFilter::ALL).as_deref(), Some("every one"));
        let all = |fits: fn(u32) -> bool| (0..16).filter(|c| fits(*c)).fold(OpenFilter::NONE, OpenFilter::with);
        let read = all(|c| c & OpenFilter::READ != 0 && c & OpenFilter::FAILED == 0);
        assert_eq!(opens(read).as_deref(), Some("for reading, succeeded"));
        let either = all(|c| c & (OpenFilter::WRITE | OpenFilter::FAILED) != 0);
        let told = opens(either).unwrap_or_default();
        assert_eq!(told, "for writing, succeeded | not for writing, failed | for writing, failed");
    }
}
