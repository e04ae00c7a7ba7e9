//! The classes of paths that calls are given: the same calls with and without filters, with paths of all forms.
use crate::{
    io_uring::{ask, ring},
    support::{Live, live, tid},
};
use agent::probe::{
    KernelFilter, Tables,
    record::{Body, Given, decode},
};
use engine::{
    event::{EventType, Hook},
    plan::{
        OpenFilter,
        kernel::{Class, Facts, KernelFilters, PathFact, Texts},
    },
    priority::Priority,
};
use io_uring::{IoUring, opcode, types};
use std::{
    collections::BTreeMap,
    ffi::CString,
    fs::{self, File},
    os::fd::{AsRawFd, FromRawFd as _, OwnedFd},
    sync::Arc,
};

const HOOKS: [Hook; 6] = [Hook::Unlink, Hook::Rename, Hook::Link, Hook::Chmod, Hook::Chown, Hook::Mount];

/// A call: type, whether it failed, and each path with its directory.
type Key = (EventType, bool, [(Vec<u8>, Vec<u8>); 2]);

/// What user space makes of a path; None where nothing.
fn absolute((path, base): &(Vec<u8>, Vec<u8>)) -> Option<Vec<u8>> {
    let whole = if path.starts_with(b"/") { path.clone() } else { [base, &b"/"[..], path].concat() };
    if path.is_empty() || !whole.starts_with(b"/") {
        return None;
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in whole.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some([b"/", parts.join(&b'/').as_slice()].concat())
}

/// What is told of this thread's calls: the classes of each.
fn told(live: &mut Live) -> BTreeMap<Key, u64> {
    let (tid, mut told) = (tid(), BTreeMap::new());
    live.ring.drain(usize::MAX, &mut |bytes| {
        let record = decode(bytes).unwrap();
        let owned = |given: Given<'_>| (given.path.to_vec(), given.base.to_vec());
        let (failed, paths) = match &record.body {
            Body::Call(call) if HOOKS.contains(&record.header.hook) => {
                (call.ret < 0, [call.path, call.path2].map(owned))
            }
            Body::Open(open) if record.header.io_uring => {
                (false, [(open.path.to_vec(), open.base.to_vec()), Default::default()])
            }
            _ => return,
        };
        if record.header.tid == tid {
            told.insert((record.header.event_type, failed, paths), record.header.classes);
        }
    });
    told
}

/// Where calls start, and paths of all forms.
struct Script {
    root: String,
    directories: Vec<Option<File>>,
    paths: Vec<CString>,
}

impl Script {
    fn new(root: &std::path::Path) -> Self {
        let long = root.join("l".repeat(60)).join("o".repeat(60));
        let directories = [root, &root.join("in"), &root.join("in/deep"), &long, std::path::Path::new("/")];
        for directory in directories {
            fs::create_dir_all(directory).unwrap();
        }
        let root = root.to_str().unwrap().to_owned();
        let mut paths: Vec<Vec<u8>> = [
            "",
            ".",
            "..",
            "/",
            "//",
            "exact",
            "exactly",
            "x.key",
            ".key",
            "..key",
            "...key",
            "a/",
            "exact/",
            "exact//",
            "a//x.key",
            "./x.key",
            "../exact",
            "in/../exact",
            "in/x",
            "in//x",
            "in/./x",
            "in/x/..",
            "in/x/.",
            "in/.x",
            "in/..x",
            "in/...",
            "x/.y.key",
            "deep/x.key/",
            "deep",
            "seven.k",
            "eight.ke",
            "nine.key.",
            "7.bytes/exact",
            "eight.by/exact",
            "tmp/exact",
        ]
        .iter()
        .map(|path| path.as_bytes().to_vec())
        .collect();
        paths.push(b"\xff\xfe/not\x80text.key".to_vec());
        for length in [31, 32, 33, 62, 63, 64, 65, 250, 254, 255, 256, 300, 4_000, 4_091] {
            paths
                .push([&b"n/".repeat(length / 2)[..length & !1], b"z".repeat(length & 1).as_slice(), b".key"].concat());
            paths.push([b"in/", "y".repeat(length - 3).as_bytes()].concat());
        }
        let relative = paths.clone();
        paths.extend(relative.iter().map(|path| [root.as_bytes(), b"/", path].concat()));
        paths.push([root.as_bytes(), b"/.."].concat());
        let open = |path: &std::path::Path| Some(File::open(path).unwrap());
        let directories = directories.iter().map(|path| open(path)).chain([None]).collect();
        let paths =
            paths.into_iter().filter(|path| path.len() < 4_096).map(|path| CString::new(path).unwrap()).collect();
        Self { root, directories, paths }
    }

    /// Calls that fail, or are undone: what they are given is told all the same.
    fn run(&self) {
        let other = CString::new("other").unwrap();
        for directory in &self.directories {
            let fd = directory.as_ref().map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd);
            for path in &self.paths {
                let (path, other) = (path.as_ptr(), other.as_ptr());
                // SAFETY: plain calls with texts that live on; flags that do not exist, so that nothing is done.
                unsafe {
                    libc::unlinkat(fd, path, 0x4000_0000);
                    libc::renameat2(fd, path, fd, other, 0x4000_0000);
                    libc::renameat2(fd, other, fd, path, 0x4000_0000);
                    libc::linkat(fd, path, fd, other, 0x4000_0000);
                    libc::linkat(fd, other, fd, path, 0x4000_0000);
                    libc::symlinkat(path, -1, other);
                    libc::symlinkat(other, -1, path);
                    libc::fchownat(fd, path, u32::MAX, u32::MAX, 0x4000_0000);
                    libc::syscall(libc::SYS_fchmodat2, fd, path, 0, 0x4000_0000);
                    libc::syscall(libc::SYS_move_mount, fd, path, fd, other, 0x4000_0000);
                    libc::mount(path, other, other, 0, std::ptr::null());
                    libc::mount(other, path, other, 0, std::ptr::null());
                    libc::umount2(path, 0x4000_0000);
                }
            }
        }
    }
    /// A ring opens them all for reading; what it opens is closed again.
    fn run_in(&self, ring: &mut IoUring) {
        for directory in &self.directories {
            let fd = types::Fd(directory.as_ref().map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd));
            for path in &self.paths {
                let opened = ask(ring, &opcode::OpenAt::new(fd, path.as_ptr()).flags(libc::O_RDONLY).build());
                if opened >= 0 {
                    // SAFETY: it is ours, and nobody else's.
                    drop(unsafe { OwnedFd::from_raw_fd(opened) });
                }
            }
        }
    }
}

