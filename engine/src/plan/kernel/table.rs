//! Many classes become at most [`MAX_CLASSES`], with at most [`MAX_LITERALS`].
use super::{Class, MAX_CLASSES, MAX_LITERALS, Side};
use crate::event::EventTypes;
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// Joins equal classes, then those that differ in one test (that loses nothing), then alike ones (that widens) until all bounds
/// hold.
pub fn bounded(classes: Vec<Class>) -> Vec<Class> {
    let mut classes = joined(classes);
    while classes.len() > MAX_CLASSES {
        classes = halved(classes);
    }
    while classes.iter().map(Class::literals).sum::<usize>() > MAX_LITERALS {
        // The one with the most admits all of its kind from now on.
        if let Some(largest) = classes.iter_mut().max_by_key(|class| class.literals()) {
            *largest = Class { path: None, names: None, ports: None, blocks: None, ..largest.clone() };
        }
        classes = joined(classes);
    }
    classes
}

/// Rules by what they want; then, among classes with the same tests but one, that one's alternatives together.
fn joined(classes: Vec<Class>) -> Vec<Class> {
    let mut by_tests: BTreeMap<Class, BTreeSet<u32>> = BTreeMap::new();
    for mut class in classes {
        let rules = std::mem::take(&mut class.rules);
        by_tests.entry(class).or_default().extend(rules);
    }
    let mut classes: Vec<Class> = by_tests.into_iter().map(|(class, rules)| Class { rules, ..class }).collect();
    // Types, then opens, of the same rules: `open` and `openat` are one class.
    for same in [same_but_types, same_but_opens] {
        let mut merged: BTreeMap<Class, Class> = BTreeMap::new();
        for class in classes {
            match merged.entry(same(&class)) {
                Entry::Vacant(new) => _ = new.insert(class),
                Entry::Occupied(mut old) => old.get_mut().or(class),
            }
        }
        classes = merged.into_values().collect();
    }
    classes
}

/// Classes of one rule set that differ in their types only are the same here.
fn same_but_types(class: &Class) -> Class {
    Class { types: EventTypes::NONE, ..class.clone() }
}

fn same_but_opens(class: &Class) -> Class {
    Class { opens: 0, ..class.clone() }
}

/// What kind of class it is: those of a kind are alike enough to become one.
fn kind(class: &Class) -> (EventTypes, u16, Side, [bool; 4]) {
    let tests = [class.path.is_some(), class.names.is_some(), class.ports.is_some(), class.blocks.is_some()];
    (class.types, class.opens, class.side, tests)
}

/// The classes of the most frequent kind, two and two; where no kind has two, the last two classes.
fn halved(classes: Vec<Class>) -> Vec<Class> {
    let mut kinds: BTreeMap<_, Vec<Class>> = BTreeMap::new();
    for class in classes {
        kinds.entry(kind(&class)).or_default().push(class);
    }
    let most = kinds.iter().max_by_key(|(_, of)| of.len()).filter(|(_, of)| of.len() > 1).map(|(kind, _)| *kind);
    let pair = |of: Vec<Class>| {
        let mut of = of.into_iter();
        let mut pairs = Vec::new();
        while let Some(mut class) = of.next() {
            of.next().into_iter().for_each(|next| class.or(next));
            pairs.push(class);
        }
        pairs
    };
    if let Some(of) = most.and_then(|kind| kinds.remove(&kind)) {
        return joined(kinds.into_values().flatten().chain(pair(of)).collect());
    }
    let mut classes: Vec<Class> = kinds.into_values().flatten().collect();
    if let Some(last) = classes.pop()
        && let Some(other) = classes.last_mut()
    {
        other.or(last);
    }
    joined(classes)
}
