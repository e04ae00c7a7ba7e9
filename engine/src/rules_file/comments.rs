//! Comments that belong to an object: right above it, without an empty line between, and inside of it.
use super::{
    place::File,
    yaml::{Comment, Node},
};
use std::collections::HashMap;

/// The comments of a file.
pub struct Comments<'c> {
    all: &'c [Comment],
    /// Those that have a line for themselves, by the line.
    own_line: HashMap<usize, &'c str>,
}

impl<'c> Comments<'c> {
    pub fn new(file: &File, all: &'c [Comment]) -> Self {
        let own = |comment: &&Comment| {
            let (start, _) = file.line_range(file.line(comment.at.start));
            file.text.get(start..comment.at.start as usize).is_some_and(|before| before.trim().is_empty())
        };
        let own_line = all.iter().filter(own).map(|c| (file.line(c.at.start), &*c.text)).collect();
        Self { all, own_line }
    }

    /// The comments of an object, in order.
    pub fn of(&self, file: &File, node: &Node) -> Vec<String> {
        let first = file.line(node.at.start);
        let last = file.text.get(..node.last() as usize).map_or(0, |text| text.trim_end().len());
        let last = file.line(super::to_u32(last.saturating_sub(1)));
        let mut above: Vec<&str> = (0..first).rev().map_while(|line| self.own_line.get(&line).copied()).collect();
        above.reverse();
        let from = self.all.partition_point(|comment| comment.at.start < node.at.start);
        let inside = self.all[from..].iter().take_while(|comment| file.line(comment.at.start) <= last);
        let comments = above.into_iter().chain(inside.map(|comment| &*comment.text));
        comments.map(|text| text.trim_end().strip_prefix(' ').unwrap_or(text.trim_end()).to_owned()).collect()
    }
}
