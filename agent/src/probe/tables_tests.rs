#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use engine::plan::kernel::{Fact, Facts, PathFact};
use proptest::{collection::btree_set, option, prelude::*, sample::select};
use std::{collections::BTreeSet, net::IpAddr};

/// The programs' look-ups.
impl Tables {
    fn find(&self, hook: Hook, kind: u32, text: &[u8], most: usize) -> u64 {
        let asked = Literal::new(kind::tag(hook as u8, kind), text, 8 * most);
        let longest = self.literals.iter().filter(|(l, _)| l.begins(&asked)).max_by_key(|(l, _)| l.bits);
        longest.map_or(0, |(_, classes)| *classes)
    }

    fn bits(&self, facts: &Facts<'_>) -> u64 {
        let hook = facts.event_type.hook();
        let tests = &self.tests[hook as usize];
        let mut bits = self.classes[facts.event_type as usize];
        if let Some(class) = facts.open_class {
            bits &= if hook == Hook::Open {
                self.opens[class as usize]
            } else {
                tests.results[usize::from(class & OpenFilter::FAILED != 0)]
            };
        }
        if let Some(inside) = facts.in_container {
            bits &= tests.sides[usize::from(inside)];
        }
        let looked_up = |path: &[u8]| {
            let end: Vec<u8> = path.iter().rev().take(END).copied().collect();
            self.find(hook, kind::FRONT, path, TEXT) | self.find(hook, kind::END, &end, END)
        };
        // Of two paths either will do; one that is not known might.
        if let (PathFact::Whole(path), Some(PathFact::Whole(second))) = (facts.path, facts.path2) {
            bits &= tests.any_path | looked_up(path) | looked_up(second);
        } else if let (PathFact::Whole(path), None) = (facts.path, facts.path2) {
            if hook == Hook::Open {
                let end: Vec<u8> = path.iter().rev().take(END).copied().collect();
                let first = path[1..].iter().position(|b| *b == b'/').map_or(path.len(), |n| n + 1);
                let last = end.iter().position(|b| *b == b'/').map_or(end.len(), |n| n + 1);
                // What follows the second component is known, too: a slash, or that nothing does.
                let rest = path.get(first + 1..).unwrap_or_default();
                let second = rest.iter().position(|b| *b == b'/').map_or(path.len(), |n| first + 1 + n);
                let front = if second == path.len() { 8 } else { second + 1 };
                bits &= tests.any_path | glance(&self.fronts, path, front) | glance(&self.ends, &end, last);
            }
            bits &= tests.any_path | looked_up(path);
        }
        let fact = |any: u64, found: Fact<u64>| match found {
            Fact::Unknown => u64::MAX,
            Fact::Absent => any,
            Fact::Is(classes) => any | classes,
        };
        let name = is(facts.name, |name| self.find(hook, kind::NAME, name, 16));
        let port = is(facts.port, |port| self.find(hook, kind::PORT, &port.to_be_bytes(), 2));
        let address = is(facts.address, |address| {
            let bytes = match address.to_canonical() {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            self.find(hook, kind::ADDRESS, &bytes, 16)
        });
        bits & fact(tests.any_name, name) & fact(tests.any_port, port) & fact(tests.any_address, address)
    }
}

/// A look at a text of which `known` bytes are known.
fn glance(glances: &[Glance; GLANCES], text: &[u8], known: usize) -> u64 {
    let (mut value, mut mask) = ([0; 8], [0; 8]);
    let bytes = text.len().min(8);
    value[..bytes].copy_from_slice(&text[..bytes]);
    mask[..known.min(8)].fill(u8::MAX);
    crate::probe::glance::at(glances, u64::from_ne_bytes(value), u64::from_ne_bytes(mask))
}

fn is<T, U>(fact: Fact<T>, of: impl Fn(T) -> U) -> Fact<U> {
    match fact {
        Fact::Unknown => Fact::Unknown,
        Fact::Absent => Fact::Absent,
        Fact::Is(value) => Fact::Is(of(value)),
    }
}

/// Paths that begin and end each other.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let part = select(vec!["a", "b", "ab", "etc", "0123456789012345678901234567890123456789"]);
    proptest::collection::vec(part, 0..4).prop_map(|parts| format!("/{}", parts.join("/")).into_bytes())
}

fn affix() -> impl Strategy<Value = Vec<u8>> {
    (path(), any::<prop::sample::Index>()).prop_map(|(path, at)| path[..=at.index(path.len())].to_vec())
}

fn texts() -> impl Strategy<Value = Texts> {
    let ends = affix().prop_map(|text| text.into_iter().rev().collect::<Vec<u8>>());
    (btree_set(path(), 0..3), btree_set(affix(), 0..3), btree_set(prop_oneof![ends, path()], 0..3))
        .prop_map(|(exact, prefixes, suffixes)| Texts { exact, prefixes, suffixes })
}

fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = select(vec!["10.0.0.1", "10.128.3.4", "192.168.1.1", "0.0.0.0"]);
    let v6 = select(vec!["::1", "fe80::1", "::ffff:10.0.0.1", "fd00:ec2::254"]);
    prop_oneof![v4, v6].prop_map(|text| text.parse().unwrap())
}

fn block() -> impl Strategy<Value = IpNet> {
    (address(), 0..=32_u8).prop_map(|(address, short)| {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() { 32 - short } else { 128 - 4 * short };
        IpNet::new(address, bits).unwrap().trunc()
    })
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![select(vec![0, 1, 80, 443, 65_535]), any::<u16>()]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    select(vec!["sh", "s", "shell", "123456789012345", "1234567890123456"]).prop_map(|name| name.as_bytes().to_vec())
}

