//! The kernel's classes on the running kernel: the same events, with and without a filter; what is shed, and to whom it is charged.
use crate::support::{Live, everything, live, live_with, tid};
use agent::probe::{
    KernelFilter, Options, Tables,
    record::{Body, decode},
};
use engine::{
    event::Hook,
    plan::{
        OpenFilter,
        kernel::{Class, Fact, Facts, KernelFilters, PathFact, Texts},
    },
    priority::Priority,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{IpAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::MetadataExt as _,
    sync::Arc,
};

fn texts(exact: &[&str], prefixes: &[&str], suffixes: &[&str]) -> Option<Texts> {
    let set = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    Some(Texts { exact: set(exact), prefixes: set(prefixes), suffixes: set(suffixes) })
}

fn filters(of: Vec<(Hook, Class)>) -> KernelFilters {
    let mut hooks = vec![Vec::new(); Hook::ALL.len()];
    for (rule, (hook, class)) in (0..).zip(of) {
        hooks[hook as usize].push(Class { rules: [rule].into(), ..class });
    }
    KernelFilters::of(hooks)
}

fn filter(generation: u32, filters: &KernelFilters, priority: Priority) -> KernelFilter {
    KernelFilter { classes: Arc::new(Tables::new(filters, |_| priority)), ..everything(generation) }
}

/// By what this thread opened or connected to: the classes that the kernel found.
fn seen(live: &mut Live) -> BTreeMap<String, u64> {
    let (tid, mut seen) = (tid(), BTreeMap::new());
    live.ring.drain(usize::MAX, &mut |bytes| {
        let record = decode(bytes).unwrap();
        let what = match &record.body {
            Body::Open(open) => String::from_utf8(open.path.to_vec()).unwrap(),
            Body::Connect(to) => format!("{}:{}", to.addr.unwrap(), to.port),
            _ => return,
        };
        if record.header.tid == tid && !what.starts_with("/sys/") {
            seen.insert(what, record.header.classes);
        }
    });
    seen
}

#[test]
fn the_kernel_finds_the_classes_that_the_engine_finds() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let at = |name: &str| format!("{root}/{name}");
    let names = ["exact", "exactly", "in/side", "in/deep/er.key", "x.key", "key", &format!("{}.key", "n".repeat(90))];
    for name in names {
        fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        fs::write(dir.path().join(name), "").unwrap();
    }
    let read = OpenFilter::NONE.with(OpenFilter::class(true, false, false, false)).bits();
    let path = |path| Class { path, ..Class::everything() };
    let ports = Some([(40_000, 40_009)].into());
    let blocks = Some(["127.0.0.0/30".parse().unwrap()].into());
    let filters = filters(vec![
        (Hook::Open, path(texts(&[&at("exact")], &[], &[]))),
        (Hook::Open, Class { opens: read, ..path(texts(&[], &[&at("in/")], &[])) }),
        (Hook::Open, path(texts(&[], &[&at("in/deep/")], &[".key"]))),
        (Hook::Connect, Class { ports, ..Class::everything() }),
        (Hook::Connect, Class { blocks, ..Class::everything() }),
    ]);
    let Some(mut all) = live(&everything(1)) else { return };
    let Some(mut some) = live(&filter(1, &filters, Priority::Warning)) else { return };
    seen(&mut all);
    seen(&mut some);
    for name in names {
        File::open(dir.path().join(name)).unwrap();
    }
    let ends = ["127.0.0.1:40003", "127.0.0.1:40010", "127.0.0.9:40009", "127.0.0.9:1"];
    for end in ends {
        let _ = TcpStream::connect(end);
    }
    let (all, some) = (seen(&mut all), seen(&mut some));
    let mut expected = BTreeMap::new();
    for what in all.keys() {
        let facts = match what.rsplit_once(':') {
            Some((address, port)) => Facts {
                address: Fact::Is(address.parse::<IpAddr>().unwrap()),
                port: Fact::Is(port.parse().unwrap()),
                ..Facts::of(engine::event::EventType::Connect)
            },
            None => Facts {
                open_class: Some(OpenFilter::READ),
                path: PathFact::Whole(what.as_bytes()),
                ..Facts::of(engine::event::EventType::Openat)
            },
        };
        let classes = filters.admits(&facts);
        if classes != 0 {
            expected.insert(what.clone(), classes);
        }
    }
    assert_eq!(some, expected);
    assert!(all.len() >= names.len() + ends.len() && some.len() + 3 <= all.len(), "{all:?}\n{some:?}");
}

