//! Facts for programs.
use super::facts::{Facts, supplied_by};
use engine::testing::{Part, Shape, Trace, Truth, sentence};
use serde_json::{Value, json};

impl Facts<'_> {
    /// All of it as one object.
    pub fn json(&self) -> Value {
        let fields = self.fields.iter().map(|field| {
            let def = field.field.def();
            json!({
                "name": field.to_string(), "kind": def.kind.as_str(), "suppliedBy": supplied_by(field),
                "description": def.description,
            })
        });
        let exceptions = self.exceptions.iter().map(|exception| {
            json!({
                "name": exception.id, "condition": exception.condition.as_ref().map(ToString::to_string),
                "expiresAt": exception.expires_at,
            })
        });
        let mut facts = json!({
            "rule": self.rule.title,
            "object": self.rule.meta.id,
            "place": self.place,
            "priority": self.rule.priority.as_str(),
            "state": self.rule.state,
            "condition": self.part.expr().to_string(),
            "tree": tree(&self.part, self.event.as_ref().map(|event| &event.trace)),
            "cost": self.part.cost(),
            "events": self.types.iter().map(|t| t.as_str()).collect::<Vec<_>>(),
            "hooks": self.hooks.iter().map(|h| h.as_str()).collect::<Vec<_>>(),
            "kernelFilters": self.kernel_filters,
            "derivedFilters": self.derived_filters,
            "fields": fields.collect::<Vec<_>>(),
            "unavailableFields": self.unavailable(),
            "exceptions": exceptions.collect::<Vec<_>>(),
            "problems": self.problems,
        });
        if let Some(event) = &self.event {
            facts["result"] = json!({
                "matched": truth(event.trace.truth),
                "silencedBy": event.silenced_by,
                "sentence": sentence(&event.reasons),
                "decided": event.reasons,
                "others": event.others,
            });
        }
        facts
    }
}

/// `type`, `from`, `cost`; of a leaf `text`, `lists`, `fields`; with an event `was` and `seen`; and what is below.
fn tree(part: &Part, trace: Option<&Trace>) -> Value {
    let mut node = json!({"type": "leaf", "cost": part.cost()});
    match &part.shape {
        Shape::And(_) => node["type"] = "and".into(),
        Shape::Or(_) => node["type"] = "or".into(),
        Shape::Not(_) => node["type"] = "not".into(),
        Shape::Leaf(leaf) => {
            node["text"] = leaf.expr.to_string().into();
            node["fields"] = leaf.fields().into_iter().map(ToString::to_string).collect();
            if !leaf.lists.is_empty() {
                node["lists"] = json!(leaf.lists);
            }
        }
    }
    if !part.from.is_empty() {
        node["from"] = json!(part.from);
    }
    if let Some(trace) = trace {
        node["was"] = truth(trace.truth);
        if !trace.seen.is_empty() {
            node["seen"] = json!(trace.seen);
        }
    }
    if !part.children().is_empty() {
        let below = part.children().iter().enumerate();
        node["parts"] = below.map(|(n, part)| tree(part, trace.and_then(|trace| trace.children.get(n)))).collect();
    }
    node
}

/// True, false, or null where undecided.
fn truth(truth: Truth) -> Value {
    match truth {
        Truth::True => true.into(),
        Truth::False => false.into(),
        Truth::Unknown => Value::Null,
    }
}
