//! A loaded probe, and waiting for records of interest.
use agent::probe::{
    KernelFilter, Options, Probe, ProbeError, Ring,
    record::{Body, Connect, Exec, Exit, Fork, Header, Open, Record, Stream, decode},
};
use engine::event::Hook;
use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

/// A probe with its ring. This process' own events are seen, too.
pub struct Live {
    pub probe: Probe,
    pub ring: Ring,
    kept: VecDeque<Vec<u8>>,
}

/// Everything passes.
pub fn everything(generation: u32) -> KernelFilter {
    KernelFilter::everything(generation, [Hook::Open, Hook::Connect])
}

/// A probe armed with `filter`, or None where this machine cannot.
pub fn live(filter: &KernelFilter) -> Option<Live> {
    live_with(filter, &Options { exclude_self: false, ..Options::default() })
}

/// The same with options.
pub fn live_with(filter: &KernelFilter, options: &Options) -> Option<Live> {
    let mut probe = match Probe::load(options) {
        Ok(probe) => probe,
        Err(error @ (ProbeError::NotAllowed { .. } | ProbeError::NoBtf { .. })) => {
            println!("skipped: {error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let ring = probe.take_ring().unwrap().unwrap();
    probe.widen(filter).unwrap();
    probe.narrow(filter).unwrap();
    Some(Live { probe, ring, kept: VecDeque::new() })
}

impl Live {
    /// The first record that `pick` makes something of, within 5 s. It is taken; the others are kept for later questions.
    pub fn find<T>(&mut self, what: &str, mut pick: impl FnMut(&Record<'_>) -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(5);
        let mut looked_at = 0;
        loop {
            let found = self.kept.iter().enumerate().skip(looked_at);
            if let Some((at, found)) = found.filter_map(|(i, r)| Some((i, pick(&decode(r).unwrap())?))).next() {
                self.kept.remove(at);
                return found;
            }
            assert!(Instant::now() < end, "no record of {what}");
            looked_at = self.kept.len();
            if self.ring.drain(usize::MAX, &mut |bytes| self.kept.push_back(bytes.to_vec())) == 0 {
                self.ring.wait(Duration::from_millis(20));
            }
        }
    }

    /// The exec of process `pid`.
    pub fn exec(&mut self, pid: u32) -> (Header, OwnedExec) {
        self.find("exec", |r| match &r.body {
            Body::Exec(e) if r.header.pid == pid => Some((r.header, OwnedExec::from(e))),
            _ => None,
        })
    }

    /// The exec of process `pid` of a program whose path ends so.
    pub fn exec_of(&mut self, pid: u32, end: &str) -> (Header, OwnedExec) {
        self.find(end, |r| match &r.body {
            Body::Exec(e) if r.header.pid == pid && e.path.ends_with(end.as_bytes()) => {
                Some((r.header, OwnedExec::from(e)))
            }
            _ => None,
        })
    }

    /// The open by this thread whose path ends so.
    pub fn open(&mut self, end: &str) -> (Header, OwnedOpen) {
        let tid = tid();
        self.find(end, |r| match &r.body {
            Body::Open(o) if r.header.tid == tid && o.path.ends_with(end.as_bytes()) => {
                Some((r.header, OwnedOpen::from(o)))
            }
            _ => None,
        })
    }

    /// The next open, by whomever, that is so.
    pub fn any_open(&mut self, is_it: impl Fn(&Open<'_>) -> bool) -> AnyOpen {
        self.find("open", |r| match &r.body {
            Body::Open(o) if is_it(o) => Some(AnyOpen { path: o.path.to_vec(), resolved: o.resolved }),
            _ => None,
        })
    }

    /// The connect by this thread through descriptor `fd`.
    pub fn connect(&mut self, fd: i32) -> (Header, Connect<'static>, Vec<u8>) {
        let tid = tid();
        self.find("connect", |r| match &r.body {
            Body::Connect(c) if r.header.tid == tid && c.fd == fd => {
                Some((r.header, Connect { unix_path: b"", ..c.clone() }, c.unix_path.to_vec()))
            }
            _ => None,
        })
    }

    /// The fork that made `pid`.
    pub fn fork(&mut self, pid: u32) -> (Header, Fork<'static>) {
        self.find("fork", |r| match &r.body {
            Body::Fork(f) if f.child_tid == pid => Some((r.header, Fork { comm: b"", ..f.clone() })),
            _ => None,
        })
    }

    /// The exit of `pid`.
    pub fn exit(&mut self, pid: u32) -> (Header, Exit) {
        self.find("exit", |r| match &r.body {
            Body::Exit(e) if r.header.pid == pid => Some((r.header, *e)),
            _ => None,
        })
    }
}

/// Whether a file lies on an overlay, as everything does inside of a container.
pub fn on_overlay(path: &Path) -> bool {
    /// OVERLAYFS_SUPER_MAGIC
    const MAGIC: i64 = 0x794c_7630;
    rustix::fs::statfs(path).unwrap().f_type == MAGIC
}

/// This thread's id.
pub fn tid() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned()
}

/// What an exec record said, owned.
#[derive(Debug)]
pub struct OwnedExec {
    pub path: String,
    pub file: String,
    pub args: Vec<u8>,
    pub cwd: String,
    pub cgroup: String,
    pub comm: String,
    pub streams: [OwnedStream; 3],
    pub rest: Exec<'static>,
}

impl From<&Exec<'_>> for OwnedExec {
    fn from(e: &Exec<'_>) -> Self {
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        Self {
            path: text(e.path),
            file: text(e.file),
            args: e.args.to_vec(),
            cwd: text(e.cwd),
            cgroup: text(e.cgroup_path),
            comm: text(e.comm),
            streams: e.streams.each_ref().map(OwnedStream::from),
            rest: Exec {
                path: b"",
                file: b"",
                args: b"",
                cwd: b"",
                cgroup_path: b"",
                comm: b"",
                streams: Default::default(),
                ..e.clone()
            },
        }
    }
}

/// What a standard stream is, owned.
#[derive(Debug)]
pub enum OwnedStream {
    Closed,
    File(OwnedFile),
    Socket { local: Option<SocketAddr>, remote: Option<SocketAddr> },
}

/// A file behind a standard stream.
#[derive(Debug)]
pub struct OwnedFile {
    pub path: String,
    pub ino: u64,
    /// `S_IF*`.
    pub format: u32,
}

impl From<&Stream<'_>> for OwnedStream {
    fn from(stream: &Stream<'_>) -> Self {
        match stream {
            Stream::Closed => Self::Closed,
            Stream::File(file) => Self::File(OwnedFile {
                path: String::from_utf8(file.path.to_vec()).unwrap(),
                ino: file.ino,
                format: u32::from(file.mode) & libc::S_IFMT,
            }),
            Stream::Socket { ends, connected } => {
                let end = |addr: Option<std::net::IpAddr>, port| addr.map(|addr| SocketAddr::new(addr, port));
                let remote = end(ends.addr, ends.port);
                assert_eq!(remote.is_some(), *connected);
                Self::Socket { local: end(ends.local_addr, ends.local_port), remote }
            }
        }
    }
}

/// What an open record said of its path, whatever bytes it has.
#[derive(Debug)]
pub struct AnyOpen {
    pub path: Vec<u8>,
    pub resolved: bool,
}

/// What an open record said, owned.
#[derive(Debug)]
pub struct OwnedOpen {
    pub path: String,
    pub base: String,
    pub rest: Open<'static>,
}

impl From<&Open<'_>> for OwnedOpen {
    fn from(o: &Open<'_>) -> Self {
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        Self { path: text(o.path), base: text(o.base), rest: Open { path: b"", base: b"", given: b"", ..o.clone() } }
    }
}