fn filters(root: &str) -> KernelFilters {
    let set = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let at = |name: &str| format!("{root}/{name}");
    let texts = |exact: &[&str], prefixes: &[&str], suffixes: &[&str]| {
        let path = Some(Texts { exact: set(exact), prefixes: set(prefixes), suffixes: set(suffixes) });
        Class { path, ..Class::everything() }
    };
    let classes = [
        texts(&[&at("exact"), "/exact", "/tmp/exact"], &[], &[]),
        texts(&[], &[&at("in/")], &[]),
        texts(&[], &[&at("in/deep")], &["/x.key", "y/exact"]),
        texts(&["exact"], &[], &[".key"]),
        Class { opens: OpenFilter::NONE.with(0).bits(), ..texts(&[], &["/"], &[]) },
    ];
    let mut hooks = vec![Vec::new(); Hook::ALL.len()];
    for hook in HOOKS.into_iter().chain([Hook::Open]) {
        for (rule, class) in (0..).zip(&classes) {
            hooks[hook as usize].push(Class { rules: [rule].into(), ..class.clone() });
        }
    }
    KernelFilters::of(hooks)
}

#[test]
fn a_call_is_filtered_by_its_paths_whatever_their_form() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(dir.path());
    let filters = filters(&script.root);
    let everything = KernelFilter::everything(1, HOOKS);
    let filter = KernelFilter { classes: Arc::new(Tables::new(&filters, |_| Priority::Warning)), ..everything.clone() };
    let Some(mut all) = live(&everything) else { return };
    let Some(mut some) = live(&filter) else { return };
    let (mut all_told, mut some_told) = (BTreeMap::new(), BTreeMap::new());
    told(&mut all);
    told(&mut some);
    let before = some.probe.counters().unwrap();
    script.run();
    all_told.append(&mut told(&mut all));
    some_told.append(&mut told(&mut some));
    let after = some.probe.counters().unwrap();
    for hook in HOOKS {
        let (before, after) = (before[hook as usize], after[hook as usize]);
        assert_eq!(after.dropped, 0, "the ring holds all of it");
        assert!(after.filtered > before.filtered, "{hook:?}");
        assert_eq!(after.seen, after.filtered + after.shed + after.dropped + after.submitted);
    }
    let (filtered, known) = compare(&filters, &all_told, &some_told);
    assert!(filtered > 500 && known > 1_000, "{filtered} filtered, {known} plain");
}

