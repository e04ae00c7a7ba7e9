//! What standard input, output and error of a process are: as of its exec, changed by each dup over them that a rule asked for.
use crate::probe::record::{Call, CallFile, Connect, Layer, Stream};
use std::{os::unix::ffi::OsStrExt as _, os::unix::fs::MetadataExt as _, path::Path};

/// One of them, owned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// Not known: a socket, of a process that ran before the agent.
    #[default]
    Unknown,
    /// Closed.
    Closed,
    /// No socket.
    File {
        /// As [`CallFile::path`].
        path: Box<[u8]>,
        /// `st_mode`.
        mode: u16,
        /// Inode number.
        ino: u64,
    },
    /// A socket.
    Socket {
        /// Its ends.
        ends: Box<Connect<'static>>,
        /// Path of a unix socket.
        unix_path: Box<[u8]>,
        /// It has a peer.
        connected: bool,
    },
}

impl Held {
    fn file(path: &[u8], mode: u16, ino: u64) -> Self {
        Self::File { path: path.into(), mode, ino }
    }

    fn socket(ends: &Connect<'_>, connected: bool) -> Self {
        let kept = Connect { unix_path: b"", ..ends.clone() };
        Self::Socket { ends: Box::new(kept), unix_path: ends.unix_path.into(), connected }
    }

    /// As a record has it; `None` when it is not known.
    #[must_use]
    pub fn stream(&self) -> Option<Stream<'_>> {
        Some(match self {
            Self::Unknown => return None,
            Self::Closed => Stream::Closed,
            Self::File { path, mode, ino } => {
                Stream::File(CallFile { path, mode: *mode, dev: 0, ino: *ino, layer: Layer::None })
            }
            Self::Socket { ends, unix_path, connected } => {
                Stream::Socket { ends: Connect { unix_path, ..(**ends).clone() }, connected: *connected }
            }
        })
    }
}

impl From<&Stream<'_>> for Held {
    fn from(stream: &Stream<'_>) -> Self {
        match stream {
            Stream::Closed => Self::Closed,
            Stream::File(file) => Self::file(file.path, file.mode, file.ino),
            Stream::Socket { ends, connected } => Self::socket(ends, *connected),
        }
    }
}

/// What a call that made a descriptor made it of; `None` when it tells nothing.
pub(super) fn of_call(call: &Call<'_>) -> Option<Held> {
    match (&call.socket, &call.file) {
        (Some(socket), _) => Some(Held::socket(socket, call.connected)),
        (None, Some(file)) => Some(Held::file(file.path, file.mode, file.ino)),
        (None, None) => None,
    }
}

/// Of a process in this folder of /proc.
pub(super) fn of_proc(dir: &Path) -> [Held; 3] {
    ["fd/0", "fd/1", "fd/2"].map(|fd| of_link(&dir.join(fd)))
}

fn of_link(link: &Path) -> Held {
    let target = match std::fs::read_link(link) {
        Ok(target) => target,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Held::Closed,
        Err(_) => return Held::Unknown,
    };
    let target = target.as_os_str().as_bytes();
    let number = |front: &[u8]| std::str::from_utf8(target.strip_prefix(front)?.strip_suffix(b"]")?).ok()?.parse().ok();
    if let Some(ino) = number(b"pipe:[") {
        return Held::file(b"/", u16::try_from(libc::S_IFIFO).unwrap_or_default(), ino);
    }
    if let Some(name) = target.strip_prefix(b"anon_inode:") {
        return Held::file(&[b"/", name].concat(), 0, 0);
    }
    if !target.starts_with(b"/") {
        return Held::Unknown;
    }
    // A device's or pipe's file is not opened by that, only looked at.
    let (mode, ino) = std::fs::metadata(link).map_or((0, 0), |m| (m.mode(), m.ino()));
    Held::file(target.strip_suffix(b" (deleted)").unwrap_or(target), u16::try_from(mode).unwrap_or_default(), ino)
}
