//! A queue under `kill -9`: the test starts itself as a child that appends and says what was acknowledged, kills it at some
//! moment, and reads what it left. Has its own `main`, since the child must not be a test.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use router::queue::{Limits, Queue};
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const CHILD: &str = "EYAS_TEST_QUEUE";

fn limits() -> Limits {
    Limits { segment_bytes: 2000, durable: false, ..Limits::default() }
}

/// Appends numbers in batches of different sizes, commits some, and prints each number once it is acknowledged.
fn child(dir: &Path) {
    let (mut queue, recovery) = Queue::open(dir, limits()).unwrap();
    let mut next: u64 = String::from_utf8(recovery.state.clone()).unwrap().parse().unwrap_or(0) + recovery.waiting;
    let mut out = std::io::stdout().lock();
    loop {
        let batch: Vec<String> = (next..=next + next % 5).map(|n| n.to_string()).collect();
        queue.append(0, batch.iter().map(String::as_bytes)).unwrap();
        next += batch.len() as u64;
        writeln!(out, "{next}").unwrap();
        if next.is_multiple_of(7) {
            let read = queue.read(3).unwrap();
            let done = read.last().map_or(queue.position(), |r| r.sequence + 1);
            queue.commit(done, done.to_string().as_bytes()).unwrap();
        }
    }
}

/// Starts the child, kills it after it acknowledged `after` times, and returns the greatest number acknowledged.
fn run_and_kill(dir: &Path, after: usize) -> u64 {
    let mut child =
        Command::new(std::env::current_exe().unwrap()).env(CHILD, dir).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = 0;
    for _ in 0..after {
        acknowledged = lines.next().unwrap().unwrap().parse().unwrap();
    }
    child.kill().unwrap();
    // What it said between the last line read and its end counts too; the last line may be cut.
    for line in lines.map_while(Result::ok) {
        if let Ok(n) = line.parse::<u64>() {
            acknowledged = acknowledged.max(n);
        }
    }
    child.wait().unwrap();
    acknowledged
}

fn main() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return child(&PathBuf::from(dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..12 {
        let acknowledged = run_and_kill(dir.path(), 20 + 37 * round);
        assert!(acknowledged > before, "round {round}: the child went on from where the last one was killed");
        let (mut queue, recovery) = Queue::open(dir.path(), limits()).unwrap();
        assert_eq!(recovery.lost, 0, "round {round}");
        let done: u64 = String::from_utf8(recovery.state).unwrap().parse().unwrap_or(0);
        let left: Vec<u64> = queue
            .read(usize::MAX)
            .unwrap()
            .iter()
            .map(|r| String::from_utf8_lossy(&r.payload).parse().unwrap())
            .collect();
        // Everything not committed, in order, without a gap; at least all that was acknowledged.
        let end = done + left.len() as u64;
        assert_eq!(left, (done..end).collect::<Vec<_>>(), "round {round}");
        assert!(end >= acknowledged, "round {round}: {acknowledged} were acknowledged, {end} are there");
        before = acknowledged;
    }
    println!("test a_killed_producer_loses_nothing_acknowledged ... ok");
}