#[test]
fn an_open_of_a_ring_is_filtered_by_its_path_whatever_its_form() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(dir.path());
    let filters = filters(&script.root);
    let everything = KernelFilter::everything(1, [Hook::Open]);
    let filter = KernelFilter { classes: Arc::new(Tables::new(&filters, |_| Priority::Warning)), ..everything.clone() };
    let Some(mut all) = live(&everything) else { return };
    let Some(mut some) = live(&filter) else { return };
    let Some(mut ring) = ring(&all, false) else { return };
    told(&mut all);
    told(&mut some);
    script.run_in(&mut ring);
    let (filtered, known) = compare(&filters, &told(&mut all), &told(&mut some));
    assert!(filtered > 50 && known > 100, "{filtered} filtered, {known} plain");
}

/// Each call that is told without filters: with them exactly when a class wants it, or, where its paths are not plain, at least then.
/// How many are filtered, and of how many that was known.
fn compare(filters: &KernelFilters, all: &BTreeMap<Key, u64>, some: &BTreeMap<Key, u64>) -> (u64, u64) {
    let (mut filtered, mut known) = (0, 0);
    for key in all.keys() {
        let (event_type, failed, paths) = key;
        // A symbolic link's target starts where the link lies, what is mounted may be a name.
        let as_is = |n: usize| !paths[n].0.starts_with(b"/") && paths[n].1.is_empty() && !paths[n].0.is_empty();
        let mut whole = [0, 1].map(|n| absolute(&paths[n]));
        let mut may_be_more = false;
        if *event_type == EventType::Mount && as_is(1) {
            whole[1] = Some(paths[1].0.clone());
        }
        if *event_type == EventType::Symlinkat && as_is(0) {
            let link = whole[1].clone().unwrap_or_default();
            let end = link.iter().rposition(|b| *b == b'/').unwrap_or(0);
            whole[0] = absolute(&(paths[0].0.clone(), link[..end].to_vec()));
            may_be_more = true;
        }
        let fact = |n: usize| whole[n].as_deref().map_or(PathFact::Whole(b""), PathFact::Whole);
        let open_class = Some(match event_type.hook() {
            Hook::Open => OpenFilter::READ,
            _ if *failed => OpenFilter::FAILED,
            _ => 0,
        });
        let facts = Facts { open_class, path: fact(0), path2: Some(fact(1)), ..Facts::of(*event_type) };
        let wanted = filters.admits(&facts);
        let got = some.get(key).copied().unwrap_or(0);
        assert_eq!(wanted & !got, 0, "held back: {}", shown(key));
        let is_single = matches!(event_type.hook(), Hook::Open | Hook::Unlink | Hook::Chmod | Hook::Chown)
            || *event_type == EventType::Umount2;
        // Exactly that where the text is what user space makes of it.
        let plain = |n: usize| {
            let (path, base) = &paths[n];
            let slash: &[u8] = if base == b"/" || base.is_empty() { b"" } else { b"/" };
            let same = path.starts_with(b"/") || whole[n].as_deref() == Some(&[base, slash, path].concat());
            // A call of one path has no second.
            n == 1 && is_single || same && path.len() < 256 && agent_abi::plain::is_plain(path)
        };
        if !may_be_more && plain(0) && plain(1) {
            assert_eq!(got, wanted, "not filtered: {}", shown(key));
            known += 1;
        }
        filtered += u64::from(got == 0);
    }
    println!("{} calls: {filtered} filtered, {known} of plain paths", all.len());
    (filtered, known)
}

fn shown((event_type, _, paths): &Key) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
    let paths = paths.each_ref().map(|(path, base)| format!("{} from {} ({})", text(path), text(base), path.len()));
    format!("{} {paths:?}", event_type.as_str())
}
