//! Label selectors.
use super::{did_you_mean, problem};
use crate::common::LabelSelector;
use engine::{
    diagnostic::Diagnostic,
    source::{LabelOp, LabelRequirement},
};

/// The requirements of a selector; labels are `In` with one value.
pub(super) fn requirements(
    selector: &LabelSelector,
    part: &str,
    problems: &mut Vec<Diagnostic>,
) -> Vec<LabelRequirement> {
    let labels = selector.match_labels.iter().map(|(key, value)| LabelRequirement {
        key: key.clone(),
        op: LabelOp::In,
        values: vec![value.clone()],
    });
    let mut all: Vec<_> = labels.collect();
    for (i, wanted) in selector.match_expressions.iter().enumerate() {
        let part = format!("{part}.matchExpressions[{i}]");
        let op = match wanted.operator.as_str() {
            "In" => LabelOp::In,
            "NotIn" => LabelOp::NotIn,
            "Exists" => LabelOp::Exists,
            "DoesNotExist" => LabelOp::DoesNotExist,
            other => {
                let words = ["In", "NotIn", "Exists", "DoesNotExist"];
                let mut found = problem(part, other, format!("{other:?} is not one of {}", words.join(", ")));
                found.suggestion = did_you_mean(other, words.into_iter());
                problems.push(found);
                continue;
            }
        };
        let needs_values = matches!(op, LabelOp::In | LabelOp::NotIn);
        if needs_values == wanted.values.is_empty() {
            let say = if needs_values { "needs values" } else { "takes no values" };
            problems.push(problem(part, &wanted.key, format!("{} {say}", wanted.operator)));
            continue;
        }
        all.push(LabelRequirement { key: wanted.key.clone(), op, values: wanted.values.clone() });
    }
    all
}
