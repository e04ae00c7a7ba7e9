//! Absolute paths, built from their end: of files (over mount points) and of cgroups.
use crate::{
    kernel::{self, Ptr},
    scratch::{self, NAME_MASK, PATH_END, Scratch},
};
use agent_abi::record::{CGROUP_MAX, COMPONENTS_MAX};
use aya_ebpf::helpers::generated;

/// Most components of a cgroup's path.
const CGROUP_COMPONENTS: usize = 16;

/// `struct path`: its two members, in this order on all kernels.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Path {
    mnt: Ptr,
    dentry: Ptr,
}

/// The path of an open file.
#[inline(always)]
pub fn of_file(file: Ptr) -> Path {
    member!(Path, file, file_path)
}

/// The working directory of a task that the verifier knows.
#[inline(always)]
pub fn of_cwd(task: Ptr) -> Path {
    member!(Path, load!(Ptr, task, task_fs), fs_pwd)
}

/// Writes a path to the scratch: to the root of its mount namespace, whatever root the process has. Of a pseudo file (memfd,
/// pipe) it is `/` and its name.
#[inline(always)]
pub fn walk(s: *mut Scratch, path: Path) {
    begin(s, path);
    climb(s);
}

/// Where a walk starts.
#[inline(always)]
pub fn begin(s: *mut Scratch, path: Path) {
    set!(s, dentry, path.dentry);
    set!(s, at, PATH_END);
    scratch::no_end(s);
    enter(s, path.mnt.wrapping_sub(off!(mount_mnt)));
}

/// From where the walk is to the root.
#[inline(always)]
pub fn climb(s: *mut Scratch) {
    for _ in 0..COMPONENTS_MAX {
        if step(s) != 0 {
            return;
        }
    }
    scratch::truncated(s);
}

/// One component, or one mount, up; not 0 at the end. A function of its own, so that the verifier sees one way out of each round
/// of the loop, and not the product of all.
#[inline(never)]
fn step(s: *mut Scratch) -> u64 {
    let dentry = get!(s, dentry);
    if dentry == get!(s, root) {
        // To the mount point; at the namespace's root a mount is its own parent.
        let parent = get!(s, parent);
        if parent == get!(s, mount) || parent.is_null() {
            if get!(s, at) == PATH_END {
                // The root itself.
                scratch::prepend(s, core::ptr::null(), 0);
            }
            return 1;
        }
        set!(s, dentry, get!(s, mountpoint));
        enter(s, parent);
        return 0;
    }
    let (parent, len, name) = component(dentry);
    set!(s, dentry, parent);
    u64::from(!scratch::prepend(s, name, len as u64) || parent == dentry)
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

/// Parent, name length and name of a dentry; by one read where they lie side by side, as in all kernels so far.
#[inline(always)]
fn component(dentry: Ptr) -> (Ptr, u32, Ptr) {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Window {
        parent: Ptr,
        hash: u32,
        len: u32,
        name: Ptr,
    }
    if off!(dentry_len) == off!(dentry_parent) + 12 && off!(dentry_name) == off!(dentry_parent) + 16 {
        let w: Window = member!(Window, dentry, dentry_parent);
        (w.parent, w.len, w.name)
    } else {
        (member!(Ptr, dentry, dentry_parent), member!(u32, dentry, dentry_len), member!(Ptr, dentry, dentry_name))
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
    for _ in 0..CGROUP_COMPONENTS {
        let node = get!(s, dentry);
        let parent = member!(Ptr, node, kn_parent);
        if parent.is_null() {
            if get!(s, at) == PATH_END {
                scratch::prepend(s, core::ptr::null(), 0);
            }
            return 0;
        }
        let name = member!(Ptr, node, kn_name);
        // SAFETY: the window has room for the size given.
        let ret = unsafe {
            generated::bpf_probe_read_kernel_str((&raw mut (*s).window).cast(), NAME_MASK as u32 + 1, name.cast())
        };
        if ret <= 0
            || PATH_END - get!(s, at) + ret as u64 > CGROUP_MAX as u64
            || !scratch::prepend(s, name, ret as u64 - 1)
        {
            scratch::truncated(s);
            return 0;
        }
        set!(s, dentry, parent);
    }
    scratch::truncated(s);
    0
}
