//! YAML as a tree in which every key and value knows its bytes in the file.
//!
//! ```text
//! text -> events (granit-parser) -> Builder -> documents, comments
//!      -> on a mistake: the same for each item of the list alone, so that one bad item takes no other with it
//! ```
//! Bounded: nesting, number of values, and bytes that aliases repeat.
use granit_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;

/// Most values in all files together, repeated ones included.
pub const MAX_NODES: usize = 1_000_000;
/// Deepest nesting; rules files need six levels.
const MAX_DEPTH: usize = 32;
/// Most bytes that aliases may repeat.
const MAX_REPEATED: usize = 16 << 20;

/// Bytes of a file, half-open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub start: u32,
    pub end: u32,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub at: Range,
    pub tree: Tree,
}

/// What stands there.
#[derive(Clone, Debug)]
pub enum Tree {
    Scalar(Box<str>, ScalarStyle),
    List(Vec<Node>),
    /// Keys in order, each with its place. A key may be there twice.
    Map(Vec<(Box<str>, Range, Node)>),
}

/// A comment, without its `#`.
#[derive(Clone, Debug)]
pub struct Comment {
    pub at: Range,
    pub text: Box<str>,
}

/// What is wrong with the YAML.
#[derive(Clone, Debug)]
pub struct Mistake {
    pub at: u32,
    pub message: String,
    /// A bound was reached: nothing more is read of the file.
    pub bound: bool,
}

/// A file as read.
#[derive(Debug, Default)]
pub struct Parsed {
    pub documents: Vec<Node>,
    pub comments: Vec<Comment>,
    pub mistakes: Vec<Mistake>,
}

