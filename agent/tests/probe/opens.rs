//! Files opened, or not.
use crate::{
    execs::Overlay,
    support::{Live, everything, live, on_overlay},
};
use agent::probe::{KernelFilter, Tables, record::Layer};
use agent_abi::record::COMPONENTS_MAX;
use engine::{
    event::{EventType, Hook},
    plan::OpenFilter,
};
use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::{MetadataExt as _, symlink},
    },
    path::{Path, PathBuf},
};

const AT_FDCWD: i32 = libc::AT_FDCWD;

/// A directory with one file in it.
fn place(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    fs::write(&file, "text").unwrap();
    (dir, file)
}

/// Opens by a raw system call: the result as the kernel gave it.
fn raw(nr: libc::c_long, args: [u64; 4]) -> i64 {
    // SAFETY: callers pass the arguments of an open call, with pointers that live across it.
    let ret = unsafe { libc::syscall(nr, args[0], args[1], args[2], args[3]) };
    if ret >= 0 {
        // SAFETY: just made, nobody else has it.
        drop(unsafe { OwnedFd::from_raw_fd(ret as i32) });
    }
    if ret < 0 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { ret }
}

fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().to_str().unwrap()).unwrap()
}

#[test]
fn an_opened_file_is_known_by_its_own_path() {
    let (dir, file) = place("real-file");
    let Some(mut live) = live(&everything(3)) else { return };
    let opened = File::open(&file).unwrap();
    let (header, open) = live.open("real-file");
    let meta = opened.metadata().unwrap();
    assert_eq!(header.event_type, EventType::Openat);
    assert_eq!((header.pid, header.generation), (std::process::id(), 3));
    assert_eq!(Path::new(&open.path), file);
    assert!(open.rest.resolved && !open.rest.created && open.base.is_empty());
    assert_eq!(open.rest.ret, i64::from(opened.as_raw_fd()));
    assert_eq!(open.rest.flags.cast_signed() & libc::O_ACCMODE, libc::O_RDONLY);
    // An overlay may tell stat another device and number than it has itself.
    if !on_overlay(&file) {
        assert_eq!((u64::from(open.rest.dev), open.rest.ino), (meta.dev(), meta.ino()));
        assert_eq!(open.rest.layer, Layer::None);
    }

    // By way of a symlink and dots: still its own.
    symlink("real-file", dir.path().join("link-1")).unwrap();
    let winding = dir.path().join("..").join(dir.path().file_name().unwrap()).join("./link-1");
    assert!(raw(libc::SYS_open, [c(&winding).as_ptr() as u64, libc::O_RDWR as u64, 0, 0]) >= 0);
    let (header, open) = live.open("real-file");
    assert_eq!(header.event_type, EventType::Open);
    assert_eq!(Path::new(&open.path), file);
    assert_eq!(open.rest.dirfd, AT_FDCWD);
}

#[test]
fn every_call_of_the_family_with_its_arguments() {
    let Some(mut live) = live(&everything(1)) else { return };
    let (dir, _) = place("x");
    let folder = File::open(dir.path()).unwrap();

    let made = c(dir.path().join("made-by-creat"));
    assert!(raw(libc::SYS_creat, [made.as_ptr() as u64, 0o640, 0, 0]) >= 0);
    let (header, open) = live.open("made-by-creat");
    assert_eq!(header.event_type, EventType::Creat);
    assert_eq!(open.rest.mode, 0o640);
    assert_eq!(open.rest.flags.cast_signed(), libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC);
    assert!(open.rest.created);

    let how = [(libc::O_RDWR | libc::O_CREAT) as u64, 0o600, 0];
    let name = c("made-by-openat2");
    let fd = folder.as_raw_fd();
    assert!(raw(libc::SYS_openat2, [fd as u64, name.as_ptr() as u64, how.as_ptr() as u64, 24]) >= 0);
    let (header, open) = live.open("made-by-openat2");
    assert_eq!(header.event_type, EventType::Openat2);
    assert_eq!(Path::new(&open.path), dir.path().join("made-by-openat2"));
    assert_eq!(open.rest.dirfd, fd);
    assert_eq!((open.rest.flags, open.rest.mode), (how[0] as u32, 0o600));
    assert!(open.rest.created);

    // A second time it is there already.
    assert!(raw(libc::SYS_openat2, [fd as u64, name.as_ptr() as u64, how.as_ptr() as u64, 24]) >= 0);
    assert!(!live.open("made-by-openat2").1.rest.created);
}

