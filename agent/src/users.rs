//! Names of users and groups.
//!
//! The node's database is `etc/passwd` and `etc/group` as pid 1 sees them, read again when they change. Inside a container it
//! is that container's own, read once by way of a process in it; what has none (distroless images) knows root alone.
//!
//! Invariants: files of containers are hostile: only regular files are read, never through a link out of the container's
//! root, never more than [`MAX_FILE`] bytes, never waiting. Owned by the detect thread.
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use std::{
    cell::RefCell,
    collections::HashMap,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Most bytes read of a database.
const MAX_FILE: u64 = 1 << 20;
/// Most containers whose databases are remembered; all are forgotten when there were more.
const MAX_CONTAINERS: usize = 512;

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: Box<[u8]>,
    /// Home directory.
    pub home: Box<[u8]>,
    /// Shell.
    pub shell: Box<[u8]>,
}

/// Users and groups of one system.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Database {
    users: HashMap<u32, User>,
    groups: HashMap<u32, Box<[u8]>>,
}

impl Database {
    /// From the texts of passwd(5) and group(5). Lines that are none are skipped; of two with one id the first counts.
    #[must_use]
    pub fn parse(passwd: &[u8], group: &[u8]) -> Self {
        let mut database = Self::default();
        for line in passwd.split(|b| *b == b'\n') {
            let parts: Vec<&[u8]> = line.split(|b| *b == b':').collect();
            let [name, _, uid, _, _, home, shell] = parts.as_slice() else { continue };
            if let Some(uid) = number(uid) {
                let user = User { name: (*name).into(), home: (*home).into(), shell: (*shell).into() };
                database.users.entry(uid).or_insert(user);
            }
        }
        for line in group.split(|b| *b == b'\n') {
            let mut parts = line.split(|b| *b == b':');
            if let (Some(name), Some(_), Some(gid)) = (parts.next(), parts.next(), parts.next())
                && let Some(gid) = number(gid)
            {
                database.groups.entry(gid).or_insert_with(|| name.into());
            }
        }
        database
    }

    /// A user by id. Root needs no entry.
    #[must_use]
    pub fn user(&self, uid: u32) -> Option<User> {
        let root = || (uid == 0).then(|| User { name: (*b"root").into(), ..User::default() });
        self.users.get(&uid).cloned().or_else(root)
    }

    /// A group's name by id. Root needs no entry.
    #[must_use]
    pub fn group(&self, gid: u32) -> Option<Box<[u8]>> {
        self.groups.get(&gid).cloned().or_else(|| (gid == 0).then(|| (*b"root").into()))
    }
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What tells whether a file is the same as before: device, inode, size, change time.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// Databases of the node and of containers.
#[derive(Debug)]
pub struct Users {
    proc: PathBuf,
    host: Arc<Database>,
    stamps: [Stamp; 2],
    containers: RefCell<HashMap<Box<str>, Arc<Database>>>,
}

impl Users {
    /// Reads the node's database.
    #[must_use]
    pub fn new(proc: &Path) -> Self {
        let mut users =
            Self { proc: proc.to_owned(), host: Arc::default(), stamps: [None; 2], containers: RefCell::default() };
        users.refresh();
        users
    }

    /// Reads the node's database again if it has changed. To be called now and then.
    pub fn refresh(&mut self) {
        let root = self.proc.join("1/root");
        let files = ["etc/passwd", "etc/group"].map(|f| root.join(f));
        let stamp = |p: &PathBuf| -> Stamp {
            let m = std::fs::metadata(p).ok()?;
            Some((m.dev(), m.ino(), m.size(), m.ctime(), m.ctime_nsec()))
        };
        let stamps = files.each_ref().map(stamp);
        // Files that are missing for a moment are being replaced: what was known stays.
        if stamps != self.stamps
            && stamps.iter().any(Option::is_some)
            && let Some(database) = database_in(&root)
        {
            self.stamps = stamps;
            self.host = Arc::new(database);
        }
    }

    /// The node's database.
    #[must_use]
    pub fn host(&self) -> Arc<Database> {
        Arc::clone(&self.host)
    }

    /// A container's database, by way of a living process in it.
    #[must_use]
    pub fn of_container(&self, id: &str, pid: u32) -> Arc<Database> {
        if let Some(known) = self.containers.borrow().get(id) {
            return Arc::clone(known);
        }
        let Some(database) = database_in(&self.proc.join(pid.to_string()).join("root")) else {
            // The process is gone: another one may tell.
            return Arc::default();
        };
        let database = Arc::new(database);
        let mut containers = self.containers.borrow_mut();
        if containers.len() >= MAX_CONTAINERS {
            containers.clear();
        }
        containers.insert(id.into(), Arc::clone(&database));
        database
    }
}

/// `None`: the root cannot be opened. A file that is missing or no regular one is empty.
fn database_in(root: &Path) -> Option<Database> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root, flags, Mode::empty()).ok()?;
    let read = |path: &str| -> Vec<u8> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut bytes = Vec::new();
        if let Ok(fd) = rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve) {
            let file = std::fs::File::from(fd);
            if file.metadata().is_ok_and(|m| m.is_file()) {
                // Half a database is better than none.
                let _ = file.take(MAX_FILE).read_to_end(&mut bytes);
            }
        }
        bytes
    };
    Some(Database::parse(&read("etc/passwd"), &read("etc/group")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passwd_and_group() {
        let passwd = b"# comment\nroot:x:0:0:root:/root:/bin/bash\nada:x:1000:1000:Ada,,,:/home/ada:/bin/zsh\nbad:x:no:1::/:\ntwice:x:1000:1::/:/x";
        let d = Database::parse(passwd, b"root:x:0:\nstaff:*:50:ada,bob\nbad\n");
        let ada = d.user(1000).unwrap();
        assert_eq!((&*ada.name, &*ada.home, &*ada.shell), (&b"ada"[..], &b"/home/ada"[..], &b"/bin/zsh"[..]));
        assert_eq!(d.group(50).as_deref(), Some(&b"staff"[..]));
        assert_eq!((d.user(7), d.group(7)), (None, None));
        assert_eq!(&*Database::default().user(0).unwrap().name, b"root");
    }

    #[test]
    fn the_node_knows_its_root() {
        let users = Users::new(Path::new("/proc"));
        assert_eq!(&*users.host().user(0).unwrap().name, b"root");
    }

    #[test]
    fn a_hostile_root_yields_nothing_and_does_not_block() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/proc/1/root/etc/passwd", root.path().join("etc/passwd")).unwrap();
        rustix::fs::mknodat(CWD, root.path().join("etc/group"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(database_in(root.path()).unwrap(), Database::default());
        assert!(database_in(Path::new("/nonexistent")).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Database::parse(&bytes, &bytes);
        }

        #[test]
        fn what_is_written_is_found(uid in 1u32.., name in "[a-z]{1,8}", gid in 1u32..) {
            let d = Database::parse(format!("{name}:x:{uid}:{gid}::/h:/s\n").as_bytes(), format!("{name}:x:{gid}:\n").as_bytes());
            prop_assert_eq!(d.user(uid).unwrap().name, name.as_bytes().into());
            prop_assert_eq!(d.group(gid).unwrap(), name.as_bytes().into());
        }
    }
}