impl Node {
    /// The text of a scalar, whatever its type.
    pub fn text(&self) -> Option<&str> {
        match &self.tree {
            Tree::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    pub fn style(&self) -> ScalarStyle {
        match &self.tree {
            Tree::Scalar(_, style) => *style,
            _ => ScalarStyle::Plain,
        }
    }

    /// Nothing is written here.
    pub fn is_null(&self) -> bool {
        matches!(&self.tree, Tree::Scalar(text, ScalarStyle::Plain)
            if matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.tree {
            Tree::Map(entries) => entries.iter().find(|(k, ..)| &**k == key).map(|(.., node)| node),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&[Node]> {
        match &self.tree {
            Tree::List(items) => Some(items),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn what(&self) -> &'static str {
        match &self.tree {
            Tree::Scalar(..) if self.is_null() => "nothing",
            Tree::Scalar(..) => "a single value",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a map",
        }
    }

    /// Where the last thing in it ends.
    pub fn last(&self) -> u32 {
        match &self.tree {
            Tree::Scalar(..) => self.at.end,
            Tree::List(items) => items.last().map_or(self.at.start, Node::last),
            Tree::Map(entries) => entries.last().map_or(self.at.start, |(_, key, node)| node.last().max(key.end)),
        }
    }
}

/// Reads a file. `nodes`: how many values may still be read; counted down.
pub fn parse(text: &str, nodes: &mut usize) -> Parsed {
    let before = *nodes;
    let whole = read(text, 0, nodes);
    if whole.mistakes.iter().all(|mistake| mistake.bound) {
        return whole;
    }
    let items = split(text);
    if items.len() < 2 {
        return whole;
    }
    *nodes = before;
    let mut all = Parsed::default();
    for (start, end) in items {
        let mut item = read(&text[start..end], start, nodes);
        all.documents.append(&mut item.documents);
        all.comments.append(&mut item.comments);
        all.mistakes.append(&mut item.mistakes);
    }
    // Alone every item is well: the mistake is between them.
    if all.mistakes.is_empty() {
        all.mistakes = whole.mistakes;
    }
    all
}

/// The items of the list at the margin, by their bytes.
fn split(text: &str) -> Vec<(usize, usize)> {
    let mut starts = Vec::new();
    let (mut at, mut indent) = (0, None);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start_matches(' ');
        let depth = line.len() - bare.len();
        let item = bare.starts_with("- ") || bare.trim_end() == "-";
        if item && indent.is_none_or(|known| known == depth) {
            indent = Some(depth);
            starts.push(at);
        } else if depth == 0 && (bare.trim_end() == "---" || bare.trim_end() == "...") {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).collect()
}

fn read(text: &str, base: usize, nodes: &mut usize) -> Parsed {
    let options = granit_parser::options! {
        max_buffered_comment_events: text.len(),
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        bom_inside_document_as_content: false,
    };
    let mut builder =
        Builder { base, nodes, repeated: 0, open: Vec::new(), anchors: HashMap::new(), parsed: Parsed::default() };
    for event in Parser::new_from_str_with_options(text, options) {
        let mistake = match event {
            Ok((event, span)) => builder.event(event, span).err(),
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(text.len());
                Some(Mistake { at: to_u32(base + at.min(text.len())), message: error.info(), bound: false })
            }
        };
        if let Some(mistake) = mistake {
            builder.parsed.mistakes.push(mistake);
            break;
        }
    }
    builder.parsed
}

struct Builder<'n> {
    base: usize,
    nodes: &'n mut usize,
    repeated: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    parsed: Parsed,
}

/// A list or map whose end was not seen yet.
struct Open {
    start: u32,
    anchor: usize,
    /// Levels below it so far.
    depth: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map(Vec<(Box<str>, Range, Node)>, Option<(Box<str>, Range)>),
}

struct Anchored {
    node: Node,
    depth: usize,
    size: usize,
    values: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Mistake> {
        let at = self.range(span);
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let text: Box<str> = text.into_owned().into_boxed_str();
                self.value(Node { at, tree: Tree::Scalar(text, style) }, 0, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(at.start, anchor, Inside::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.begin(at.start, anchor, Inside::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { start, anchor, depth, inside }) = self.open.pop() else { return Ok(()) };
                let tree = match inside {
                    Inside::List(items) => Tree::List(items),
                    Inside::Map(entries, _) => Tree::Map(entries),
                };
                self.value(Node { at: Range { start, end: at.end }, tree }, depth, anchor)
            }
            Event::Alias(id) => {
                let Some(anchored) = self.anchors.get(&id) else {
                    return Err(mistake(at, "this alias stands inside of what it repeats"));
                };
                self.repeated += anchored.size;
                if self.repeated > MAX_REPEATED || anchored.values > *self.nodes {
                    return Err(bound(at, "aliases repeat too much"));
                }
                *self.nodes -= anchored.values;
                let mut node = anchored.node.clone();
                let depth = anchored.depth;
                // What it repeats is told at the place of its use.
                node.at = at;
                self.value(node, depth, 0)
            }
            Event::Comment(text, _) => {
                self.parsed.comments.push(Comment { at, text: text.into_owned().into_boxed_str() });
                Ok(())
            }
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, start: u32, anchor: usize, inside: Inside) -> Result<(), Mistake> {
        if self.open.len() >= MAX_DEPTH {
            return Err(mistake(Range { start, end: start }, "nested too deep"));
        }
        self.open.push(Open { start, anchor, depth: 0, inside });
        Ok(())
    }

    fn value(&mut self, node: Node, depth: usize, anchor: usize) -> Result<(), Mistake> {
        let Some(left) = self.nodes.checked_sub(1) else {
            return Err(bound(node.at, format!("more than {MAX_NODES} values; split the file or the list")));
        };
        *self.nodes = left;
        if self.open.len() + depth > MAX_DEPTH {
            return Err(mistake(node.at, "nested too deep"));
        }
        if anchor != 0 {
            let (values, size) = weigh(&node);
            self.repeated += size;
            if self.repeated > MAX_REPEATED {
                return Err(bound(node.at, "anchors hold too much"));
            }
            self.anchors.insert(anchor, Anchored { node: node.clone(), depth, size, values });
        }
        let Some(parent) = self.open.last_mut() else {
            self.parsed.documents.push(node);
            return Ok(());
        };
        parent.depth = parent.depth.max(depth + 1);
        match &mut parent.inside {
            Inside::List(items) => items.push(node),
            Inside::Map(entries, key) => match key.take() {
                Some((name, at)) => entries.push((name, at, node)),
                None => {
                    let Tree::Scalar(name, _) = node.tree else {
                        return Err(mistake(node.at, "a list or map cannot be a key"));
                    };
                    *key = Some((name, node.at));
                }
            },
        }
        Ok(())
    }

    fn range(&self, span: Span) -> Range {
        let offset = |mark: granit_parser::Marker| to_u32(self.base + mark.byte_offset().unwrap_or(0));
        Range { start: offset(span.start), end: offset(span.end) }
    }
}

/// How many values a tree has, and how many bytes they take.
fn weigh(node: &Node) -> (usize, usize) {
    let own = (1, size_of::<Node>());
    let add = |(n, size): (usize, usize), (m, more): (usize, usize)| (n + m, size + more);
    match &node.tree {
        Tree::Scalar(text, _) => (1, own.1 + text.len()),
        Tree::List(items) => items.iter().map(weigh).fold(own, add),
        Tree::Map(entries) => entries.iter().map(|(key, _, node)| add(weigh(node), (1, key.len()))).fold(own, add),
    }
}

fn mistake(at: Range, message: impl Into<String>) -> Mistake {
    Mistake { at: at.start, message: message.into(), bound: false }
}

fn bound(at: Range, message: impl Into<String>) -> Mistake {
    Mistake { bound: true, ..mistake(at, message) }
}

/// Files are bounded far below 4 GiB.
pub fn to_u32(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