prop_compose! {
    fn class()(
        opens: u16,
        not_types: u8,
        side in select(vec![Side::Any, Side::Any, Side::Container, Side::Host]),
        path in option::of(texts()),
        names in option::of(btree_set(name(), 0..3)),
        ports in option::of(btree_set((port(), port()), 0..3)),
        blocks in option::of(btree_set(block(), 0..3)),
        rule in 0..8_u32,
    ) -> Class {
        let types = EventType::ALL.iter().copied().filter(|t| not_types >> (*t as u32 % 8) & 1 == 0).collect();
        // Of hooks other than open only whether they fail counts.
        let opens = if opens & 0x8000 == 0 { opens | 1 } else { [u16::MAX, 0x00ff, 0xff00][usize::from(opens % 3)] };
        Class { types, opens, side, path, names, ports, blocks, rules: [rule].into() }
    }
}

fn fact<T: std::fmt::Debug + Clone>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Fact<T>> {
    (0..6, of).prop_map(|(kind, value)| match kind {
        0 => Fact::Unknown,
        1 => Fact::Absent,
        _ => Fact::Is(value),
    })
}

fn filters(hook: Hook, classes: Vec<Class>) -> KernelFilters {
    let mut by_hook = vec![Vec::new(); Hook::ALL.len()];
    by_hook[hook as usize] = classes;
    KernelFilters::of(by_hook)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn tables_admit_what_the_filters_admit(
        event_type in select(EventType::ALL),
        classes in proptest::collection::vec(class(), 1..12),
        path in path(), second in option::of((path(), any::<bool>())), known in 0..4, cut in any::<prop::sample::Index>(),
        name in fact(name()), port in fact(port()), address in fact(address()),
        open in 0..16_u32, in_container in option::of(any::<bool>()),
    ) {
        let hook = event_type.hook();
        let filters = filters(hook, classes);
        let facts = Facts {
            open_class: if hook == Hook::Open { Some(open) } else { Some(open & OpenFilter::FAILED).filter(|_| open & 1 != 0) },
            in_container,
            path: match known {
                0 => PathFact::Unknown,
                1 => PathFact::End(&path[cut.index(path.len())..]),
                _ => PathFact::Whole(&path),
            },
            // Of opens and execs there is but one.
            path2: second.as_ref().filter(|_| !matches!(hook, Hook::Open | Hook::Exec)).map(|(second, known)| {
                if *known { PathFact::Whole(second) } else { PathFact::Unknown }
            }),
            // The kernel's names have 15 bytes.
            name: match &name { Fact::Is(name) => Fact::Is(&name[..name.len().min(15)]), Fact::Absent => Fact::Absent, Fact::Unknown => Fact::Unknown },
            port,
            address,
            ..Facts::of(event_type)
        };
        let tables = Tables::new(&filters, |_| Priority::Emergency);
        let (wanted, got) = (filters.admits(&facts), tables.bits(&facts));
        prop_assert_eq!(wanted & !got, 0, "{:?}\n{:?}", facts, filters);
        // And no more than that, but where the tables say so.
        let classes = filters.classes(hook);
        let texts = || classes.iter().filter_map(|c| c.path.as_ref());
        let long = texts().any(|t| t.exact.iter().chain(&t.prefixes).any(|t| t.len() >= TEXT) || t.suffixes.iter().any(|t| t.len() > END));
        let v6 = classes.iter().flat_map(|c| c.blocks.iter().flatten()).any(|b| matches!(b, IpNet::V6(b) if b.prefix_len() < 96));
        if !long && !v6 && !matches!(facts.path, PathFact::End(_)) {
            prop_assert_eq!(wanted, got, "{:?}\n{:?}", facts, filters);
        }
        // Fewer literals than there are: still a superset.
        let mut few = Tables::default();
        for (n, class) in classes.iter().enumerate() {
            few.add(hook, 1 << n, class, &|_| Priority::Debug);
        }
        few.bound(2);
        few.inherit();
        prop_assert_eq!(wanted & !few.bits(&facts), 0);
        prop_assert_eq!(few.widened().is_empty(), tables.literals.len() <= 2);
    }

    #[test]
    fn a_range_of_ports_is_covered_exactly(low in port(), high in port(), asked in port()) {
        let covered = prefixes(low, high).into_iter().filter(|(port, bits)| u32::from(asked ^ port) >> (16 - bits) == 0);
        prop_assert_eq!(covered.count(), usize::from((low..=high).contains(&asked)));
        prop_assert!(prefixes(low, high).len() <= 30);
    }
}

#[test]
fn what_only_low_priorities_want_is_shed_first() {
    let class = |path: &[u8], rules: BTreeSet<u32>| Class {
        path: Some(Texts { prefixes: [path.to_vec()].into(), ..Texts::default() }),
        names: (rules.len() > 1).then(BTreeSet::new),
        rules,
        ..Class::everything()
    };
    let classes =
        vec![class(b"/a", [0].into()), class(b"/b", [1].into()), class(b"/c", [2].into()), class(b"/d", [0, 3].into())];
    let filters = filters(Hook::Open, classes);
    let priorities = [Priority::Debug, Priority::Informational, Priority::Notice, Priority::Warning];
    let tables = Tables::new(&filters, |rule| priorities[rule as usize]);
    let kept = |level: usize| {
        let classes = filters.classes(Hook::Open).iter().enumerate();
        let kept = classes.filter(|(n, _)| tables.tests[Hook::Open as usize].keep[level] >> n & 1 == 1);
        kept.filter_map(|(_, class)| class.rules.last().copied()).collect::<BTreeSet<u32>>()
    };
    assert_eq!(kept(0), [0, 1, 2, 3].into());
    assert_eq!(kept(1), [1, 2, 3].into());
    assert_eq!(kept(2), [2, 3].into());
    assert_eq!(kept(3), [3].into());
}
