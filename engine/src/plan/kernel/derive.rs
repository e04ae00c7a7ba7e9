//! From a condition to classes: what an event must be for the condition to be true or undecided, as far as the kernel can tell.
use super::{Class, Numbers, Side, Texts};
use crate::{
    eval::{Leaf, Truth},
    event::{EventType, Hook},
    field::{Field, FieldRef, Supply},
    matching::{NetSet, Test},
    plan::{
        graph::{Graph, Node, NodeId, PlanLeaf, Planned},
        known::Known,
    },
    syntax::Operand,
};
use ipnet::IpNet;
use std::collections::BTreeSet;

/// Most classes of one condition; where there would be more, the least telling part of it is left out.
const MAX_CLASSES: usize = 16;
/// Most literals of one test.
const MAX_LITERALS: usize = 256;

/// The classes of a condition that is specialised to event types of one hook, without rules. Empty: it cannot hold.
pub fn classes(graph: &Graph, condition: Planned, types: &[EventType]) -> Vec<Class> {
    let Some(&event_type) = types.first() else { return Vec::new() };
    let of_types = Class { types: types.iter().copied().collect(), ..Class::any() };
    let deriver = Deriver { graph, event_type };
    let classes = match condition {
        Planned::Constant(false) => Vec::new(),
        Planned::Constant(true) => vec![Class::any()],
        Planned::Node(id) => deriver.node(id, true),
    };
    classes.iter().filter_map(|class| class.and(&of_types)).collect()
}

struct Deriver<'g> {
    graph: &'g Graph,
    /// One of those with this condition: they differ in nothing that is asked here.
    event_type: EventType,
}

impl Deriver<'_> {
    /// Events for which the node may be other than false, or other than true where `wanted` is false.
    fn node(&self, id: NodeId, wanted: bool) -> Vec<Class> {
        match &self.graph.nodes[id as usize] {
            Node::Not(inner) => self.node(*inner, !wanted),
            Node::And(parts) if wanted => self.all(parts, wanted),
            Node::Or(parts) if !wanted => self.all(parts, wanted),
            Node::And(parts) | Node::Or(parts) => self.any(parts, wanted),
            Node::Leaf(leaf) => {
                let class = self.leaf(*leaf, wanted);
                if class.is_empty() { Vec::new() } else { vec![class] }
            }
        }
    }

    fn any(&self, parts: &[NodeId], wanted: bool) -> Vec<Class> {
        let mut classes: Vec<Class> = Vec::new();
        for part in parts {
            for class in self.node(*part, wanted) {
                // One test apart is no loss: `fd.name = a or fd.name = b`.
                match classes.iter_mut().find(|other| other.differs(&class) <= 1) {
                    Some(other) => other.or(class),
                    None => classes.push(class),
                }
            }
            if classes.len() > MAX_CLASSES || classes.iter().any(|class| class.literals() > MAX_LITERALS) {
                return vec![Class::any()];
            }
        }
        classes
    }

    fn all(&self, parts: &[NodeId], wanted: bool) -> Vec<Class> {
        let mut result = vec![Class::any()];
        for part in parts {
            let classes = self.node(*part, wanted);
            if classes.len() * result.len() > MAX_CLASSES {
                // The conjunction of fewer parts holds for more.
                continue;
            }
            result = result.iter().flat_map(|a| classes.iter().filter_map(|b| a.and(b))).collect();
        }
        result
    }

    /// The tests of a leaf; [`Class::any`] for what the kernel cannot tell.
    fn leaf(&self, leaf: u32, wanted: bool) -> Class {
        match &self.graph.leaves[leaf as usize] {
            PlanLeaf::Test { slot, test } => self.test(&self.graph.fields[*slot as usize], test, wanted),
            PlanLeaf::Exists { slot } if wanted => inside(&self.graph.fields[*slot as usize]),
            PlanLeaf::Exists { .. } => Class::any(),
            PlanLeaf::Other(leaf) => match &**leaf {
                Leaf::Test { operand: Operand::Field(field), .. } | Leaf::Exists(Operand::Field(field)) if wanted => {
                    inside(field)
                }
                _ => Class::any(),
            },
        }
    }

    fn test(&self, field: &FieldRef, test: &Test, wanted: bool) -> Class {
        if field.arg.is_none() {
            if let Some(opens) = self.opens(field.field, test, wanted) {
                return Class { opens, ..Class::any() };
            }
            if matches!(field.field, Field::ContainerId | Field::ContainerFullId | Field::ContainerType) {
                return Class { side: side(test, wanted), ..Class::any() };
            }
        }
        if !wanted {
            // A negated test of literals: all but few pass, and the kernel need not know which.
            return Class::any();
        }
        let class = inside(field);
        if field.arg.is_some() {
            return class;
        }
        let is_path = match self.event_type.hook() {
            Hook::Open => matches!(field.field, Field::FdName | Field::FsPathName | Field::EvtAbspath),
            Hook::Exec => field.field == Field::ProcExepath,
            hook if is_given_paths(hook) => {
                matches!(field.field, Field::FsPathName | Field::FsPathSource | Field::FsPathTarget | Field::EvtAbspath)
            }
            _ => false,
        };
        let remote = |to, from| match self.event_type.hook() {
            // The other end is the server.
            Hook::Connect | Hook::Send => to,
            // It is the client.
            Hook::Accept => from,
            _ => false,
        };
        use Field as F;
        let is_port =
            remote(matches!(field.field, F::FdSport | F::FdRport), matches!(field.field, F::FdCport | F::FdRport));
        let is_address = remote(
            matches!(field.field, F::FdSip | F::FdRip | F::FdSnet | F::FdRnet),
            matches!(field.field, F::FdCip | F::FdRip | F::FdCnet | F::FdRnet),
        );
        match field.field {
            _ if is_path => Class { path: path(test), ..class },
            Field::FdDirectory if self.event_type.hook() == Hook::Open => Class { path: directory(test), ..class },
            Field::FdFilename if self.event_type.hook() == Hook::Open => Class { path: filename(test), ..class },
            Field::ProcName => Class { names: exact(test), ..class },
            _ if is_port => Class { ports: ports(test), ..class },
            _ if is_address => Class { blocks: blocks(test), ..class },
            _ => class,
        }
    }

    /// The classes of opens (of other hooks: whether they fail) for which a test may be other than false (or true). `None`: its field
    /// is another, or it says nothing.
    fn opens(&self, field: Field, test: &Test, wanted: bool) -> Option<u16> {
        use Field as F;
        let of_opens = matches!(field, F::EvtIsOpenRead | F::EvtIsOpenWrite | F::EvtIsOpenCreate | F::FdNum);
        let of_results = matches!(field, F::EvtFailed | F::EvtRes | F::EyasIoUring | F::EvtRawres);
        let told = match self.event_type.hook() {
            Hook::Open => of_opens || of_results,
            hook => of_results && tells_result(hook),
        };
        if !told {
            return None;
        }
        let decided = if wanted { Truth::False } else { Truth::True };
        let possible = |class: &u32| {
            let known = Known { event_type: Some(self.event_type), open_class: Some(*class) };
            known.decide_test(field, test) != decided
        };
        Some((0..16).filter(possible).fold(0, |bits, class| bits | 1 << class))
    }
}

