//! Processes made and ended, canaries, own events.
use crate::support::{everything, live, live_with};
use agent::probe::{KernelFilter, Options, record::Body};
use engine::event::{EventType, Hook};
use std::{
    os::unix::process::ExitStatusExt as _,
    process::Command,
    time::{Duration, Instant},
};

#[test]
fn a_process_from_fork_to_exit() {
    let Some(mut live) = live(&everything(1)) else { return };
    let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    let pid = child.id();
    let (maker, fork) = live.fork(pid);
    assert_eq!(maker.pid, std::process::id());
    assert_eq!((fork.child_pid, fork.child_tid, fork.child_vpid), (pid, pid, pid));
    assert_eq!((fork.ppid, fork.ppid_start), (maker.pid, maker.start_time));
    let (header, exec) = live.exec(pid);
    assert_eq!(header.start_time, fork.child_start);
    assert_eq!(exec.rest.ppid_start, maker.start_time);
    assert_eq!(header.cgroup, fork.child_cgroup);
    child.wait().unwrap();
    let (header, exit) = live.exit(pid);
    assert_eq!(exit.code, 7 << 8);
    assert_eq!(header.start_time, fork.child_start);
}

#[test]
fn a_killed_process_says_by_what() {
    let Some(mut live) = live(&everything(1)) else { return };
    let mut child = Command::new("sleep").arg("30").spawn().unwrap();
    live.exec(child.id());
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(live.exit(child.id()).1.code, status.into_raw().cast_unsigned());
}

#[test]
fn how_a_process_was_made() {
    let Some(mut live) = live(&everything(1)) else { return };
    // SAFETY: the child only leaves; nothing of the process is touched in it.
    let pid = unsafe {
        let pid = libc::syscall(libc::SYS_fork);
        if pid == 0 {
            libc::_exit(0);
        }
        libc::waitpid(pid as i32, std::ptr::null_mut(), 0);
        pid as u32
    };
    let (header, fork) = live.fork(pid);
    assert_eq!((header.event_type, fork.flags), (EventType::Fork, 0));
    let mut child = Command::new("true").spawn().unwrap();
    let (header, fork) = live.fork(child.id());
    assert!(matches!(header.event_type, EventType::Clone | EventType::Clone3 | EventType::Vfork));
    assert!(header.event_type == EventType::Vfork || fork.flags & libc::CLONE_VM as u64 != 0);
    child.wait().unwrap();
}

#[test]
fn threads_only_when_wanted() {
    for threads in [false, true] {
        let Some(mut live) = live(&KernelFilter { threads, ..everything(1) }) else { return };
        let tid = std::thread::spawn(crate::support::tid).join().unwrap();
        let mut child = Command::new("true").spawn().unwrap();
        let (pid, mut seen) = (child.id(), false);
        live.find("the process after the thread", |r| match &r.body {
            Body::Fork(f) => {
                seen |= f.child_tid == tid && f.child_pid == std::process::id();
                (f.child_pid == pid).then_some(())
            }
            _ => None,
        });
        child.wait().unwrap();
        assert_eq!(seen, threads);
    }
}

#[test]
fn canaries_prove_every_hook_and_are_counted_apart() {
    let options = Options { exclude_self: true, ..Options::default() };
    let Some(mut live) = live_with(&everything(1), &options) else { return };
    live.probe.fire_canaries().unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while live.probe.hook_status().iter().any(|s| s.attached && s.last_proven.is_none()) && Instant::now() < end {
        live.ring.drain(usize::MAX, &mut |bytes| {
            let record = agent::probe::record::decode(bytes).unwrap();
            assert!(!record.header.canary);
            assert!(record.header.pid != std::process::id(), "own events are left out: {record:?}");
        });
        live.ring.wait(Duration::from_millis(10));
    }
    for status in live.probe.hook_status() {
        let wanted = everything(1).wants(status.hook);
        assert_eq!((status.attached, status.last_proven.is_some()), (wanted, wanted), "{status:?}");
    }
    for counters in live.probe.counters().unwrap() {
        assert_eq!(counters.canaries > 0, everything(1).wants(counters.hook), "{counters:?}");
    }
}

#[test]
fn a_hook_that_is_not_wanted_is_not_proven() {
    let Some(live) = live(&KernelFilter { generation: 1, ..KernelFilter::default() }) else { return };
    live.probe.fire_canaries().unwrap();
    let attached: Vec<Hook> = live.probe.hook_status().iter().filter(|s| s.attached).map(|s| s.hook).collect();
    assert_eq!(attached, [Hook::Exec, Hook::Fork, Hook::Exit]);
    let counters = live.probe.counters().unwrap();
    assert!(counters.iter().all(|c| c.hook.is_life_cycle() || (c.seen, c.canaries) == (0, 0)), "{counters:?}");
}