#[test]
fn what_failed_is_told_as_it_was_asked_for() {
    let Some(mut live) = live(&everything(1)) else { return };
    let (dir, _) = place("x");
    assert!(File::open("/absent/folder/absent-1").is_err());
    let (_, open) = live.open("absent-1");
    assert_eq!((open.path.as_str(), open.base.as_str()), ("/absent/folder/absent-1", ""));
    assert_eq!((open.rest.resolved, open.rest.ret), (false, -i64::from(libc::ENOENT)));

    assert!(File::open("absent-2").is_err());
    let (_, open) = live.open("absent-2");
    assert_eq!(open.path, "absent-2");
    assert_eq!(Path::new(&open.base), std::env::current_dir().unwrap());

    let folder = File::open(dir.path()).unwrap();
    let name = c("sub/../absent-3");
    assert!(raw(libc::SYS_openat, [folder.as_raw_fd() as u64, name.as_ptr() as u64, 0, 0]) < 0);
    let (_, open) = live.open("absent-3");
    assert_eq!(open.path, "sub/../absent-3");
    assert_eq!(Path::new(&open.base), dir.path());

    // An address that cannot be read.
    assert_eq!(raw(libc::SYS_openat, [AT_FDCWD as u64, 8, 0, 0]), -i64::from(libc::EFAULT));
    live.find("EFAULT", |r| match &r.body {
        agent::probe::record::Body::Open(o) if o.ret == -i64::from(libc::EFAULT) => Some(()),
        _ => None,
    });
}

#[test]
fn the_root_and_deep_paths() {
    let Some(mut live) = live(&everything(1)) else { return };
    let tid = crate::support::tid();
    let root = File::open("/").unwrap();
    let ret = i64::from(root.as_raw_fd());
    // Arming itself looks at how many processors there are, by a descriptor of the same number.
    let path = live.find("the root", |r| match &r.body {
        agent::probe::record::Body::Open(o) if r.header.tid == tid && o.ret == ret && !o.path.starts_with(b"/sys/") => {
            Some(o.path.to_vec())
        }
        _ => None,
    });
    assert_eq!(path, b"/");

    let dir = tempfile::tempdir().unwrap();
    let mut deep = dir.path().to_owned();
    for i in 0..50 {
        deep.push(format!("level-{i}-{}", "n".repeat(i)));
    }
    fs::create_dir_all(&deep).unwrap();
    let file = deep.join("at-the-bottom");
    File::create(&file).unwrap();
    let (header, open) = live.open("at-the-bottom");
    assert_eq!(Path::new(&open.path), file);
    assert!(!header.truncated);
}

