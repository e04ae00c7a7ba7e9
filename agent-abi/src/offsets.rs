//! Where the kernel keeps the members that the programs read.
//!
//! rustc emits no field relocations, so user space looks the offsets up in the kernel's BTF and writes them to the
//! programs' `.rodata` before the load; the verifier folds them to constants and prunes what depends on a
//! [`MISSING`] one.

/// Value of an offset whose member the running kernel does not have.
pub const MISSING: u32 = u32::MAX;

/// A member: structure, and names to try in order, `|` between them. `sizeof` is the structure's size.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The structure.
    pub of: &'static str,
    /// Dotted path inside it, or alternatives.
    pub path: &'static str,
    /// The agent cannot work without it.
    pub required: bool,
}

macro_rules! offsets {
    ($( $f:ident : $of:literal $path:literal $($optional:ident)?; )*) => {
        /// One offset in bytes per member, in the order of [`Offsets::MEMBERS`].
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "named after structure and member")]
        pub struct Offsets { $(pub $f: u32,)* }
        // SAFETY: repr(C) and u32 only, so there is no padding and any bits are valid.
        unsafe impl crate::Wire for Offsets {}
        impl Offsets {
            /// Nothing known.
            pub const UNSET: Self = Self { $($f: MISSING,)* };
            /// What each offset is looked up by.
            pub const MEMBERS: &'static [Member] =
                &[$(Member { of: $of, path: $path, required: offsets!(@ $($optional)?) },)*];
        }
    };
    (@) => { true };
    (@ optional) => { false };
}

