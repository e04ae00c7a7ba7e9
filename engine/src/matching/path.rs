//! `pmatch`: whether a path lies at or below one of many, by whole components, with shell patterns in them.
use super::{FastMap, glob::Glob};

/// A tree of path components.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathSet {
    literal: FastMap<Box<[u8]>, PathSet>,
    globs: Vec<(Glob, PathSet)>,
    /// A path of the set ends here: all below matches.
    ends: bool,
}

impl PathSet {
    /// Adds a path; empty components (doubled or trailing slashes) do not count.
    pub fn insert(&mut self, path: &[u8]) {
        let mut node = self;
        for component in components(path) {
            node = if Glob::is_literal(component) {
                node.literal.entry(component.into()).or_default()
            } else {
                let glob = Glob::new(component, false);
                let at = node.globs.iter().position(|(g, _)| *g == glob).unwrap_or_else(|| {
                    node.globs.push((glob, Self::default()));
                    node.globs.len() - 1
                });
                &mut node.globs[at].1
            };
        }
        node.ends = true;
    }

    /// Whether a path of the set is a prefix of this one.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.descend(components(path))
    }

    /// The components without patterns that each path of the set begins with, as paths, at most `limit`; `None`: there are
    /// more, or one begins with a pattern.
    pub fn beginnings(&self, limit: usize) -> Option<Vec<Vec<u8>>> {
        if self.ends || !self.globs.is_empty() {
            return None;
        }
        let mut all = Vec::new();
        for (component, below) in &self.literal {
            let own = [b"/", &**component].concat();
            match below.beginnings(limit) {
                Some(longer) if !longer.is_empty() => all.extend(longer.iter().map(|rest| [&*own, rest].concat())),
                _ => all.push(own),
            }
            if all.len() > limit {
                return None;
            }
        }
        Some(all)
    }

    /// Recurses once a component of the shorter of both, and only where patterns branch.
    fn descend<'a>(&self, mut rest: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
        let mut node = self;
        loop {
            if node.ends {
                return true;
            }
            let Some(component) = rest.next() else { return false };
            let below: &mut dyn Iterator<Item = &Self> =
                &mut node.globs.iter().filter(|(glob, _)| glob.matches(component)).map(|(_, below)| below);
            for branch in below {
                if branch.descend(rest.clone()) {
                    return true;
                }
            }
            match node.literal.get(component) {
                Some(next) => node = next,
                None => return false,
            }
        }
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    path.split(|b| *b == b'/').filter(|c| !c.is_empty())
}
