//! The system calls that are timed.
use anyhow::Result;
use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::Instant,
};

/// A loop over one kind of call.
pub struct Loop {
    /// What a person calls it.
    pub name: &'static str,
    /// Calls per round: about a quarter of a second's.
    pub calls: u32,
    /// One call.
    pub call: Box<dyn FnMut() -> Result<()>>,
    /// The hook whose records belong to it; none for calls that no rule needs.
    pub hook: Option<&'static str>,
    /// How much is aimed at for program and agent together, nanoseconds a call; none: nothing is promised.
    pub aim: Option<u32>,
}

impl Loop {
    /// Nanoseconds per call over one round.
    ///
    /// # Errors
    /// A call fails that should not.
    pub fn round(&mut self) -> Result<f64> {
        let start = Instant::now();
        for _ in 0..self.calls {
            (self.call)()?;
        }
        Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(self.calls))
    }
}

impl Loop {
    /// The same in processor time of this thread, which others on the machine do not lengthen much; where the work is done by
    /// children, by the clock.
    ///
    /// # Errors
    /// A call fails that should not.
    pub fn round_of_thread(&mut self) -> Result<f64> {
        if self.hook == Some("exec") {
            return self.round();
        }
        let begin = thread_time();
        for _ in 0..self.calls {
            (self.call)()?;
        }
        Ok((thread_time() - begin) / f64::from(self.calls))
    }
}

/// Processor time of this thread, nanoseconds.
fn thread_time() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as f64 * 1e9 + t.tv_nsec as f64
}

/// All loops. Aims are those of the design: where program and agent are aimed at together, their sum.
///
/// # Errors
/// No port that refuses can be found.
pub fn all() -> Result<Vec<Loop>> {
    const FLAGS: rustix::fs::OFlags = rustix::fs::OFlags::CREATE.union(rustix::fs::OFlags::WRONLY);
    let directory = tempfile::TempDir::new()?;
    let folder = File::open(directory.path())?;
    // A port that was just given back refuses.
    let refused: SocketAddr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    Ok(vec![
        Loop {
            name: "getppid",
            calls: 1_000_000,
            call: Box::new(|| {
                std::hint::black_box(rustix::process::getppid());
                Ok(())
            }),
            hook: None,
            aim: Some(100),
        },
        Loop {
            name: "openat+close",
            calls: 100_000,
            call: Box::new(|| {
                drop(File::open("/etc/hostname")?);
                Ok(())
            }),
            hook: Some("open"),
            aim: Some(800),
        },
        Loop {
            name: "creat+close+unlink",
            calls: 20_000,
            // The name is relative, as those that `rm -r` gives.
            call: Box::new(move || {
                // Kept as long as the loop is.
                let _ = &directory;
                drop(rustix::fs::openat(&folder, "unremarkable", FLAGS, rustix::fs::Mode::RUSR)?);
                rustix::fs::unlinkat(&folder, "unremarkable", rustix::fs::AtFlags::empty())?;
                Ok(())
            }),
            hook: Some("unlink"),
            aim: None,
        },
        Loop {
            name: "connect refused",
            calls: 20_000,
            call: Box::new(move || {
                std::hint::black_box(TcpStream::connect(refused).is_err());
                Ok(())
            }),
            hook: Some("connect"),
            aim: Some(1_400),
        },
        Loop {
            name: "fork+exec+wait",
            calls: 300,
            // A name to be searched for in a path of its own is what the standard library forks for itself.
            call: Box::new(|| run(Command::new("true").env("PATH", "/bin"))),
            hook: Some("exec"),
            aim: Some(30_000),
        },
        Loop {
            name: "posix_spawn+wait",
            calls: 300,
            // The C library sets back each of 61 signals in the child: some 120 calls more.
            call: Box::new(|| run(&mut Command::new("/bin/true"))),
            hook: Some("exec"),
            aim: None,
        },
    ])
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Opens of a file that a default rule tells of: each is an alert, folded.
#[must_use]
pub fn sensitive() -> Loop {
    Loop {
        name: "openat+close of /etc/shadow",
        calls: 20_000,
        call: Box::new(|| {
            drop(File::open("/etc/shadow")?);
            Ok(())
        }),
        hook: Some("open"),
        aim: None,
    }
}