offsets! {
    task_pid: "task_struct" "pid";
    task_tgid: "task_struct" "tgid";
    task_comm: "task_struct" "comm";
    task_flags: "task_struct" "flags";
    task_exit_code: "task_struct" "exit_code";
    task_real_parent: "task_struct" "real_parent";
    task_group_leader: "task_struct" "group_leader";
    task_start_boottime: "task_struct" "start_boottime|real_start_time";
    task_cred: "task_struct" "cred";
    task_mm: "task_struct" "mm";
    task_fs: "task_struct" "fs";
    task_files: "task_struct" "files";
    task_nsproxy: "task_struct" "nsproxy";
    task_thread_pid: "task_struct" "thread_pid";
    task_signal: "task_struct" "signal";
    task_cgroups: "task_struct" "cgroups";
    task_loginuid: "task_struct" "loginuid.val" optional;
    task_thread_status: "task_struct" "thread_info.status" optional;
    signal_live: "signal_struct" "live.counter";
    signal_pids: "signal_struct" "pids";
    signal_tty: "signal_struct" "tty";
    tty_driver: "tty_struct" "driver";
    tty_index: "tty_struct" "index";
    tty_driver_major: "tty_driver" "major";
    tty_driver_minor: "tty_driver" "minor_start";
    cred_uid: "cred" "uid.val";
    cred_euid: "cred" "euid.val";
    cred_egid: "cred" "egid.val";
    cred_cap_inheritable: "cred" "cap_inheritable";
    cred_cap_permitted: "cred" "cap_permitted";
    cred_cap_effective: "cred" "cap_effective";
    nsproxy_mnt_ns: "nsproxy" "mnt_ns";
    mnt_ns_inum: "mnt_namespace" "ns.inum";
    pid_level: "pid" "level";
    pid_numbers: "pid" "numbers";
    upid_size: "upid" "sizeof";
    upid_nr: "upid" "nr";
    upid_ns: "upid" "ns";
    pid_ns_inum: "pid_namespace" "ns.inum";
    css_set_dfl_cgrp: "css_set" "dfl_cgrp";
    css_set_subsys: "css_set" "subsys";
    css_cgroup: "cgroup_subsys_state" "cgroup";
    cgroup_kn: "cgroup" "kn";
    kn_parent: "kernfs_node" "__parent|parent";
    kn_name: "kernfs_node" "name";
    kn_id: "kernfs_node" "id";
    mm_arg_start: "mm_struct" "arg_start";
    mm_arg_end: "mm_struct" "arg_end";
    bprm_file: "linux_binprm" "file";
    bprm_filename: "linux_binprm" "filename";
    bprm_fdpath: "linux_binprm" "fdpath" optional;
    fs_pwd: "fs_struct" "pwd";
    files_fdt: "files_struct" "fdt";
    fdt_max_fds: "fdtable" "max_fds";
    fdt_fd: "fdtable" "fd";
    file_path: "file" "f_path";
    file_inode: "file" "f_inode";
    file_mode: "file" "f_mode";
    file_private: "file" "private_data";
    path_mnt: "path" "mnt";
    path_dentry: "path" "dentry";
    mount_mnt: "mount" "mnt";
    mount_parent: "mount" "mnt_parent";
    mount_mountpoint: "mount" "mnt_mountpoint";
    vfsmount_root: "vfsmount" "mnt_root";
    dentry_parent: "dentry" "d_parent";
    dentry_name: "dentry" "d_name.name|__d_name.name";
    dentry_len: "dentry" "d_name.len|__d_name.len";
    dentry_hash_pprev: "dentry" "d_hash.pprev";
    dentry_inode: "dentry" "d_inode";
    dentry_sb: "dentry" "d_sb";
    sb_magic: "super_block" "s_magic";
    sb_dev: "super_block" "s_dev";
    inode_size: "inode" "sizeof";
    inode_ino: "inode" "i_ino";
    inode_mode: "inode" "i_mode";
    inode_nlink: "inode" "i_nlink|__i_nlink";
    inode_sb: "inode" "i_sb";
    inode_mtime_sec: "inode" "i_mtime_sec|i_mtime.tv_sec|__i_mtime.tv_sec";
    inode_mtime_nsec: "inode" "i_mtime_nsec|i_mtime.tv_nsec|__i_mtime.tv_nsec";
    inode_ctime_sec: "inode" "i_ctime_sec|i_ctime.tv_sec|__i_ctime.tv_sec";
    inode_ctime_nsec: "inode" "i_ctime_nsec|i_ctime.tv_nsec|__i_ctime.tv_nsec";
    ovl_vfs_inode: "ovl_inode" "vfs_inode" optional;
    ovl_upper: "ovl_inode" "__upperdentry" optional;
    socket_sk: "socket" "sk";
    sk_family: "sock_common" "skc_family";
    sk_daddr: "sock_common" "skc_daddr";
    sk_rcv_saddr: "sock_common" "skc_rcv_saddr";
    sk_dport: "sock_common" "skc_dport";
    sk_num: "sock_common" "skc_num";
    sk_v6_daddr: "sock_common" "skc_v6_daddr" optional;
    sk_v6_rcv_saddr: "sock_common" "skc_v6_rcv_saddr" optional;
    sk_protocol: "sock" "sk_protocol";
    sk_type: "sock" "sk_type";
    kiocb_opcode: "io_kiocb" "opcode" optional;
    kiocb_flags: "io_kiocb" "flags" optional;
    kiocb_fd: "io_kiocb" "cqe.fd" optional;
    kiocb_async: "io_kiocb" "async_data" optional;
    filename_name: "filename" "name";
    filename_uptr: "filename" "uptr" optional;
    open_flags_flag: "open_flags" "open_flag" optional;
    io_open_dfd: "io_open" "dfd" optional;
    io_open_filename: "io_open" "filename" optional;
    io_open_flags: "io_open" "how.flags" optional;
    io_open_mode: "io_open" "how.mode" optional;
    io_connect_addr: "io_connect" "addr" optional;
    io_connect_len: "io_connect" "addr_len" optional;
    io_unlink_dfd: "io_unlink" "dfd" optional;
    io_unlink_flags: "io_unlink" "flags" optional;
    io_unlink_filename: "io_unlink" "filename" optional;
    io_rename_olddfd: "io_rename" "old_dfd" optional;
    io_rename_newdfd: "io_rename" "new_dfd" optional;
    io_rename_old: "io_rename" "oldpath" optional;
    io_rename_new: "io_rename" "newpath" optional;
    io_rename_flags: "io_rename" "flags" optional;
    io_mkdir_dfd: "io_mkdir" "dfd" optional;
    io_mkdir_mode: "io_mkdir" "mode" optional;
    io_mkdir_filename: "io_mkdir" "filename" optional;
    io_link_olddfd: "io_link" "old_dfd" optional;
    io_link_newdfd: "io_link" "new_dfd" optional;
    io_link_old: "io_link" "oldpath" optional;
    io_link_new: "io_link" "newpath" optional;
    io_link_flags: "io_link" "flags" optional;
    io_accept_flags: "io_accept" "flags" optional;
    io_socket_domain: "io_socket" "domain" optional;
    io_socket_type: "io_socket" "type" optional;
    io_socket_protocol: "io_socket" "protocol" optional;
    io_bind_len: "io_bind" "addr_len" optional;
    io_listen_backlog: "io_listen" "backlog" optional;
    io_splice_in: "io_splice" "splice_fd_in" optional;
    io_splice_len: "io_splice" "len" optional;
    io_splice_flags: "io_splice" "flags" optional;
    io_send_msg: "io_sr_msg" "umsg" optional;
    io_send_len: "io_sr_msg" "len" optional;
    io_send_flags: "io_sr_msg" "msg_flags" optional;
    io_send_addr: "io_sr_msg" "addr" optional;
    io_send_addr_len: "io_sr_msg" "addr_len" optional;
    io_msg_addr: "io_async_msghdr" "addr" optional;
    io_msg_name: "io_async_msghdr" "msg.msg_name" optional;
    io_msg_namelen: "io_async_msghdr" "msg.msg_namelen" optional;
    regs_nr: "pt_regs" "orig_ax";
    regs_arg0: "pt_regs" "di";
    regs_arg1: "pt_regs" "si";
    regs_arg2: "pt_regs" "dx";
    regs_arg3: "pt_regs" "r10";
    regs_arg4: "pt_regs" "r8";
    regs_arg5: "pt_regs" "r9";
    regs_compat_arg0: "pt_regs" "bx";
    regs_compat_arg1: "pt_regs" "cx";
    regs_compat_arg3: "pt_regs" "si";
    regs_compat_arg4: "pt_regs" "di";
    regs_compat_arg5: "pt_regs" "bp";
}
