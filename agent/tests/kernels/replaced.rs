//! A file that another thread puts in place of a descriptor right after its open: the kernel opened the one, the descriptor is the other
//! by the time that the call ends.
//!
//! Nothing can hold a call there, so it is tried many times. On one processor the other thread has to interrupt the one that opens: it is of
//! real time and sleeps for short, and the kernel has to let it in (`preempt=full`).
use crate::{live::Live, row, used::Folder};
use agent::probe::{Backend, KernelFilter, record::Body};
use engine::event::Hook;
use std::{
    fs, io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// Opens under each back end.
const ROUNDS: u32 = 10_000;
/// A descriptor that nobody else has.
const AT: i32 = 400;

/// What came of the opens.
#[derive(Default)]
struct Outcome {
    /// After so many the descriptor was another file.
    replaced: u32,
    /// So many were told as the file that was opened, and as the other.
    victim: u32,
    decoy: u32,
}

/// Opens a file at [`AT`] again and again while another thread puts another there.
fn race(folder: &Folder) -> u32 {
    let (victim, end) = (folder.c("victim"), folder.c("end"));
    let decoy = fs::File::open(folder.0.join("decoy")).unwrap();
    let inode = decoy.metadata().unwrap().ino();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            real_time();
            while !done.load(Ordering::Relaxed) {
                // SAFETY: a number that only this test uses, and only in this scope.
                unsafe { libc::dup2(decoy.as_raw_fd(), AT) };
                thread::sleep(Duration::from_micros(20));
            }
        });
        let opener = scope.spawn(|| {
            // So that the lowest free number is AT.
            let below = fill();
            let mut replaced = 0;
            for _ in 0..ROUNDS {
                // SAFETY: as above; a string; a structure for which zeroes are valid.
                unsafe {
                    libc::close(AT);
                    let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, victim.as_ptr(), libc::O_RDONLY) as i32;
                    let mut stat: libc::stat = std::mem::zeroed();
                    libc::fstat(fd, &raw mut stat);
                    if fd == AT && stat.st_ino == inode {
                        replaced += 1;
                    } else if fd > AT {
                        libc::close(fd);
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
            // The last of its events.
            // SAFETY: a string; nothing of that name is there.
            unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, end.as_ptr(), libc::O_RDONLY) };
            for fd in below {
                // SAFETY: made by fill().
                unsafe { libc::close(fd) };
            }
            replaced
        });
        let outcome = opener.join().unwrap();
        // SAFETY: nobody else has it.
        unsafe { libc::close(AT) };
        outcome
    })
}

/// Takes all numbers under [`AT`] that are free.
fn fill() -> Vec<i32> {
    let mut taken = Vec::new();
    loop {
        // SAFETY: makes a descriptor.
        let fd = unsafe { libc::dup(0) };
        if !(0..AT).contains(&fd) {
            // SAFETY: the one just made.
            unsafe { libc::close(fd) };
            return taken;
        }
        taken.push(fd);
    }
}

/// Where it may not be, the race is only less likely to be won.
fn real_time() {
    let how = libc::sched_param { sched_priority: 1 };
    // SAFETY: of the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const how) } != 0 {
        println!("no real time: {}", io::Error::last_os_error());
    }
}

fn tell(live: &mut Live, folder: &Folder) -> Outcome {
    let opens = KernelFilter::everything(2, [Hook::Open]);
    live.probe.narrow(&opens).unwrap();
    let mut outcome = Outcome::default();
    thread::scope(|scope| {
        let racer = scope.spawn(|| race(folder));
        live.find(Duration::from_secs(60), |r| {
            let Body::Open(open) = &r.body else { return None };
            if open.ret < 0 {
                return open.path.ends_with(b"replaced/end").then_some(());
            }
            if open.given.ends_with(b"replaced/victim") {
                let told = if open.path.ends_with(b"/decoy") { &mut outcome.decoy } else { &mut outcome.victim };
                *told += 1;
            }
            None
        });
        outcome.replaced = racer.join().unwrap();
    });
    outcome
}

#[test]
fn a_file_that_is_replaced_before_its_open_ends() {
    let Some(mut live) = Live::load_by(true) else { return };
    let folder = Folder::new("replaced");
    for name in ["victim", "decoy"] {
        fs::write(folder.0.join(name), "").unwrap();
    }
    let count = |o: &Outcome| {
        format!("{} of {} opens told as the other file, {} replaced", o.decoy, o.victim + o.decoy, o.replaced)
    };
    let baseline = tell(&mut live, &folder);
    row("replaced", &["baseline", &count(&baseline)]);
    drop(live);
    let mut live = Live::load_by(false).unwrap();
    let status = live.probe.hook_status().swap_remove(Hook::Open as usize);
    if status.backend != Backend::Primary {
        println!("skipped: no primary back end here: {}", status.reason);
        return;
    }
    let primary = tell(&mut live, &folder);
    row("replaced", &["primary", &count(&primary)]);
    assert!(primary.victim > 0);
    assert_eq!(primary.decoy, 0);
    if baseline.decoy == 0 {
        println!(
            "skipped: no file was replaced between its open and the end of the call (on one processor only with preempt=full)"
        );
    }
}
