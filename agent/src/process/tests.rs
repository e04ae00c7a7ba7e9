#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use crate::probe::record::Layer;
use engine::event::{EventType, Hook};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn table() -> (Table, Containers) {
    // No /proc: what records say is all there is.
    (Table::new(Path::new("/nonexistent")), Containers::default())
}

fn header(pid: u32, start: u64) -> Header {
    Header {
        hook: Hook::Exec,
        event_type: EventType::Execve,
        classes: u64::MAX,
        generation: 1,
        truncated: false,
        canary: false,
        io_uring: false,
        used: false,
        nonce: 0,
        time: start + 5 * SECOND,
        cpu: 0,
        pid,
        tid: pid,
        start_time: start,
        cgroup: 9,
        uid: 1000,
        gid: 1000,
    }
}

fn exec<'a>(comm: &'a [u8], args: &'a [u8], ppid: u32, ppid_start: u64) -> Exec<'a> {
    Exec {
        path: b"/bin/x",
        file: b"/bin/x",
        args,
        args_total: 0,
        cwd: b"/tmp",
        cgroup_path: b"/system.slice/x.service",
        comm,
        ppid,
        ppid_start,
        uid: 1000,
        gid: 1000,
        euid: 0,
        egid: 1000,
        loginuid: None,
        cap_permitted: 0,
        cap_inheritable: 0,
        cap_effective: 0,
        sid: 1,
        pgid: 1,
        vpid: 1,
        vtid: 1,
        streams: Default::default(),
        vpgid: 1,
        vsid: 1,
        pvpid: 0,
        tty: 0,
        layer: Layer::None,
        memfd: false,
        deleted: false,
        exe_ino: 0,
        exe_mtime: 0,
        exe_ctime: 0,
        exe_dev: 0,
        mnt_ns: 1,
        pid_ns: 1,
    }
}

fn fork(child: u32, start: u64, parent: u32, parent_start: u64) -> Fork<'static> {
    Fork {
        child_pid: child,
        child_tid: child,
        child_start: start,
        child_vpid: child,
        child_pid_ns: 1,
        child_cgroup: 9,
        child_uid: 1000,
        ppid: parent,
        ppid_start: parent_start,
        flags: 0,
        comm: b"x",
    }
}

#[test]
fn ancestry_goes_through_forks_and_outlives_the_parents_exit() {
    let (mut t, mut c) = table();
    t.exec(&header(10, SECOND), &exec(b"sshd", b"sshd\0", 1, 0), &mut c);
    t.fork(&header(10, SECOND), &fork(11, 2 * SECOND, 10, SECOND), &mut c);
    t.exec(&header(11, 2 * SECOND), &exec(b"bash", b"-bash\0", 10, SECOND), &mut c);
    t.fork(&header(11, 2 * SECOND), &fork(12, 3 * SECOND, 11, 2 * SECOND), &mut c);
    t.exit(&header(11, 2 * SECOND));
    let child = t.actor(&header(12, 3 * SECOND), &mut c);
    let names: Vec<_> = t.ancestors(&child).map(|p| p.name.clone()).collect();
    assert_eq!(names, [b"bash".as_slice().into(), b"sshd".as_slice().into()] as [Box<[u8]>; 2]);
    assert_eq!(child.command_line(), b"x");
    assert!(Arc::ptr_eq(&child.exec, &t.by_pid(11).unwrap().exec), "a fork shares what was executed");
}

#[test]
fn a_reused_pid_is_another_process() {
    let (mut t, mut c) = table();
    t.exec(&header(10, SECOND), &exec(b"old", b"old\0", 1, 0), &mut c);
    t.exit(&header(10, SECOND));
    t.exec(&header(10, 9 * SECOND), &exec(b"new", b"new\0", 1, 0), &mut c);
    assert_eq!(&*t.actor(&header(10, SECOND), &mut c).name, b"old");
    assert_eq!(&*t.actor(&header(10, 9 * SECOND), &mut c).name, b"new");
    assert_eq!(&*t.by_pid(10).unwrap().name, b"new");
    t.sweep(header(10, SECOND).time + 11 * SECOND);
    assert_eq!((t.stats().processes, t.by_pid(10).is_some()), (1, true));
}

#[test]
fn who_is_nowhere_is_unknown_and_counted_once() {
    let (mut t, mut c) = table();
    assert!(t.actor(&header(77, SECOND), &mut c).unknown);
    assert!(t.actor(&header(77, SECOND), &mut c).unknown);
    assert_eq!(t.stats().unknown, 1);
}

#[test]
fn threads_are_no_processes() {
    let (mut t, mut c) = table();
    let thread = Fork { child_tid: 99, ..fork(10, SECOND, 1, 0) };
    t.fork(&header(10, SECOND), &thread, &mut c);
    assert_eq!(t.stats().processes, 0);
}

#[test]
fn a_held_process_does_not_change_under_its_holder() {
    let (mut t, mut c) = table();
    let held = t.exec(&header(10, SECOND), &exec(b"a", b"a\0", 1, 0), &mut c);
    t.exit(&header(10, SECOND));
    assert_eq!((held.exited, t.by_pid(10).unwrap().exited.is_some()), (None, true));
}

#[test]
fn cgroup_moves_are_followed() {
    let (mut t, mut c) = table();
    t.exec(&header(10, SECOND), &exec(b"runc", b"runc\0", 1, 0), &mut c);
    let path = format!("/docker/{}", "ab".repeat(32));
    c.learn(33, path.as_bytes());
    let moved = Header { cgroup: 33, ..header(10, SECOND) };
    assert_eq!(t.actor(&moved, &mut c).container.as_ref().unwrap().short_id(), "abababababab");
}

#[test]
fn the_living_machine_seeds_it() {
    let mut t = Table::new(Path::new("/proc"));
    let mut c = Containers::new(Path::new("/proc"));
    t.seed(&mut c);
    let me = Arc::clone(t.by_pid(std::process::id()).unwrap());
    assert!(me.exec.seeded);
    let parent = std::os::unix::process::parent_id();
    assert_eq!(t.ancestors(&me).next().unwrap().key.pid, parent);
    t.reconcile(me.start + SECOND * 3600);
    assert!(t.by_pid(std::process::id()).unwrap().exited.is_none());
}

proptest! {
    /// Any order of records leaves it bounded, without cycles, and with every exited process swept in the end.
    #[test]
    fn any_history(steps in proptest::collection::vec((0u8..3, 1u32..6, 0u64..3, 1u32..6), 0..200)) {
        let (mut t, mut c) = table();
        for (what, pid, start, other) in steps {
            let h = header(pid, start * SECOND);
            match what {
                0 => { t.exec(&h, &exec(b"x", b"x\0", other, 0), &mut c); }
                1 => t.fork(&h, &fork(other, start * SECOND, pid, start * SECOND), &mut c),
                _ => t.exit(&h),
            }
            let p = t.actor(&h, &mut c);
            prop_assert!(t.ancestors(&p).count() <= MAX_DEPTH);
        }
        t.sweep(u64::MAX / 2);
        prop_assert!(t.exited.is_empty());
        prop_assert!(t.processes.values().all(|p| p.exited.is_none()));
        let found = |(pid, ticks): (&u32, &u64)| t.get(Key::from_ticks(*pid, *ticks)).is_some();
        prop_assert!(t.newest.iter().all(found));
    }
}
