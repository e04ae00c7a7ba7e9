//! Rules by the names that people call them: `spec.name`, `metadata.name`, or `namespace/name`.
use engine::{compile::ObjectKind, source::RuleSource};

/// Whether a rule is called that.
pub fn is_called(rule: &RuleSource, name: &str) -> bool {
    rule.title == name || rule.meta.id.name == name || rule.meta.id.to_string() == name
}

/// The rules called that.
///
/// # Errors
/// None is; the sentence says which names are close, or which there are.
pub fn find<'r>(rules: &'r [RuleSource], name: &str) -> Result<Vec<&'r RuleSource>, String> {
    let found: Vec<_> = rules.iter().filter(|rule| is_called(rule, name)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let kind = ObjectKind::Rule.as_str();
    Err(match (suggest(rules, name), rules.len()) {
        (_, 0) => {
            format!("no {kind} is called {name:?}: there is none at all in what was read; name files with --rules")
        }
        (Some(close), _) => format!("no {kind} is called {name:?}; did you mean {close:?}?"),
        (None, 1..=10) => {
            let all: Vec<_> = rules.iter().map(|rule| rule.title.as_str()).collect();
            format!("no {kind} is called {name:?}; there are: {}", all.join(", "))
        }
        (None, count) => {
            format!("no {kind} is called {name:?}; there are {count}, `kubectl eyas test PATH` lists them")
        }
    })
}

/// The name that was most likely meant: the closest, else one that has the text in it.
fn suggest<'r>(rules: &'r [RuleSource], name: &str) -> Option<&'r str> {
    let wanted = name.to_lowercase();
    let names = || rules.iter().flat_map(|rule| [rule.title.as_str(), rule.meta.id.name.as_str()]);
    let near = names().map(|known| (strsim::osa_distance(&wanted, &known.to_lowercase()), known));
    let close = near.filter(|(distance, known)| *distance <= 1 + known.len() / 4).min().map(|(_, known)| known);
    close.or_else(|| names().find(|known| wanted.len() >= 3 && known.to_lowercase().contains(&wanted)))
}
