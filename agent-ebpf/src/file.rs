//! Facts about an open file.
use crate::{
    kernel::{self, Ptr},
    scratch::{self, Scratch},
};
use agent_abi::record::{LAYER_LOWER, LAYER_NONE, LAYER_UPPER};

/// OVERLAYFS_SUPER_MAGIC (include/uapi/linux/magic.h).
const OVERLAY_MAGIC: u64 = 0x794c_7630;
/// `S_IFMT` and `S_IFSOCK`.
const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;

/// The file behind descriptor `fd` in a task's `files` (see [`kernel::files`]); null when there is none.
#[inline(always)]
pub fn by_fd(files: Ptr, fd: u32) -> Ptr {
    let fdt = load!(Ptr, files, files_fdt);
    if fd >= load!(u32, fdt, fdt_max_fds) {
        return core::ptr::null();
    }
    kernel::read(load!(Ptr, fdt, fdt_fd), fd as usize * 8)
}

/// What is asked of a file's inode and superblock.
pub struct Place {
    /// Inode number.
    pub ino: u64,
    /// Device of the superblock, as `stat` encodes it.
    pub dev: u32,
    /// `LAYER_*`.
    pub layer: u8,
}

/// Where the file with that inode lies.
#[inline(always)]
pub fn place(s: *mut Scratch, inode: Ptr) -> Place {
    let i = scratch::window::<1>(s, inode);
    let sb = scratch::window::<2>(s, of_window!(Ptr, i, inode_sb));
    let layer = if of_window!(u64, sb, sb_magic) == OVERLAY_MAGIC { layer(inode) } else { LAYER_NONE };
    Place { ino: of_window!(u64, i, inode_ino), dev: kernel::encode_dev(of_window!(u32, sb, sb_dev)), layer }
}

/// On which layer of its overlay a file lies: on the upper one when its overlay inode knows an upper dentry that has an inode.
/// `struct ovl_inode` is known where overlay is built in; elsewhere its `__upperdentry` follows the `struct inode` inside.
#[inline(always)]
fn layer(inode: Ptr) -> u8 {
    let upper: Ptr = if has!(ovl_upper) && has!(ovl_vfs_inode) {
        kernel::read(inode.wrapping_sub(off!(ovl_vfs_inode)), off!(ovl_upper))
    } else {
        kernel::read(inode, off!(inode_size))
    };
    if !upper.is_null() && member!(u64, member!(Ptr, upper, dentry_inode), inode_ino) != 0 {
        LAYER_UPPER
    } else {
        LAYER_LOWER
    }
}

/// The `struct sock` behind a file; null when it is no socket.
#[inline(always)]
pub fn sock(file: Ptr) -> Ptr {
    if file.is_null() || member!(u16, member!(Ptr, file, file_inode), inode_mode) & S_IFMT != S_IFSOCK {
        return core::ptr::null();
    }
    member!(Ptr, member!(Ptr, file, file_private), socket_sk)
}