/// Hooks whose events fail or do not, and the kernel knows by their result alone. A connect of an io_uring has one that says nothing.
pub(super) const fn tells_result(hook: Hook) -> bool {
    !matches!(hook, Hook::Fork | Hook::Exit | Hook::Connect)
}

/// Hooks whose calls are given paths, of which nothing but the text is known.
pub(super) const fn is_given_paths(hook: Hook) -> bool {
    matches!(
        hook,
        Hook::Unlink | Hook::Rename | Hook::Link | Hook::Mkdir | Hook::Chmod | Hook::Chown | Hook::Mount | Hook::Root
    )
}

/// What only containers have: there a test of it can hold.
fn inside(field: &FieldRef) -> Class {
    use Field as F;
    let on_host_too = matches!(
        field.field,
        F::ContainerId | F::ContainerFullId | F::ContainerType | F::ContainerName | F::EyasPodPending
    );
    let side = match field.field.def().supply {
        Supply::Container | Supply::Pod if !on_host_too => Side::Container,
        _ => Side::Any,
    };
    Class { side, ..Class::any() }
}

/// Of `container.id` and its like: `host` outside of containers, never inside.
fn side(test: &Test, wanted: bool) -> Side {
    let host = test.matches(&"host".into()) == wanted;
    let only_host = match test {
        Test::TextEq(text) => **text == *b"host",
        Test::TextIn(texts) => texts.iter().all(|text| **text == *b"host"),
        _ => false,
    };
    let excludes_only_host = match test {
        Test::Not(inner) => side(inner, true) == Side::Host,
        _ => false,
    };
    match (host, wanted) {
        (false, _) => Side::Container,
        (true, true) if only_host => Side::Host,
        (true, false) if excludes_only_host => Side::Host,
        (true, _) => Side::Any,
    }
}

/// All alternatives of a test together. `None`: one of them cannot be told.
fn texts(all: impl Iterator<Item = Option<Texts>>) -> Option<Texts> {
    let mut whole = Texts::default();
    for texts in all {
        let texts = texts?;
        whole.exact.extend(texts.exact);
        whole.prefixes.extend(texts.prefixes);
        whole.suffixes.extend(texts.suffixes);
        if whole.len() > MAX_LITERALS {
            return None;
        }
    }
    Some(whole)
}