#[test]
fn a_path_past_the_bounds_keeps_its_end_and_says_so() {
    let Some(mut live) = live(&everything(1)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join(vec!["d"; 150].join("/"));
    fs::create_dir_all(&deep).unwrap();
    File::create(deep.join("bottom-of-many")).unwrap();
    let (header, open) = live.open("bottom-of-many");
    assert!(header.truncated);
    assert!(open.path.starts_with("/d/d/"), "{}", open.path);
    let counters = live.probe.counters().unwrap();
    assert!(counters.iter().any(|c| c.hook == Hook::Open && c.truncated > 0));
}

/// Around the most components that are climbed: each path is whole, or says that it is not and has the end right.
#[test]
fn a_path_near_the_bounds_is_whole_or_says_that_it_is_not() {
    let Some(mut live) = live(&everything(1)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (mut whole, mut cut) = (0, 0);
    for depth in COMPONENTS_MAX - 8..COMPONENTS_MAX + 8 {
        let parts: Vec<String> = (1..depth - dir.path().components().count()).map(|n| format!("d{n}")).collect();
        let folder = dir.path().join(parts.join("/"));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("of-{depth}-components"));
        File::create(&file).unwrap();
        let (header, open) = live.open(&format!("of-{depth}-components"));
        let expected = file.to_str().unwrap();
        if header.truncated {
            cut += 1;
            assert!(expected.ends_with(&open.path), "{depth}: {}", open.path);
        } else {
            whole += 1;
            assert_eq!(open.path, expected, "{depth}");
        }
    }
    assert!(whole >= 4 && cut >= 4, "{whole} {cut}");
}

#[test]
fn mount_points_are_crossed() {
    let Some(mut live) = live(&everything(1)) else { return };
    let file = File::open("/proc/self/comm").unwrap();
    let (_, open) = live.open("comm");
    assert_eq!(Path::new(&open.path), Path::new("/proc").join(std::process::id().to_string()).join("comm"));
    drop(file);
}

#[test]
fn the_overlay_layer_of_a_file() {
    let Some(mut live) = live(&everything(1)) else { return };
    let Some(overlay) = Overlay::mount() else { return };
    File::open(overlay.path("program")).unwrap();
    assert_eq!(live.open("merged/program").1.rest.layer, Layer::Lower);
    fs::write(overlay.path("added"), "new").unwrap();
    assert_eq!(live.open("merged/added").1.rest.layer, Layer::Upper);
    // Written: copied up.
    OpenOptions::new().append(true).open(overlay.path("program")).unwrap();
    assert_eq!(live.open("merged/program").1.rest.layer, Layer::Upper);
}

/// Opens for reading, writing, creating and in vain; the names that came through.
fn which_pass(live: &mut Live) -> Vec<&'static str> {
    let (dir, file) = place("for-reading");
    File::open(&file).unwrap();
    OpenOptions::new().append(true).open(&file).unwrap();
    OpenOptions::new().append(true).create(true).open(dir.path().join("created")).unwrap();
    assert!(File::open(dir.path().join("absent")).is_err());
    // The last one, which all filters of this test let through.
    OpenOptions::new().read(true).append(true).open(&file).unwrap();
    let tid = crate::support::tid();
    let mut passed = Vec::new();
    live.find("the last open", |r| match &r.body {
        agent::probe::record::Body::Open(o) if r.header.tid == tid => {
            let mode = o.flags.cast_signed() & libc::O_ACCMODE;
            let name = Path::new(std::str::from_utf8(o.path).unwrap()).file_name()?.to_str()?;
            match (name, mode) {
                // The test's own making of it.
                ("for-reading", _) if o.flags.cast_signed() & libc::O_CREAT != 0 => {}
                ("for-reading", libc::O_RDWR) => return Some(()),
                ("for-reading", libc::O_RDONLY) => passed.push("read"),
                ("for-reading", _) => passed.push("write"),
                ("created", _) => passed.push("create"),
                ("absent", _) => passed.push("absent"),
                _ => {}
            }
            None
        }
        _ => None,
    });
    passed
}

#[test]
fn only_wanted_classes_pass() {
    let classes = |list: &[(bool, bool, bool, bool)]| {
        let both = OpenFilter::class(true, true, false, false);
        let add = |f: OpenFilter, c: &(bool, bool, bool, bool)| f.with(OpenFilter::class(c.0, c.1, c.2, c.3));
        list.iter().fold(OpenFilter::NONE.with(both), add)
    };
    let cases = [
        (classes(&[]), vec![]),
        (classes(&[(true, false, false, false)]), vec!["read"]),
        (classes(&[(false, true, false, false)]), vec!["write"]),
        (classes(&[(false, true, true, false)]), vec!["create"]),
        (classes(&[(true, false, false, true)]), vec!["absent"]),
        (OpenFilter::ALL, vec!["read", "write", "create", "absent"]),
    ];
    for (open, expected) in cases {
        let classes = Tables::opens([Hook::Open], open);
        let filter = KernelFilter { classes: classes.into(), ..everything(1) };
        let Some(mut live) = live(&filter) else { return };
        assert_eq!(which_pass(&mut live), expected, "{open:?}");
    }
}
