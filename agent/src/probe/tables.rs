//! The classes of a ruleset as the programs look them up: one generation's filter.
//!
//! ```text
//! engine's KernelFilters -> bits by event type, by class of open, by side -> literals in one trie (front, end, name, port, address)
//! ```
//! The candidate bits of an event are the conjunction, over the tests, of the classes that do not test it and those that one of
//! their literals satisfies. A trie finds the longest literal only, so each carries the classes of all shorter ones in front of it.
//!
//! Invariant: whatever `KernelFilters::admits` lets through, these do (property test). They let more through where a text is
//! longer than the kernel compares, where a path was cut, and where there are more literals than fit; the last is told.
use super::glance::glances;
use agent_abi::{
    Wire as _,
    call::TYPES,
    map::{
        END, FilterSlot, GLANCES, Glance, HOOKS, HookFilter, LEVELS, LiteralKey, MAX_LITERALS, TEXT, literal as kind,
    },
};
use engine::{
    event::{EventType, Hook},
    plan::{
        OpenFilter,
        kernel::{Class, KernelFilters, Side, Texts},
    },
    priority::Priority,
};
use ipnet::IpNet;
use std::collections::BTreeMap;

/// A literal. `Ord`: one comes before those that it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Literal {
    tag: u32,
    /// Zero beyond `bits`.
    text: [u8; TEXT],
    bits: u16,
}

impl Literal {
    fn new(tag: u32, bytes: &[u8], bits: usize) -> Self {
        let mut text = [0; TEXT];
        let bytes = &bytes[..bytes.len().min(TEXT)];
        text[..bytes.len()].copy_from_slice(bytes);
        let bits = bits.min(8 * TEXT);
        for (n, byte) in text.iter_mut().enumerate() {
            let kept = bits.saturating_sub(8 * n).min(8);
            *byte &= u8::try_from(0xff00_u32 >> kept & 0xff).unwrap_or_default();
        }
        Self { tag, text, bits: u16::try_from(bits).unwrap_or(u16::MAX) }
    }

    /// Whether it is another one's beginning.
    fn begins(&self, other: &Self) -> bool {
        self.tag == other.tag
            && self.bits <= other.bits
            && Self::new(self.tag, &other.text, usize::from(self.bits)).text == self.text
    }

    /// Its whole bytes.
    fn bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.bits) / 8]
    }

    /// As the map has it: length of the prefix in bits, and the rest of the key.
    pub(super) fn key(&self) -> (u32, [u8; size_of::<LiteralKey>() - 4]) {
        let mut rest = [0; size_of::<LiteralKey>() - 4];
        rest[..4].copy_from_slice(&self.tag.to_ne_bytes());
        rest[4..].copy_from_slice(&self.text);
        (32 + u32::from(self.bits), rest)
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    classes: [u64; TYPES],
    opens: [u64; 16],
    failed_execs: u64,
    tests: [HookFilter; HOOKS],
    literals: BTreeMap<Literal, u64>,
    widened: Vec<Hook>,
    /// Of opens.
    fronts: [Glance; GLANCES],
    ends: [Glance; GLANCES],
}

impl Default for Tables {
    /// Nothing passes.
    fn default() -> Self {
        Self {
            classes: [0; TYPES],
            opens: [0; 16],
            failed_execs: 0,
            tests: [HookFilter::zeroed(); HOOKS],
            literals: BTreeMap::new(),
            widened: Vec::new(),
            fronts: [Glance::zeroed(); GLANCES],
            ends: [Glance::zeroed(); GLANCES],
        }
    }
}

