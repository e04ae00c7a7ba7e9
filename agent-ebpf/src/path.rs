//! Absolute paths, built from their end: of files (over mount points) and of cgroups.
use crate::{
    kernel::{self, Ptr},
    scratch::{self, NAME_MASK, PATH_END, Scratch},
};
use agent_abi::record::{CGROUP_MAX, COMPONENTS_MAX};
use aya_ebpf::helpers::generated;

/// Most components of a cgroup's path.
const CGROUP_COMPONENTS: u32 = 16;

/// So many components are climbed in line.
const NEAR: u32 = 4;

/// `struct path`: its two members, in this order on all kernels.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Path {
    /// The mount's `struct vfsmount`.
    pub mnt: Ptr,
    /// The dentry.
    pub dentry: Ptr,
}

/// The path of an open file.
#[inline(always)]
pub fn of_file(file: Ptr) -> Path {
    member!(Path, file, file_path)
}

/// The working directory of a task.
#[inline(always)]
pub fn of_cwd(task: Ptr) -> Path {
    member!(Path, member!(Ptr, task, task_fs), fs_pwd)
}

/// Writes a path to the scratch: to the root of its mount namespace, whatever root the process has. Of a pseudo file (memfd,
/// pipe) it is `/` and its name.
#[inline(always)]
pub fn walk(s: *mut Scratch, path: Path) {
    begin(s, path);
    climb(s);
    build(s);
}

/// Where a walk starts.
#[inline(always)]
pub fn begin(s: *mut Scratch, path: Path) {
    set!(s, dentry, path.dentry);
    set!(s, depth, 0);
    enter(s, path.mnt.wrapping_sub(off!(mount_mnt)));
}

/// From where the walk is to the root; notes the dentries that it comes by, [`COMPONENTS_MAX`] at most: there is room for no more.
#[inline(always)]
pub fn climb(s: *mut Scratch) {
    // Most paths end within these: a round that is a call costs as much again for its return.
    for _ in 0..NEAR {
        if step(s) != 0 {
            return;
        }
    }
    if !rounds!(s, COMPONENTS_MAX as u32 - NEAR, step) {
        scratch::truncated(s);
    }
}

/// One component, or one mount, up; not 0 at the end.
#[inline(always)]
fn step(s: *mut Scratch) -> u64 {
    let dentry = get!(s, dentry);
    if dentry == get!(s, root) {
        // To the mount point; at the namespace's root a mount is its own parent.
        let parent = get!(s, parent);
        if parent == get!(s, mount) || parent.is_null() {
            return 1;
        }
        set!(s, dentry, get!(s, mountpoint));
        enter(s, parent);
        return 0;
    }
    scratch::note(s, dentry);
    let parent = member!(Ptr, dentry, dentry_parent);
    set!(s, dentry, parent);
    u64::from(parent == dentry)
}

/// Puts the path together from the dentries that a climb has noted.
#[inline(always)]
pub fn build(s: *mut Scratch) {
    set!(s, at, PATH_END);
    scratch::no_end(s);
    let depth = get!(s, depth);
    if depth == 0 {
        // The root itself.
        scratch::prepend(s, core::ptr::null(), 0);
    }
    set!(s, added, 0);
    let _ = rounds!(s, COMPONENTS_MAX as u32, add);
}

/// Puts the name of the next dentry in front; not 0 at the end.
#[inline(always)]
fn add(s: *mut Scratch) -> u64 {
    let n = get!(s, added);
    if n >= get!(s, depth) {
        return 1;
    }
    set!(s, added, n + 1);
    let (len, name) = name(scratch::noted(s, n));
    u64::from(!scratch::prepend(s, name, len as u64))
}

/// The path's first eight bytes, and the bits of those that are known, from its first component alone; None when there is no
/// component.
#[inline(always)]
pub fn front(s: *mut Scratch) -> Option<(u64, u64)> {
    let depth = get!(s, depth);
    if depth == 0 {
        return None;
    }
    let (len, name) = name(scratch::noted(s, depth - 1));
    let word: u64 = kernel::read(name, 0);
    if len >= 7 {
        return Some((word << 8 | b'/' as u64, u64::MAX));
    }
    // Behind it the next one, or the NULs that follow the only one.
    let bits = 8 * (len as u64 + 1);
    let text = (word << 8 | b'/' as u64) & ((1 << bits) - 1);
    if depth == 1 {
        return Some((text, u64::MAX));
    }
    let known = if len == 6 { u64::MAX } else { (1 << ((bits + 8) & 63)) - 1 };
    Some((text | (b'/' as u64) << bits, known))
}