/// The paths that a test can hold for.
fn path(test: &Test) -> Option<Texts> {
    let told = |text: &[u8]| !text.is_empty();
    match test {
        Test::TextEq(text) => Some(Texts::exact(text)),
        Test::TextIn(set) => texts(set.iter().map(|text| Some(Texts::exact(text)))),
        Test::Prefix(text) => told(text).then(|| Texts::prefix(text)),
        Test::Suffix(text) => told(text).then(|| Texts::suffix(text)),
        Test::Affix(affixes) => texts(affixes.texts().map(|text| match affixes.is_front() {
            true => told(text).then(|| Texts::prefix(text)),
            false => told(text).then(|| Texts::suffix(text)),
        })),
        Test::Glob(glob) if glob.folds() => None,
        // Of both ends the longer; the first component alone is all that many have in front.
        Test::Glob(glob) if glob.front().len() > 1 && glob.front().len() >= glob.back().len() => {
            Some(Texts::prefix(glob.front()))
        }
        Test::Glob(glob) if told(glob.back()) => Some(Texts::suffix(glob.back())),
        Test::Glob(glob) => told(glob.front()).then(|| Texts::prefix(glob.front())),
        Test::Regex(regex) if !regex.begins().is_empty() => {
            texts(regex.begins().iter().map(|text| Some(Texts::prefix(text))))
        }
        Test::Path(paths) => {
            // Known paths are normal, so that whole components begin them as they are.
            let begin = paths.beginnings(MAX_LITERALS)?;
            texts(begin.iter().map(|text| Some(Texts::prefix(text))))
        }
        Test::Any(tests) | Test::One(tests) => texts(tests.iter().map(path)),
        Test::All(tests) => tests.iter().find_map(path),
        _ => None,
    }
}

/// A directory begins the path, and a slash follows it.
fn directory(test: &Test) -> Option<Texts> {
    let below = |text: &[u8]| match text {
        [] => None,
        b"/" => Some(Texts::prefix(b"/")),
        text => Some(Texts::prefix(&[text, b"/"].concat())),
    };
    match test {
        Test::TextEq(text) => below(text),
        Test::TextIn(set) => texts(set.iter().map(|text| below(text))),
        _ => {
            // Of the other tests only how it begins says something of the path.
            let found = path(test)?;
            (found.exact.is_empty() && found.suffixes.is_empty()).then_some(found)
        }
    }
}

/// A last part ends the path.
fn filename(test: &Test) -> Option<Texts> {
    let found = path(test)?;
    if !found.prefixes.is_empty() {
        return None;
    }
    texts(found.exact.iter().chain(&found.suffixes).map(|text| (!text.is_empty()).then(|| Texts::suffix(text))))
}

/// The texts that a test can hold for, where they are few.
fn exact(test: &Test) -> Option<BTreeSet<Vec<u8>>> {
    match test {
        Test::TextEq(text) => Some([text.to_vec()].into()),
        Test::TextIn(set) if set.len() <= MAX_LITERALS => Some(set.iter().map(|text| text.to_vec()).collect()),
        _ => None,
    }
}

fn ports(test: &Test) -> Option<Numbers> {
    let port = |n: i128| u16::try_from(n.clamp(0, i128::from(u16::MAX))).ok();
    match test {
        Test::Range(low, high) if *high < 0 || *low > i128::from(u16::MAX) => Some(Numbers::new()),
        Test::Range(low, high) => Some([(port(*low)?, port(*high)?)].into()),
        Test::NumberIn(set) if set.len() <= MAX_LITERALS => {
            Some(set.iter().filter_map(|n| u16::try_from(*n).ok()).map(|n| (n, n)).collect())
        }
        Test::Any(tests) | Test::One(tests) => {
            tests.iter().map(ports).collect::<Option<Vec<_>>>().map(|all| all.into_iter().flatten().collect())
        }
        _ => None,
    }
}

fn blocks(test: &Test) -> Option<BTreeSet<IpNet>> {
    let few = |nets: &NetSet| {
        let blocks: Vec<IpNet> = nets.blocks().take(MAX_LITERALS + 1).collect();
        (blocks.len() <= MAX_LITERALS).then(|| blocks.into_iter().collect())
    };
    match test {
        Test::AddressIn(set) if set.len() <= MAX_LITERALS => Some(set.iter().map(|ip| IpNet::from(*ip)).collect()),
        Test::Net(nets) => few(nets),
        Test::Any(tests) | Test::One(tests) => {
            tests.iter().map(blocks).collect::<Option<Vec<_>>>().map(|all| all.into_iter().flatten().collect())
        }
        _ => None,
    }
}