impl Tables {
    /// Compiles a ruleset's classes; `priority` of a rule by its index, for shedding.
    #[must_use]
    pub fn new(filters: &KernelFilters, priority: impl Fn(u32) -> Priority) -> Self {
        let mut this = Self::default();
        for hook in Hook::ALL {
            for (n, class) in filters.classes(*hook).iter().enumerate() {
                this.add(*hook, 1 << n, class, &priority);
            }
        }
        this.bound(MAX_LITERALS as usize);
        this.inherit();
        let of = |kind: u32| {
            let tag = kind::tag(Hook::Open as u8, kind);
            this.literals.iter().filter(move |(l, _)| l.tag == tag).map(|(l, classes)| (l.bytes(), *classes))
        };
        (this.fronts, this.ends) = (glances(&of(kind::FRONT)), glances(&of(kind::END)));
        this
    }

    /// All events of these hooks pass, as of one class.
    #[must_use]
    pub fn everything(hooks: impl IntoIterator<Item = Hook>) -> Self {
        Self::opens(hooks, OpenFilter::ALL)
    }

    /// The same, but of opens only those of some classes.
    #[must_use]
    pub fn opens(hooks: impl IntoIterator<Item = Hook>, opens: OpenFilter) -> Self {
        let mut classes = vec![Vec::new(); Hook::ALL.len()];
        for hook in hooks {
            let opens = if matches!(hook, Hook::Open | Hook::Exec) { opens } else { OpenFilter::ALL };
            classes[hook as usize].push(Class { opens: opens.bits(), ..Class::everything() });
        }
        Self::new(&KernelFilters::of(classes), |_| Priority::Emergency)
    }

    /// Hooks that have more literals than the kernel is given: it tests neither paths nor names, ports and addresses of theirs.
    #[must_use]
    pub fn widened(&self) -> &[Hook] {
        &self.widened
    }

    pub(super) fn literals(&self) -> &BTreeMap<Literal, u64> {
        &self.literals
    }

    /// Whether execs that fail are wanted.
    pub(super) const fn want_failed_execs(&self) -> bool {
        self.failed_execs != 0
    }

    /// The part of a slot that is these.
    pub(super) fn fill(&self, slot: &mut FilterSlot) {
        (slot.classes, slot.opens, slot.tests) = (self.classes, self.opens, self.tests);
        (slot.fronts, slot.ends) = (self.fronts, self.ends);
        slot.glanced =
            [self.fronts, self.ends].map(|all| all.iter().fold(0, |classes, glance| classes | glance.classes));
        slot.failed_execs = self.failed_execs;
    }

    fn add(&mut self, hook: Hook, bit: u64, class: &Class, priority: &impl Fn(u32) -> Priority) {
        for event_type in EventType::ALL.iter().filter(|t| t.hook() == hook && class.wants_type(**t)) {
            self.classes[*event_type as usize] |= bit;
        }
        if hook == Hook::Open {
            for open in (0..16_u32).filter(|open| OpenFilter::from_bits(class.opens).wants(*open)) {
                self.opens[open as usize] |= bit;
            }
        }
        if hook == Hook::Exec && OpenFilter::from_bits(class.opens).wants(OpenFilter::FAILED) {
            self.failed_execs |= bit;
        }
        let tests = &mut self.tests[hook as usize];
        for (n, result) in [0, OpenFilter::FAILED].into_iter().enumerate() {
            if OpenFilter::from_bits(class.opens).wants(result) {
                tests.results[n] |= bit;
            }
        }
        if class.side != Side::Container {
            tests.sides[agent_abi::map::SIDE_HOST as usize] |= bit;
        }
        if class.side != Side::Host {
            tests.sides[agent_abi::map::SIDE_CONTAINER as usize] |= bit;
        }
        let wanted_by = class.rules.iter().map(|rule| priority(*rule)).max().unwrap_or(Priority::Emergency);
        for level in 0..LEVELS {
            if wanted_by >= kept_at(level) {
                tests.keep[level] |= bit;
            }
        }
        if class.path.is_none() {
            tests.any_path |= bit;
        }
        if class.names.is_none() {
            tests.any_name |= bit;
        }
        if class.ports.is_none() {
            tests.any_port |= bit;
        }
        if class.blocks.is_none() {
            tests.any_address |= bit;
        }
        if let Some(texts) = &class.path {
            self.add_path(hook, bit, texts);
        }
        for name in class.names.iter().flatten() {
            let text = [name, &b"\0"[..]].concat();
            self.literal(hook, kind::NAME, &text, 8 * text.len(), bit);
        }
        for (low, high) in class.ports.iter().flatten() {
            for (port, bits) in prefixes(*low, *high) {
                self.literal(hook, kind::PORT, &port.to_be_bytes(), bits, bit);
            }
        }
        for block in class.blocks.iter().flatten() {
            let (address, bits) = match block {
                IpNet::V4(v4) => (v4.network().to_ipv6_mapped(), 96 + v4.prefix_len()),
                IpNet::V6(v6) => (v6.network(), v6.prefix_len()),
            };
            self.literal(hook, kind::ADDRESS, &address.octets(), usize::from(bits), bit);
        }
    }

