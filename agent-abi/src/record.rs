//! Event records: a [`RecordHeader`], the body of its hook, then that body's variable parts, back to back in the order
//! of their length members. Nothing follows them.

/// Declares constants that count from 0, and `COUNT`.
macro_rules! numbers {
    ($( $(#[$m:meta])* $name:ident; )*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "only counts")]
        #[repr(u8)]
        enum Number { $($name,)* Count }
        $( $(#[$m])* pub const $name: u8 = Number::$name as u8; )*
        /// How many there are.
        pub const COUNT: usize = Number::Count as usize;
        /// Their names, by number.
        pub const NAMES: [&str; COUNT] = [$(stringify!($name)),*];
    };
}

/// Hook numbers (`RecordHeader::hook`, counter rows, bits of [`crate::map::FilterSlot::hooks`]).
pub mod hook {
    numbers! {
        /// Programs started: `sched_process_exec`.
        EXEC;
        /// Processes made: `sched_process_fork`.
        FORK;
        /// Processes ended: `sched_process_exit`.
        EXIT;
        /// open, openat, openat2, creat.
        OPEN;
        /// connect.
        CONNECT;
        /// accept, accept4.
        ACCEPT;
        /// bind.
        BIND;
        /// listen.
        LISTEN;
        /// socket.
        SOCKET;
        /// sendto, sendmsg, sendmmsg.
        SEND;
        /// dup, dup2, dup3.
        DUP;
        /// pipe, pipe2.
        PIPE;
        /// unlink, unlinkat, rmdir.
        UNLINK;
        /// rename, renameat, renameat2.
        RENAME;
        /// link, linkat, symlink, symlinkat.
        LINK;
        /// chmod, fchmod, fchmodat, fchmodat2.
        CHMOD;
        /// chown, fchown, lchown, fchownat.
        CHOWN;
        /// mkdir, mkdirat.
        MKDIR;
        /// mount, umount2, move_mount.
        MOUNT;
        /// chroot, pivot_root.
        ROOT;
        /// setuid, setgid, setreuid, setregid, setresuid, setresgid.
        SETID;
        /// capset.
        CAPSET;
        /// ptrace.
        PTRACE;
        /// process_vm_readv, process_vm_writev.
        VM;
        /// memfd_create.
        MEMFD;
        /// init_module, finit_module, delete_module.
        MODULE;
        /// bpf.
        BPF;
        /// setns, unshare.
        NAMESPACE;
        /// kill, tkill, tgkill.
        SIGNAL;
        /// prctl.
        PRCTL;
        /// userfaultfd.
        USERFAULTFD;
        /// io_uring_setup, io_uring_register.
        IO_URING;
        /// splice, sendfile.
        SPLICE;
    }
}

/// Event types (`RecordHeader::event_type`, bits of [`crate::map::FilterSlot::types`]): which system call it was.
#[allow(missing_docs, reason = "the names are those of the system calls")]
pub mod event {
    numbers! {
        EXECVE;
        EXECVEAT;
        CLONE;
        CLONE3;
        FORK;
        VFORK;
        PROCEXIT;
        OPEN;
        OPENAT;
        OPENAT2;
        CREAT;
        CONNECT;
        ACCEPT;
        ACCEPT4;
        BIND;
        LISTEN;
        SOCKET;
        SENDTO;
        SENDMSG;
        SENDMMSG;
        DUP;
        DUP2;
        DUP3;
        PIPE;
        PIPE2;
        UNLINK;
        UNLINKAT;
        RMDIR;
        RENAME;
        RENAMEAT;
        RENAMEAT2;
        LINK;
        LINKAT;
        SYMLINK;
        SYMLINKAT;
        CHMOD;
        FCHMOD;
        FCHMODAT;
        FCHMODAT2;
        CHOWN;
        FCHOWN;
        LCHOWN;
        FCHOWNAT;
        MKDIR;
        MKDIRAT;
        MOUNT;
        UMOUNT2;
        MOVE_MOUNT;
        CHROOT;
        PIVOT_ROOT;
        SETUID;
        SETGID;
        SETREUID;
        SETREGID;
        SETRESUID;
        SETRESGID;
        CAPSET;
        PTRACE;
        PROCESS_VM_READV;
        PROCESS_VM_WRITEV;
        MEMFD_CREATE;
        INIT_MODULE;
        FINIT_MODULE;
        DELETE_MODULE;
        BPF;
        SETNS;
        UNSHARE;
        KILL;
        TKILL;
        TGKILL;
        PRCTL;
        USERFAULTFD;
        IO_URING_SETUP;
        IO_URING_REGISTER;
        SPLICE;
        SENDFILE;
    }
}

/// Something in the record did not fit (`RecordHeader::flags`).
pub const TRUNCATED: u16 = 1 << 0;
/// Set off by the agent itself to prove that the hook fires.
pub const CANARY: u16 = 1 << 1;
/// Asked for through an io_uring and told when it was submitted: there is no result yet.
pub const IO_URING: u16 = 1 << 2;

/// Names, addresses and the opened file are those that the kernel used: nobody can have changed them meanwhile.
pub const USED: u16 = 1 << 4;

/// The file lies on no overlay.
pub const LAYER_NONE: u8 = 0;
/// On an overlay, unchanged from the image.
pub const LAYER_LOWER: u8 = 1;
/// On an overlay, written since the container started.
pub const LAYER_UPPER: u8 = 2;

/// `ExecBody::exe_flags`: the program lives in a memfd.
pub const EXE_MEMFD: u8 = 1 << 0;
/// `ExecBody::exe_flags`: the program's file has been unlinked.
pub const EXE_DELETED: u8 = 1 << 1;

/// Of an exec: it failed, and the body is a [`FailedExecBody`].
pub const FAILED: u16 = 1 << 3;
/// No such descriptor, or not known which (`ConnectBody::fd` of what an io_uring is asked for with a file of its own table).
pub const NO_FD: u32 = u32::MAX;

/// `OpenBody::info`: the path is the opened file's own, not the argument.
pub const OPEN_RESOLVED: u8 = 1 << 0;
/// `OpenBody::info`: this call made the file (`FMODE_CREATED`).
pub const OPEN_CREATED: u8 = 1 << 1;

/// `ConnectBody::info`: the destination is the socket's own, not the argument.
pub const CONNECT_FROM_SOCKET: u8 = 1 << 0;

/// `CallBody::info`: there was a descriptor to look at, and `CallBody::fd` is one.
pub const CALL_FD: u8 = 1 << 0;
/// `CallBody::info`: there is an address or a peer: `ends` says which.
pub const CALL_ADDRESS: u8 = 1 << 1;
/// `CallBody::info`: the socket has a peer: it is connected.
pub const CALL_CONNECTED: u8 = 1 << 2;
/// `CallBody::info`: that address was given to the call.
pub const CALL_GIVEN: u8 = 1 << 3;

/// `Stream::info`: there is such a descriptor.
pub const STREAM_OPEN: u8 = 1 << 0;
/// `Stream::info`: it is the same open file as the one before; nothing else is told.
pub const STREAM_SAME: u8 = 1 << 1;
/// `Stream::info`: it is a socket.
pub const STREAM_SOCKET: u8 = 1 << 2;
/// `Stream::info`: the socket has a peer.
pub const STREAM_CONNECTED: u8 = 1 << 3;

/// No login user id was set (`ExecBody::loginuid`), also when the kernel has none.
pub const LOGINUID_UNSET: u32 = u32::MAX;

/// Longest path in a record, in bytes (Linux' PATH_MAX without its NUL). Longer ones keep their end.
pub const PATH_MAX: usize = 4095;
/// Longest argument block in a record, in bytes. Longer ones keep their beginning.
pub const ARGS_MAX: usize = 4096;
/// Most arguments of an exec that failed.
pub const FAILED_ARGS: u32 = 32;
/// Longest cgroup path in a record, in bytes; longer ones keep their end.
pub const CGROUP_MAX: usize = 1024;
/// Most path components that are walked.
pub const COMPONENTS_MAX: usize = 64;

wire! {
    /// In front of every record.
    pub struct RecordHeader {
        /// Nanoseconds of CLOCK_BOOTTIME.
        time: u64,
        /// `start_boottime` of the acting thread's group leader; with `pid` the process' identity.
        start_time: u64,
        /// Number of the acting task's cgroup: its id in the unified hierarchy; where that is the root, its id in the hierarchy of
        /// `Settings::cgroup_subsys` with [`crate::map::OTHER_HIERARCHY`] set.
        cgroup: u64,
        /// Classes of its hook's filter that admitted it, bit by class: rules of no other can match it. All set for a canary.
        classes: u64,
        /// Process (thread group) id in the initial namespace.
        pid: u32,
        /// Thread id in the initial namespace.
        tid: u32,
        /// Real user id.
        uid: u32,
        /// Real group id.
        gid: u32,
        /// Generation of the filter that let it through.
        generation: u32,
        /// Of a canary: what it was armed with. Else 0.
        nonce: u32,
        /// Processor.
        cpu: u16,
        /// [`TRUNCATED`], [`CANARY`], [`IO_URING`], [`FAILED`], [`USED`].
        flags: u16,
        /// One of [`hook`].
        hook: u8,
        /// One of [`event`].
        event_type: u8,
        /// Zero.
        reserved: u16,
    }

    /// Both ends of a socket, as far as they are known.
    pub struct Ends {
        /// The other end: as the call was given it, or as the socket has it. IPv4 in the first four bytes, or IPv6. Network byte order.
        addr: [u8; 16],
        /// The socket's own address, in the same form.
        local_addr: [u8; 16],
        /// `AF_*` of `addr`.
        family: u16,
        /// `AF_*` of the socket.
        sock_family: u16,
        /// Port of `addr`, host byte order.
        port: u16,
        /// The socket's own port, host byte order; 0: none yet.
        local_port: u16,
        /// `IPPROTO_*` of the socket; 0 for unix.
        l4proto: u16,
        /// `SOCK_*` of the socket; 0: not known, or it is none.
        sock_type: u16,
        /// Zero.
        reserved: u32,
    }

    /// Descriptor 0, 1 or 2 of a program that was started.
    pub struct Stream {
        /// Of a socket both ends.
        ends: Ends,
        /// Inode number.
        ino: u64,
        /// `i_mode`.
        mode: u16,
        /// Length of the path; none of a socket.
        path_len: u16,
        /// `STREAM_*`.
        info: u8,
        /// Zero.
        reserved: [u8; 3],
    }

    /// A program was started. Variable parts: cgroup, path, args, cwd, file, paths of the streams.
    pub struct ExecBody {
        /// Standard input, output and error.
        streams: [Stream; 3],
        /// Inode number of the executable.
        exe_ino: u64,
        /// Its modification time, nanoseconds since 1970.
        exe_mtime: u64,
        /// Its change time, nanoseconds since 1970.
        exe_ctime: u64,
        /// Permitted capabilities, bit by number.
        cap_permitted: u64,
        /// Inheritable capabilities.
        cap_inheritable: u64,
        /// Effective capabilities.
        cap_effective: u64,
        /// The parent's `start_boottime` (its group leader's).
        parent_start: u64,
        /// Length of the whole argument block, before truncation.
        args_total: u32,
        /// Device of the executable's superblock, as `stat` encodes it.
        exe_dev: u32,
        /// Parent's process id.
        ppid: u32,
        /// Effective user id.
        euid: u32,
        /// Effective group id.
        egid: u32,
        /// Login user id or [`LOGINUID_UNSET`].
        loginuid: u32,
        /// Session id.
        sid: u32,
        /// Process group id.
        pgid: u32,
        /// Process id inside the process' own pid namespace.
        vpid: u32,
        /// Thread id inside it.
        vtid: u32,
        /// Process group id inside it.
        vpgid: u32,
        /// Session id inside it.
        vsid: u32,
        /// Parent's id inside it; 0 when the parent is outside.
        pvpid: u32,
        /// Controlling terminal as /proc/PID/stat encodes it; 0: none.
        tty: u32,
        /// Inode number of the mount namespace.
        mnt_ns: u32,
        /// Inode number of the pid namespace.
        pid_ns: u32,
        /// The thread's name after the exec, NUL-padded.
        comm: [u8; 16],
        /// `LAYER_*` of the executable.
        layer: u8,
        /// `EXE_*`.
        exe_flags: u8,
        /// Length of the cgroup's path.
        cgroup_len: u16,
        /// Length of the executable's path.
        path_len: u16,
        /// Length of the arguments, each ended by NUL.
        args_len: u16,
        /// Length of the working directory.
        cwd_len: u16,
        /// Length of the path as it was given to execve.
        file_len: u16,
        /// Zero.
        reserved: u32,
    }

    /// A program was to be started and was not: the header's process goes on. Variable parts: file, args.
    pub struct FailedExecBody {
        /// Minus the error number.
        ret: u64,
        /// The directory descriptor as given (AT_FDCWD for execve).
        dirfd: u32,
        /// Length of the path as it was given.
        file_len: u16,
        /// Length of the first [`FAILED_ARGS`] arguments, each ended by NUL.
        args_len: u16,
    }

    /// A process was made by the header's process.
    pub struct ForkBody {
        /// The child's `start_boottime`.
        child_start: u64,
        /// The child's cgroup, as in the header.
        child_cgroup: u64,
        /// Flags of clone; 0 for fork.
        flags: u64,
        /// The child's process id.
        child_pid: u32,
        /// The child's thread id; differs from `child_pid` for a thread.
        child_tid: u32,
        /// The child's process id inside its own pid namespace.
        child_vpid: u32,
        /// Inode number of the child's pid namespace.
        child_pid_ns: u32,
        /// The parent that the child has (CLONE_PARENT makes it differ from the header's process).
        ppid: u32,
        /// The child's user id.
        child_uid: u32,
        /// `start_boottime` of that parent.
        parent_start: u64,
        /// The child's name, NUL-padded.
        comm: [u8; 16],
    }

    /// The header's process has ended: its last thread has.
    pub struct ExitBody {
        /// As `wait` reports it: exit code << 8 | signal.
        code: u32,
        /// Zero.
        reserved: u32,
    }

    /// A file was opened, or not. Variable parts: path, base.
    pub struct OpenBody {
        /// Inode number; 0 when it failed.
        ino: u64,
        /// The file descriptor, or minus the error number.
        ret: u64,
        /// Device of the file's superblock, as `stat` encodes it.
        dev: u32,
        /// `O_*` as given.
        flags: u32,
        /// Permission bits as given.
        mode: u32,
        /// The directory descriptor as given (AT_FDCWD is -100).
        dirfd: u32,
        /// `LAYER_*` of the file.
        layer: u8,
        /// `OPEN_*`.
        info: u8,
        /// Length of the path: the file's, or the argument when it failed.
        path_len: u16,
        /// When it succeeded: length of the argument. When it failed: of the directory that a relative argument starts from.
        base_len: u16,
        /// Zero.
        reserved: u16,
    }

    /// A socket was connected, or not. Variable part: the path of a unix socket (abstract names begin with NUL).
    pub struct ConnectBody {
        /// 0, or minus the error number.
        ret: u64,
        /// The destination, and the socket.
        ends: Ends,
        /// The descriptor.
        fd: u32,
        /// `CONNECT_*`.
        info: u8,
        /// Zero.
        reserved: u8,
        /// Length of the unix path.
        path_len: u16,
    }

    /// Any other system call at its end. Variable parts: path, base, path2, base2, text, object.
    ///
    /// Which argument is what is a matter of the call (`agent-ebpf/src/recipe.rs`).
    pub struct CallBody {
        /// The result, or minus the error number.
        ret: u64,
        /// The arguments as given. Of capset the last three are the caller's permitted, inheritable and effective capabilities
        /// after the call.
        args: [u64; 6],
        /// Inode number of the file behind the descriptor.
        ino: u64,
        /// The peer, as given to the call, else as the socket has it; and the socket.
        ends: Ends,
        /// The descriptor that the call is about: an argument or the result.
        fd: u32,
        /// Device of that file's superblock, as `stat` encodes it.
        dev: u32,
        /// Its `i_mode`; 0: not known.
        mode: u16,
        /// `LAYER_*` of the file.
        layer: u8,
        /// `CALL_*`.
        info: u8,
        /// Length of the path that was given.
        path_len: u16,
        /// Length of the directory that it starts from when it is relative.
        base_len: u16,
        /// Length of the second path that was given.
        path2_len: u16,
        /// Length of the directory that that one starts from.
        base2_len: u16,
        /// Length of another text that was given.
        text_len: u16,
        /// Length of the path of the file behind the descriptor; of a unix socket: of the address.
        object_len: u16,
    }
}