#[test]
fn sends_and_accepts_are_filtered_by_the_other_end() {
    let hooks = [Hook::Send, Hook::Accept];
    let ports = |low, high| Class { ports: Some([(low, high)].into()), ..Class::everything() };
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let clients = [TcpStream::connect(server.local_addr().unwrap()), TcpStream::connect(server.local_addr().unwrap())];
    let client = clients[0].as_ref().unwrap().local_addr().unwrap().port();
    let blocks = Some(["127.0.0.8/30".parse().unwrap()].into());
    let filters = filters(vec![
        (Hook::Send, ports(40_000, 40_009)),
        (Hook::Send, Class { blocks, ..Class::everything() }),
        (Hook::Accept, ports(client, client)),
    ]);
    let everything = KernelFilter::everything(1, hooks);
    let filter = KernelFilter { classes: Arc::new(Tables::new(&filters, |_| Priority::Warning)), ..everything.clone() };
    let Some(mut all) = live(&everything) else { return };
    let Some(mut some) = live(&filter) else { return };
    let told = |live: &mut Live| {
        let (tid, mut told) = (tid(), BTreeMap::new());
        live.ring.drain(usize::MAX, &mut |bytes| {
            let record = decode(bytes).unwrap();
            let Body::Call(call) = &record.body else { return };
            if record.header.tid == tid && hooks.contains(&record.header.hook) {
                let end = call.socket.as_ref().and_then(|s| Some((s.addr?, s.port)));
                told.insert((record.header.event_type, end), record.header.classes);
            }
        });
        told
    };
    let from = UdpSocket::bind("0.0.0.0:0").unwrap();
    for end in ["127.0.0.1:40003", "127.0.0.1:40010", "127.0.0.9:40009", "127.0.0.9:1", "127.0.0.13:53"] {
        from.send_to(b"x", end).unwrap();
    }
    let six = UdpSocket::bind("[::]:0").unwrap();
    six.send_to(b"x", "[::ffff:127.0.0.9]:1").unwrap();
    six.send_to(b"x", "[::1]:1").unwrap();
    for _ in &clients {
        server.accept().unwrap();
    }
    let (all, some) = (told(&mut all), told(&mut some));
    let mut expected = BTreeMap::new();
    for (event_type, end) in all.keys() {
        let (address, port) = end.unwrap();
        let facts = Facts { address: Fact::Is(address), port: Fact::Is(port), ..Facts::of(*event_type) };
        let classes = filters.admits(&facts);
        if classes != 0 {
            expected.insert((*event_type, *end), classes);
        }
    }
    assert_eq!(some, expected);
    assert!(all.len() >= 8 && some.len() + 4 <= all.len() && some.len() >= 4, "{all:?}\n{some:?}");
}

#[test]
fn a_side_that_is_known_decides() {
    let inside = Class { side: engine::plan::kernel::Side::Container, ..Class::everything() };
    let filters = filters(vec![(Hook::Open, inside)]);
    let Some(mut live) = live(&filter(1, &filters, Priority::Warning)) else { return };
    let mut sides = live.probe.take_sides().unwrap();
    File::open("/etc/passwd").unwrap();
    let cgroup = live.open("/etc/passwd").0.cgroup;
    sides.tell(cgroup, true);
    File::open("/etc/passwd").unwrap();
    live.open("/etc/passwd");
    sides.tell(cgroup, false);
    seen(&mut live);
    File::open("/etc/passwd").unwrap();
    // Where several hierarchies are in use, the host's mounts have to agree.
    let mounts = |pid: &str| fs::metadata(format!("/proc/{pid}/ns/mnt")).map(|m| m.ino());
    let ours = mounts("1").map_or(true, |host| mounts("self").unwrap() == host);
    let unified = cgroup >> 63 == 0;
    assert_eq!(seen(&mut live).contains_key("/etc/passwd"), !(ours || unified));
    sides.forget();
    File::open("/etc/passwd").unwrap();
    live.open("/etc/passwd");
}

