//! Filters for people: a line a class, `open: read, succeeded, path prefix /etc/; rules: a, b`.
use super::{Class, KernelFilters, Side};
use crate::{
    event::{EventType, Hook},
    plan::OpenFilter,
    syntax::Text,
};
use std::fmt::{Display, Formatter, Result, Write as _};

/// More alternatives of a test are counted, not shown.
const SHOWN: usize = 8;

impl Display for KernelFilters {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for hook in Hook::ALL {
            for class in self.classes(*hook) {
                let rules = class.rules.iter().filter_map(|rule| self.names.get(*rule as usize).map(String::as_str));
                writeln!(
                    f,
                    "{}: {}; rules: {}",
                    hook.as_str(),
                    tests(*hook, class),
                    some(rules.map(str::to_owned), ", ")
                )?;
            }
        }
        Ok(())
    }
}

fn tests(hook: Hook, class: &Class) -> String {
    let mut parts = Vec::new();
    let types = EventType::ALL.iter().filter(|t| t.hook() == hook);
    let (mut all, mut named) = (true, Vec::new());
    for event_type in types {
        if class.types.contains(*event_type) {
            named.push(event_type.as_str().to_owned());
        } else {
            all = false;
        }
    }
    if !all {
        parts.push(named.join(" or "));
    }
    if hook == Hook::Open {
        parts.extend(opens(class.opens));
    }
    if hook != Hook::Open && super::derive::tells_result(hook) {
        let failed = OpenFilter::from_bits(class.opens).wants(OpenFilter::FAILED);
        let succeeded = OpenFilter::from_bits(class.opens).wants(0);
        parts.extend((failed != succeeded).then(|| if failed { "failed" } else { "succeeded" }.to_owned()));
    }
    match class.side {
        Side::Any => {}
        Side::Container => parts.push("in a container".to_owned()),
        Side::Host => parts.push("on the host".to_owned()),
    }
    if let Some(path) = &class.path {
        let shown = |what: &'static str, texts: &'_ std::collections::BTreeSet<Vec<u8>>| {
            texts.iter().map(|text| format!("{what} {}", Text::from(text.clone()))).collect::<Vec<_>>()
        };
        let kinds = [("exact", &path.exact), ("prefix", &path.prefixes), ("suffix", &path.suffixes)];
        parts.push(format!("path {}", some(kinds.into_iter().flat_map(|(what, texts)| shown(what, texts)), " or ")));
    }
    if let Some(names) = &class.names {
        parts.push(format!("name {}", some(names.iter().map(|name| Text::from(name.clone()).to_string()), " or ")));
    }
    if let Some(ports) = &class.ports {
        let range = |(low, high): &(u16, u16)| if low == high { low.to_string() } else { format!("{low}-{high}") };
        parts.push(format!("port {}", some(ports.iter().map(range), " or ")));
    }
    if let Some(blocks) = &class.blocks {
        parts.push(format!("address in {}", some(blocks.iter().map(ToString::to_string), " or ")));
    }
    if parts.is_empty() { "any".to_owned() } else { parts.join(", ") }
}

/// What all classes of the set have in common.
fn opens(set: u16) -> Vec<String> {
    let bits = [
        (OpenFilter::READ, "read", "not read"),
        (OpenFilter::WRITE, "written", "not written"),
        (OpenFilter::CREATE, "may create", "cannot create"),
        (OpenFilter::FAILED, "failed", "succeeded"),
    ];
    let classes = || (0..16_u32).filter(|class| set >> class & 1 == 1);
    let mut said: Vec<String> = Vec::new();
    let mut implied = u16::MAX;
    for (bit, yes, no) in bits {
        let with = (0..16_u32).filter(|class| class & bit != 0).fold(0, |set, class| set | 1_u16 << class);
        if classes().all(|class| class & bit != 0) {
            said.push(yes.to_owned());
            implied &= with;
        } else if classes().all(|class| class & bit == 0) {
            said.push(no.to_owned());
            implied &= !with;
        }
    }
    if implied != set {
        said.push(format!("{} of 16 kinds of opens", set.count_ones()));
    }
    said
}

fn some(items: impl Iterator<Item = String>, word: &str) -> String {
    let all: Vec<String> = items.collect();
    let mut text = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(word);
    if all.is_empty() {
        text.push_str("none");
    } else if all.len() > SHOWN {
        let _ = write!(text, "{word}{} more", all.len() - SHOWN);
    }
    text
}
