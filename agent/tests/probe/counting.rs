//! Loss accounting: nothing goes uncounted.
use crate::support::{Live, everything, live_with, tid};
use agent::probe::{
    HookCounters, KernelFilter, Options, Tables,
    record::{Body, decode},
};
use engine::{
    event::Hook,
    plan::kernel::{Class, KernelFilters, Texts},
    priority::Priority,
};
use std::{
    ffi::CString,
    os::unix::ffi::OsStrExt as _,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const OPENS: u64 = 200_000;

/// Floods come one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The counters of a hook once the flow is at rest: two readings agree.
fn at_rest(live: &Live, hook: Hook) -> HookCounters {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let counters = live.probe.counters().unwrap()[hook as usize];
        let sum = counters.filtered + counters.shed + counters.dropped + counters.submitted;
        if counters.seen == sum || Instant::now() > end {
            return counters;
        }
    }
}

fn assert_sums(live: &Live) {
    for hook in Hook::ALL {
        let c = at_rest(live, *hook);
        assert_eq!(c.seen, c.filtered + c.shed + c.dropped + c.submitted, "{c:?}");
    }
}

/// Opens and closes a file `OPENS` times from two threads; their ids.
fn flood() -> [u32; 2] {
    let _alone = ALONE.lock();
    let open = || {
        for _ in 0..OPENS / 2 {
            // SAFETY: a C string; the descriptor is closed at once.
            unsafe { libc::close(libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY)) };
        }
        tid()
    };
    let other = thread::spawn(open);
    [open(), other.join().unwrap()]
}

#[test]
fn a_ring_too_small_drops_and_the_sums_are_exact() {
    let options = Options { ring_size: 64 << 10, exclude_self: false, ..Options::default() };
    let Some(mut live) = live_with(&everything(1), &options) else { return };
    let mut received = 0u64;
    flood();
    let opens = at_rest(&live, Hook::Open);
    assert!(opens.seen >= OPENS, "{opens:?}");
    assert!(opens.dropped > 0, "{opens:?}");
    assert_sums(&live);
    // What was submitted is there; life-cycle events share the ring. Other processes go on while we read.
    let before: u64 = live.probe.counters().unwrap().iter().map(|c| c.submitted).sum();
    live.ring.drain(usize::MAX, &mut |bytes| {
        decode(bytes).unwrap();
        received += 1;
    });
    let after: u64 = live.probe.counters().unwrap().iter().map(|c| c.submitted).sum();
    assert!((before..=after).contains(&received), "{before} <= {received} <= {after}");
}

#[test]
fn life_cycle_events_still_fit_when_opens_do_not() {
    let options = Options { ring_size: 1 << 20, exclude_self: false, ..Options::default() };
    let Some(mut live) = live_with(&everything(1), &options) else { return };
    flood();
    assert!(at_rest(&live, Hook::Open).dropped > 0);
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    live.exec(child.id());
}

/// A reader that takes 20 µs a record is far behind a program that opens a file as fast as it can: more than the ring holds.
#[test]
fn a_burst_that_the_reader_is_behind_of_is_set_aside() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = CString::new(file.path().as_os_str().as_bytes()).unwrap();
    let texts = Texts { exact: [path.as_bytes().to_vec()].into(), ..Texts::default() };
    let mut classes = vec![Vec::new(); Hook::ALL.len()];
    classes[Hook::Open as usize].push(Class { path: Some(texts), ..Class::everything() });
    let classes = Arc::new(Tables::new(&KernelFilters::of(classes), |_| Priority::Emergency));
    let options = Options { exclude_self: false, ..Options::default() };
    let Some(mut live) = live_with(&KernelFilter { classes, ..everything(1) }, &options) else { return };
    let writer = thread::spawn(move || {
        for _ in 0..OPENS {
            // SAFETY: a C string; the descriptor is closed at once.
            unsafe { libc::close(libc::open(path.as_ptr(), libc::O_RDONLY)) };
        }
    });
    let (mut read, mut most_waiting, mut at_end) = (0, 0, false);
    while !at_end {
        let finished = writer.is_finished();
        let drained = live.ring.drain(1000, &mut |_| {
            let until = Instant::now() + Duration::from_micros(20);
            while Instant::now() < until {}
            read += 1;
        });
        at_end = finished && drained < 1000;
        let submitted: u64 = live.probe.counters().unwrap().iter().map(|c| c.submitted).sum();
        most_waiting = most_waiting.max(submitted.saturating_sub(read));
    }
    writer.join().unwrap();
    assert!(most_waiting > 60_000, "more than the ring holds has to wait: {most_waiting}");
    assert_eq!(at_rest(&live, Hook::Open).dropped, 0);
    assert!(read >= OPENS, "{read}");
    assert_sums(&live);
}

#[test]
fn a_reader_that_keeps_up_loses_nothing() {
    let options = Options { exclude_self: false, ..Options::default() };
    let Some(mut live) = live_with(&everything(1), &options) else { return };
    let writers = thread::spawn(flood);
    let (mut by_thread, mut idle) = (std::collections::HashMap::<u32, u64>::new(), 0);
    while idle < 3 {
        let n = live.ring.drain(usize::MAX, &mut |bytes| {
            let record = decode(bytes).unwrap();
            if let Body::Open(open) = &record.body
                && open.path == b"/dev/null"
            {
                *by_thread.entry(record.header.tid).or_default() += 1;
            }
        });
        live.ring.wait(Duration::from_millis(20));
        idle = if n == 0 && writers.is_finished() { idle + 1 } else { 0 };
    }
    let threads = writers.join().unwrap();
    let opens = at_rest(&live, Hook::Open);
    let got: u64 = threads.iter().map(|t| by_thread.get(t).copied().unwrap_or_default()).sum();
    assert!(got + opens.dropped >= OPENS, "{got} of {OPENS}, {opens:?}");
    if opens.dropped == 0 {
        assert_eq!(got, OPENS);
    }
    assert_sums(&live);
}

#[test]
fn what_no_rule_wants_is_filtered_and_counted() {
    let connects = Tables::everything([Hook::Connect]);
    let filter = KernelFilter { classes: Arc::new(connects), ..everything(1) };
    let options = Options { exclude_self: false, ..Options::default() };
    let Some(live) = live_with(&filter, &options) else { return };
    flood();
    let opens = at_rest(&live, Hook::Open);
    assert!(opens.filtered >= OPENS && opens.submitted == 0, "{opens:?}");
    assert_sums(&live);
}