    fn add_path(&mut self, hook: Hook, bit: u64, texts: &Texts) {
        for text in &texts.exact {
            // What does not fit with the NUL that ends it is a beginning only.
            let text = [text, &b"\0"[..]].concat();
            self.literal(hook, kind::FRONT, &text, 8 * text.len(), bit);
        }
        for text in &texts.prefixes {
            self.literal(hook, kind::FRONT, text, 8 * text.len(), bit);
        }
        for text in &texts.suffixes {
            let end: Vec<u8> = text.iter().rev().take(END).copied().collect();
            self.literal(hook, kind::END, &end, 8 * end.len(), bit);
        }
    }

    fn literal(&mut self, hook: Hook, kind: u32, text: &[u8], bits: usize, bit: u64) {
        let literal = Literal::new(kind::tag(hook as u8, kind), text, bits);
        *self.literals.entry(literal).or_default() |= bit;
        self.tests[hook as usize].kinds |= 1 << kind;
    }

    /// While there are too many literals, those of the hook with the most go, and its classes test none.
    fn bound(&mut self, most: usize) {
        while self.literals.len() > most {
            let of = |hook: Hook| self.literals.keys().filter(|l| l.tag >> 8 == hook as u32).count();
            let Some(largest) = Hook::ALL.iter().copied().max_by_key(|hook| of(*hook)) else { return };
            self.literals.retain(|literal, _| literal.tag >> 8 != largest as u32);
            let all = u64::MAX;
            let tests = &mut self.tests[largest as usize];
            let any = HookFilter { any_path: all, any_name: all, any_port: all, any_address: all, kinds: 0, ..*tests };
            *tests = any;
            self.widened.push(largest);
        }
    }

    /// Each literal satisfies what those that begin it do.
    fn inherit(&mut self) {
        let mut open: Vec<(Literal, u64)> = Vec::new();
        for (literal, classes) in &mut self.literals {
            while open.last().is_some_and(|(before, _)| !before.begins(literal)) {
                open.pop();
            }
            *classes |= open.last().map_or(0, |(_, classes)| *classes);
            open.push((*literal, *classes));
        }
    }
}

/// The least priority that is still sent at a level of shedding.
const fn kept_at(level: usize) -> Priority {
    match level {
        0 => Priority::Debug,
        1 => Priority::Informational,
        2 => Priority::Notice,
        _ => Priority::Warning,
    }
}

/// The fewest prefixes (value and length in bits) that cover a range of ports, both ends included.
fn prefixes(low: u16, high: u16) -> Vec<(u16, usize)> {
    let (mut at, high) = (u32::from(low), u32::from(high));
    let mut all = Vec::new();
    while at <= high {
        let aligned = if at == 0 { 16 } else { at.trailing_zeros().min(16) };
        let fits = (high - at + 1).ilog2();
        let free = aligned.min(fits);
        all.push((u16::try_from(at).unwrap_or(u16::MAX), 16 - free as usize));
        at += 1 << free;
    }
    all
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
