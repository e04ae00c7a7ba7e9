//! Programs that were to be started and were not.
use crate::support::{Live, live, tid};
use agent::probe::{
    KernelFilter, Tables,
    record::{Body, Header, Record},
};
use engine::{
    event::{EventType, Hook},
    plan::{
        OpenFilter,
        kernel::{Class, KernelFilters},
    },
    priority::Priority,
};
use std::{
    ffi::{CStr, CString},
    fs,
    os::fd::AsRawFd as _,
    path::Path,
    process::Command,
    ptr,
    sync::Arc,
};

/// Execs, of these classes of results.
fn execs(results: OpenFilter) -> KernelFilter {
    let mut classes = vec![Vec::new(); Hook::ALL.len()];
    classes[Hook::Exec as usize].push(Class { opens: results.bits(), ..Class::everything() });
    let tables = Tables::new(&KernelFilters::of(classes), |_| Priority::Emergency);
    KernelFilter { classes: Arc::new(tables), ..KernelFilter::everything(1, [Hook::Exec]) }
}

/// Tries to become another program, from this thread; the error.
fn try_exec(path: &CStr, args: &[&CStr]) -> i32 {
    let mut argv: Vec<_> = args.iter().map(|arg| arg.as_ptr()).collect();
    argv.push(ptr::null());
    // SAFETY: texts and array live across the call; callers give what cannot be started, so that it returns.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), argv.as_ptr().add(args.len())) };
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

/// Header, path as given, arguments, directory descriptor, result.
type Told = (Header, String, Vec<u8>, i32, i64);

fn failed(live: &mut Live, end: &str) -> Told {
    let tid = tid();
    live.find(end, |r: &Record<'_>| match &r.body {
        Body::FailedExec(e) if r.header.tid == tid && e.file.ends_with(end.as_bytes()) => {
            Some((r.header, String::from_utf8(e.file.to_vec()).unwrap(), e.args.to_vec(), e.dirfd, e.ret))
        }
        _ => None,
    })
}

/// Whether the program that sees all calls is attached.
fn looks_at_calls(live: &mut Live) -> bool {
    live.probe.programs().iter().any(|p| p.name == "on_sys_exit" && p.attached)
}

#[test]
fn what_was_tried_is_told() {
    let Some(mut live) = live(&execs(OpenFilter::ALL)) else { return };
    assert_eq!(try_exec(c"/absent/eyas-1", &[c"eyas", c"-a b", c"", c"last"]), libc::ENOENT);
    let (header, file, args, dirfd, ret) = failed(&mut live, "/eyas-1");
    assert_eq!((header.hook, header.event_type), (Hook::Exec, EventType::Execve));
    assert_eq!((header.pid, header.truncated), (std::process::id(), false));
    assert_eq!((file.as_str(), dirfd, ret), ("/absent/eyas-1", libc::AT_FDCWD, -i64::from(libc::ENOENT)));
    assert_eq!(args, b"eyas\0-a b\0\0last\0");

    // A file that nobody may execute.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("eyas-2");
    fs::write(&path, "no program").unwrap();
    let text = CString::new(path.to_str().unwrap()).unwrap();
    assert_eq!(try_exec(&text, &[]), libc::EACCES);
    let (_, file, args, _, ret) = failed(&mut live, "/eyas-2");
    assert_eq!((Path::new(&file), args, ret), (path.as_path(), Vec::new(), -i64::from(libc::EACCES)));

    let folder = fs::File::open(dir.path()).unwrap();
    let argv = [c"eyas".as_ptr(), ptr::null()];
    // SAFETY: as try_exec.
    unsafe {
        let fd = i64::from(folder.as_raw_fd());
        libc::syscall(libc::SYS_execveat, fd, c"eyas-3".as_ptr(), argv.as_ptr(), argv.as_ptr().add(1), 0);
    }
    let (header, file, args, dirfd, ret) = failed(&mut live, "eyas-3");
    assert_eq!((header.event_type, file.as_str()), (EventType::Execveat, "eyas-3"));
    assert_eq!((args.as_slice(), dirfd, ret), (&b"eyas\0"[..], folder.as_raw_fd(), -i64::from(libc::ENOENT)));
}

#[test]
fn what_does_not_fit_is_marked() {
    let Some(mut live) = live(&execs(OpenFilter::ALL)) else { return };
    // Read once, so that the kernel finds the page there.
    let long = CString::new("x".repeat(5000)).unwrap();
    assert_eq!(long.as_bytes().iter().filter(|b| **b == b'x').count(), 5000);
    assert_eq!(try_exec(c"/absent/eyas-long", &[c"a", &long, c"b"]), libc::ENOENT);
    let (header, _, args, ..) = failed(&mut live, "/eyas-long");
    assert!(header.truncated);
    assert_eq!(args.len(), 4096);
    assert!(args.starts_with(b"a\0xxx"));
    let many = [c"m"; 40];
    assert_eq!(try_exec(c"/absent/eyas-many", &many), libc::ENOENT);
    let (header, _, args, ..) = failed(&mut live, "/eyas-many");
    assert!(header.truncated);
    assert_eq!(args, b"m\0".repeat(32));
}

#[test]
fn when_no_rule_wants_them_they_cost_nothing() {
    let succeeded: OpenFilter = (0..8).fold(OpenFilter::NONE, OpenFilter::with);
    let Some(mut live) = live(&execs(succeeded)) else { return };
    // The program that would see them is not even attached.
    assert!(!looks_at_calls(&mut live));
    // Where it is, for something else, it leaves them alone.
    let others = execs(succeeded);
    let others = KernelFilter {
        generation: 2,
        types: others.types.union([EventType::MemfdCreate].into_iter().collect()),
        ..others
    };
    live.probe.widen(&others).unwrap();
    live.probe.narrow(&others).unwrap();
    assert!(looks_at_calls(&mut live));
    let (before, mut child) =
        (live.probe.counters().unwrap()[Hook::Exec as usize], Command::new("true").spawn().unwrap());
    let tried: Vec<i32> = (0..100).map(|_| try_exec(c"/absent/eyas-unwanted", &[])).collect();
    assert_eq!(tried, vec![libc::ENOENT; 100]);
    live.exec(child.id());
    child.wait().unwrap();
    let after = live.probe.counters().unwrap()[Hook::Exec as usize];
    // Other processes start programs meanwhile, but not that many.
    assert!(after.seen > before.seen && after.seen < before.seen + 100, "{before:?} {after:?}");
    let all = KernelFilter { generation: 3, ..execs(OpenFilter::ALL) };
    live.probe.widen(&all).unwrap();
    live.probe.narrow(&all).unwrap();
    assert!(looks_at_calls(&mut live));
    try_exec(c"/absent/eyas-wanted", &[]);
    assert_eq!(failed(&mut live, "/eyas-wanted").0.generation, 3);
}