/// The same from its first two components, of a path that has them and whose first one has at most five bytes.
#[inline(always)]
pub fn front_of_two(s: *mut Scratch, (front, known): (u64, u64)) -> (u64, u64) {
    let depth = get!(s, depth);
    let (first, _) = name(scratch::noted(s, depth - 1));
    let (len, name) = name(scratch::noted(s, depth - 2));
    if depth < 2 || first > 5 {
        return (front, known);
    }
    let bits = 8 * (first as u64 + 2);
    let word: u64 = kernel::read(name, 0);
    let text = if len < 8 { word & ((1 << (8 * len as u64 & 63)) - 1) } else { word };
    let value = front & known | text << bits;
    let end = bits + 8 * len as u64;
    if len >= 8 || end >= 64 {
        return (value, u64::MAX);
    }
    // Behind it the next one, or NULs.
    if depth == 2 {
        return (value, u64::MAX);
    }
    let known = if end == 56 { u64::MAX } else { (1 << ((end + 8) & 63)) - 1 };
    (value | (b'/' as u64) << (end & 63), known)
}

/// The path's last eight bytes, backwards, and the bits of those that are known, from its last component alone.
#[inline(always)]
pub fn end(s: *mut Scratch) -> Option<(u64, u64)> {
    if get!(s, depth) == 0 {
        return None;
    }
    let (len, name) = name(scratch::noted(s, 0));
    if len >= 8 {
        return Some((kernel::read::<u64>(name, len as usize - 8).swap_bytes(), u64::MAX));
    }
    let word: u64 = kernel::read(name, 0);
    // The name at the word's end, and the slash in front of it.
    let bits = 8 * len as u64;
    let slash = if len == 7 { b'/' as u64 } else { (b'/' as u64) << ((56 - bits) & 63) };
    let text = if len == 0 { slash } else { word << ((64 - bits) & 63) | slash };
    let known = if len == 7 { u64::MAX } else { (1 << ((bits + 8) & 63)) - 1 };
    Some((text.swap_bytes(), known))
}

/// Notes parent, mount point and root of a `struct mount`; by one read where they lie side by side, as on all kernels so far.
#[inline(always)]
fn enter(s: *mut Scratch, mount: Ptr) {
    set!(s, mount, mount);
    let root = off!(mount_mnt) + off!(vfsmount_root);
    if off!(mount_mountpoint) == off!(mount_parent) + 8 && root == off!(mount_parent) + 16 {
        let [parent, mountpoint, root] = member!([Ptr; 3], mount, mount_parent);
        set!(s, parent, parent);
        set!(s, mountpoint, mountpoint);
        set!(s, root, root);
    } else {
        set!(s, parent, member!(Ptr, mount, mount_parent));
        set!(s, mountpoint, member!(Ptr, mount, mount_mountpoint));
        set!(s, root, kernel::read(mount, root));
    }
}

/// Length and address of a dentry's name; by one read where they lie side by side, as in all kernels so far.
#[inline(always)]
fn name(dentry: Ptr) -> (u32, Ptr) {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Window {
        hash: u32,
        len: u32,
        name: Ptr,
    }
    if off!(dentry_name) == off!(dentry_len) + 4 {
        let w: Window = kernel::read(dentry, off!(dentry_len) - 4);
        (w.len, w.name)
    } else {
        (member!(u32, dentry, dentry_len), member!(Ptr, dentry, dentry_name))
    }
}

/// Writes the path of a task's cgroup to the scratch: of the unified hierarchy, or of the other one when that is its root.
#[inline(never)]
pub fn walk_cgroup(s: *mut Scratch, task: Ptr) -> u64 {
    let css_set = member!(Ptr, task, task_cgroups);
    let node = kernel::default_cgroup_node(css_set);
    let node = if member!(Ptr, node, kn_parent).is_null() { kernel::subsystem_cgroup_node(css_set) } else { node };
    set!(s, dentry, node);
    set!(s, at, PATH_END);
    if !rounds!(s, CGROUP_COMPONENTS, cgroup_step) {
        scratch::truncated(s);
    }
    0
}

/// Puts one name in front; not 0 at the end.
#[inline(always)]
fn cgroup_step(s: *mut Scratch) -> u64 {
    let node = get!(s, dentry);
    let parent = member!(Ptr, node, kn_parent);
    if parent.is_null() {
        if get!(s, at) == PATH_END {
            scratch::prepend(s, core::ptr::null(), 0);
        }
        return 1;
    }
    let name = member!(Ptr, node, kn_name);
    // SAFETY: the window has room for the size given.
    let ret = unsafe {
        generated::bpf_probe_read_kernel_str((&raw mut (*s).window).cast(), NAME_MASK as u32 + 1, name.cast())
    };
    if ret <= 0 || PATH_END - get!(s, at) + ret as u64 > CGROUP_MAX as u64 || !scratch::prepend(s, name, ret as u64 - 1)
    {
        scratch::truncated(s);
        return 1;
    }
    set!(s, dentry, parent);
    0
}
