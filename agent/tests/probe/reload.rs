//! Filters changed under load: no event is lost over a change.
use crate::support::{everything, live};
use agent::probe::{
    KernelFilter, Tables,
    record::{Body, decode},
};
use engine::{event::Hook, plan::OpenFilter};
use std::{
    collections::BTreeSet,
    fs::File,
    os::fd::{FromRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Opens with an own number each (as the mode, which a plain read ignores), 10,000 a second, until told to stop; how many.
fn numbered_opens(stop: &AtomicBool) -> u32 {
    let begin = Instant::now();
    let mut n = 0u32;
    while !stop.load(Ordering::Relaxed) {
        while f64::from(n) < begin.elapsed().as_secs_f64() * 10_000.0 {
            // SAFETY: a C string; the descriptor is owned and closed.
            unsafe {
                let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, c"/dev/null".as_ptr(), libc::O_RDONLY, n);
                drop(OwnedFd::from_raw_fd(fd as i32));
            }
            n += 1;
        }
        thread::sleep(Duration::from_micros(200));
    }
    n
}

#[test]
fn no_event_is_lost_over_changes() {
    let read = OpenFilter::NONE.with(OpenFilter::class(true, false, false, false));
    let classes = Arc::new(Tables::opens([Hook::Open], read));
    let small = |generation| KernelFilter {
        generation,
        types: Hook::Open.event_types().collect(),
        classes: Arc::clone(&classes),
        threads: false,
    };
    let Some(mut live) = live(&small(1)) else { return };
    let stop = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let stop = Arc::clone(&stop);
        move || (crate::support::tid(), numbered_opens(&stop))
    });
    let (mut numbers, mut generations, mut by_thread) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut drain = |live: &mut crate::support::Live| {
        live.ring.drain(usize::MAX, &mut |bytes| {
            let record = decode(bytes).unwrap();
            if let Body::Open(open) = &record.body
                && open.path == b"/dev/null"
                && record.header.pid == std::process::id()
            {
                numbers.insert((record.header.tid, open.mode));
                generations.insert(record.header.generation);
                by_thread.insert(record.header.tid);
            }
        })
    };
    // Narrow and wide filters take turns: 20 changes, or EYAS_RELOADS.
    let changes = std::env::var("EYAS_RELOADS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    for generation in 2..2 + changes {
        let next = if generation % 2 == 0 { everything(generation) } else { small(generation) };
        live.probe.widen(&next).unwrap();
        drain(&mut live);
        live.probe.narrow(&next).unwrap();
        thread::sleep(Duration::from_millis(20));
        drain(&mut live);
    }
    stop.store(true, Ordering::Relaxed);
    let (tid, sent) = writer.join().unwrap();
    drain(&mut live);
    let got = numbers.iter().filter(|(t, _)| *t == tid).count();
    let opens = live.probe.counters().unwrap()[Hook::Open as usize];
    assert_eq!((got, opens.dropped), (sent as usize, 0), "{opens:?}");
    assert!(sent > 3000, "only {sent} opens");
    assert!(generations.len() > 15, "{generations:?}");
}

#[test]
fn a_hook_comes_and_goes() {
    let none = KernelFilter { generation: 1, ..KernelFilter::default() };
    let Some(mut live) = live(&none) else { return };
    let opens = |live: &crate::support::Live| live.probe.counters().unwrap()[Hook::Open as usize].seen;
    File::open("/dev/null").unwrap();
    assert_eq!(opens(&live), 0);

    live.probe.widen(&everything(2)).unwrap();
    File::open("/etc/passwd").unwrap();
    assert_eq!(opens(&live), 0, "the old filter until narrowed");
    live.probe.narrow(&everything(2)).unwrap();
    File::open("/etc/passwd").unwrap();
    assert_eq!(live.open("/etc/passwd").0.generation, 2);

    let back = KernelFilter { generation: 3, ..none };
    live.probe.widen(&back).unwrap();
    live.probe.narrow(&back).unwrap();
    let before = opens(&live);
    File::open("/dev/null").unwrap();
    assert_eq!(opens(&live), before);
}
