//! Paths that do not say what they are: each open told by the object that the kernel opened, and by what was asked for.
use crate::support::{Live, everything, live};
use std::{
    ffi::{CString, OsStr},
    fs::{self, File},
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
};

/// A folder whose own path has no links in it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    (dir, path)
}

fn c(path: &[u8]) -> CString {
    CString::new(path).unwrap()
}

/// Opens by openat(2); the descriptor or an error.
fn openat(dir: i32, path: &[u8]) -> i32 {
    let path = c(path);
    // SAFETY: a string that lives across the call.
    unsafe { libc::openat(dir, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) }
}

fn close(fd: i32) {
    // SAFETY: a descriptor of our own, given up.
    unsafe { libc::close(fd) };
}

/// Opens, and checks what is told: the object's path, and the argument.
#[track_caller]
fn told(live: &mut Live, dir: i32, given: &[u8], object: &[u8]) {
    let fd = openat(dir, given);
    assert!(fd >= 0, "{}: {}", String::from_utf8_lossy(given), std::io::Error::last_os_error());
    close(fd);
    let open = live.any_open(|o| o.given == given);
    assert!(open.resolved, "{open:?}");
    assert_eq!(OsStr::from_bytes(&open.path), OsStr::from_bytes(object));
}

#[test]
fn what_was_opened_and_what_was_asked_for() {
    let Some(mut live) = live(&everything(1)) else { return };
    let (_dir, at) = folder();
    let sub = at.join("sub");
    fs::create_dir(&sub).unwrap();
    let object = at.join("object");
    fs::write(&object, "x").unwrap();
    symlink("../object", sub.join("link")).unwrap();
    symlink(&sub, at.join("folder-link")).unwrap();
    let (object, dir) = (object.as_os_str().as_bytes(), File::open(&sub).unwrap());
    let fd = std::os::fd::AsRawFd::as_raw_fd(&dir);
    let given = |path: &Path| path.as_os_str().as_bytes().to_vec();

    told(&mut live, fd, b"../object", object);
    told(&mut live, fd, b".././sub//../object", object);
    told(&mut live, fd, b"link", object);
    told(&mut live, libc::AT_FDCWD, &given(&at.join("folder-link/link")), object);
    told(&mut live, libc::AT_FDCWD, &given(&at.join("sub/..//object")), object);
    // By a descriptor: the file that it is of.
    told(&mut live, libc::AT_FDCWD, format!("/proc/self/fd/{fd}/../object").as_bytes(), object);
    // Bytes that are no UTF-8.
    let odd = at.join(OsStr::from_bytes(b"\xff\xfe\x80"));
    fs::write(&odd, "x").unwrap();
    told(&mut live, libc::AT_FDCWD, odd.as_os_str().as_bytes(), odd.as_os_str().as_bytes());
    // What has no name any more keeps the one that it had.
    let gone = at.join("gone");
    let file = File::create(&gone).unwrap();
    fs::remove_file(&gone).unwrap();
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    told(&mut live, libc::AT_FDCWD, again.as_bytes(), gone.as_os_str().as_bytes());
}

#[test]
fn a_path_of_4095_bytes() {
    let Some(mut live) = live(&everything(1)) else { return };
    let (_dir, at) = folder();
    let object = at.join("object");
    fs::write(&object, "x").unwrap();
    // As long as the kernel takes it: 4,095 bytes and a NUL.
    let end = object.as_os_str().as_bytes();
    let given = [b"/".repeat(4095 - end.len()), end.to_vec()].concat();
    told(&mut live, libc::AT_FDCWD, &given, end);
    assert_eq!(openat(libc::AT_FDCWD, &[b"/", &given[..]].concat()), -1);
}

/// In a child of its own, so that this process keeps its root and mounts; the child must not allocate after the fork.
fn in_child(what: impl Fn() -> bool) {
    // SAFETY: the child does only system calls on what was made before, and ends.
    match unsafe { libc::fork() } {
        -1 => panic!("{}", std::io::Error::last_os_error()),
        0 => {
            let code = i32::from(!what());
            // SAFETY: ends the child.
            unsafe { libc::_exit(code) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: our child, a number to write to.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            assert_eq!(status, 0, "the child failed");
        }
    }
}

#[test]
fn bind_mounts_and_other_roots() {
    let Some(mut live) = live(&everything(1)) else { return };
    let (_dir, at) = folder();
    for name in ["real", "bound"] {
        fs::create_dir(at.join(name)).unwrap();
    }
    let nonce = format!("object-{}", std::process::id());
    fs::write(at.join("real").join(&nonce), "x").unwrap();
    let [real, bound, root] = [at.join("real"), at.join("bound"), at.clone()].map(|p| c(p.as_os_str().as_bytes()));
    let through = c(at.join("bound").join(&nonce).as_os_str().as_bytes());
    let inside = c(format!("/bound/{nonce}").as_bytes());
    in_child(|| {
        // SAFETY: strings that live across the calls; the mount is made in a mount namespace of the child's own.
        unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(
                    c"none".as_ptr(),
                    c"/".as_ptr(),
                    std::ptr::null(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    std::ptr::null(),
                ) == 0
                && libc::mount(real.as_ptr(), bound.as_ptr(), std::ptr::null(), libc::MS_BIND, std::ptr::null()) == 0
                && libc::open(through.as_ptr(), libc::O_RDONLY) >= 0
                && libc::chroot(root.as_ptr()) == 0
                && libc::open(inside.as_ptr(), libc::O_RDONLY) >= 0
        }
    });
    // By where it is mounted, and by the path in the mount namespace, whatever root the process has.
    for given in [&through, &inside] {
        let open = live.any_open(|o| o.given == given.to_bytes());
        assert_eq!(OsStr::from_bytes(&open.path), at.join("bound").join(&nonce), "asked for {given:?}");
    }
}