#[test]
fn what_is_lost_is_charged_to_the_class_and_the_generation() {
    let null = |n: usize| {
        for _ in 0..n {
            File::open("/dev/null").unwrap();
        }
    };
    let classes = filters(vec![
        (Hook::Open, Class { path: texts(&["/dev/null"], &[], &[]), ..Class::everything() }),
        (
            Hook::Open,
            Class { path: texts(&["/nowhere"], &[], &[]), names: Some([b"x".to_vec()].into()), ..Class::everything() },
        ),
    ]);
    let options = Options { ring_size: 64 << 10, exclude_self: false, ..Options::default() };
    let Some(mut live) = live_with(&filter(1, &classes, Priority::Notice), &options) else { return };
    let null_class = classes.classes(Hook::Open).iter().position(|c| c.names.is_none()).unwrap();
    // Shed by level, whatever room there is.
    live.probe.set_shed_level(3).unwrap();
    null(100);
    live.probe.set_shed_level(2).unwrap();
    live.ring.drain(usize::MAX, &mut |_| {});
    null(10);
    // And for lack of room, over a change of filters.
    null(2_000);
    live.probe.narrow(&filter(2, &classes, Priority::Emergency)).unwrap();
    null(2_000);
    let opens = live.probe.counters().unwrap()[Hook::Open as usize];
    let lost = live.probe.take_lost().unwrap();
    let of = |generation: u32| -> u64 {
        let of = lost.iter().filter(|l| (l.generation, l.hook, l.class) == (generation, Hook::Open, null_class));
        of.map(|l| l.events).sum()
    };
    assert!(of(1) >= 100 && of(2) > 0 && opens.shed >= 100 && opens.dropped > 0, "{lost:?} {opens:?}");
    // Failed opens of others, whose paths are not known, may want both classes.
    assert!(of(1) + of(2) >= opens.shed + opens.dropped, "{lost:?} {opens:?}");
    assert_eq!(opens.seen, opens.filtered + opens.shed + opens.dropped + opens.submitted);
    assert!(live.probe.take_lost().unwrap().iter().map(|l| l.events).sum::<u64>() < 100, "told once");
}

#[test]
fn the_level_that_was_set_and_that_of_the_ring_combine_to_the_greater() {
    let null = |n: usize| (0..n).for_each(|_| drop(File::open("/dev/null").unwrap()));
    let class = Class { path: texts(&["/dev/null"], &[], &[]), ..Class::everything() };
    let classes = filters(vec![(Hook::Open, class)]);
    let options = Options { ring_size: 64 << 10, exclude_self: false, ..Options::default() };
    let Some(mut live) = live_with(&filter(1, &classes, Priority::Informational), &options) else { return };
    let shed = |live: &mut Live, level: u8, opens: usize| {
        live.ring.drain(usize::MAX, &mut |_| {});
        let before = live.probe.counters().unwrap()[Hook::Open as usize].shed;
        live.probe.set_shed_level(level).unwrap();
        null(opens);
        live.probe.counters().unwrap()[Hook::Open as usize].shed - before
    };
    assert!(shed(&mut live, 1, 20) < 20, "level 1 keeps Informational, and the ring is empty");
    assert!(shed(&mut live, 1, 2_000) > 100, "the ring's level 2 is greater");
    assert!(shed(&mut live, 3, 20) >= 20, "what was set is greater than an empty ring's");
    assert!(shed(&mut live, 0, 20) < 20, "taken back");
}
