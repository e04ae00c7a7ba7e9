//! The thread that reads the ring and evaluates.
use crate::{
    detect::{Detector, Store, Told, clock},
    probe::Ring,
};
use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Records per look at the clock and the rules.
const BATCH: usize = 2048;
/// Longest sleep while nothing happens: how late a match, a reload or the end is noticed at most.
const WAIT: Duration = Duration::from_millis(50);
/// How long the ring is drained after the end was asked for, however much still comes.
const LAST_DRAIN: Duration = Duration::from_millis(700);

/// Starts it. It ends with `stop`, when what was in the ring is evaluated and given out.
///
/// # Errors
/// The system gives no thread.
pub(super) fn spawn(
    ring: Ring,
    detector: Detector,
    store: Arc<Store>,
    stop: CancellationToken,
) -> io::Result<JoinHandle<Told>> {
    std::thread::Builder::new().name("detect".into()).spawn(move || run(ring, detector, &store, &stop))
}

fn run(mut ring: Ring, mut detector: Detector, store: &Store, stop: &CancellationToken) -> Told {
    // Until something is armed, nothing passes. Records that come while the table is seeded wait in the ring.
    while !store.is_open() {
        if stop.is_cancelled() {
            return detector.finish();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    detector.seed();
    let mut until = None;
    loop {
        let (begin, time) = (Instant::now(), clock().0);
        detector.begin();
        let drained = ring.drain(BATCH, &mut |bytes| detector.record(bytes));
        if drained < BATCH {
            store.emptied(begin);
            detector.read_until(time);
        }
        detector.tick();
        if stop.is_cancelled() {
            let end = *until.get_or_insert_with(|| Instant::now() + LAST_DRAIN);
            if drained == 0 || Instant::now() >= end {
                detector.unread(ring.left());
                return detector.finish();
            }
        } else if drained < BATCH {
            ring.wait(WAIT);
        }
    }
}
