//! Names of the numbers that calls are given (the kernel's uapi headers), written as Falco writes them: bits joined by `|`,
//! mount flags without their prefix.

/// A number and its name.
pub(super) type Names = &'static [(u64, &'static str)];

/// include/uapi/linux/sched.h.
pub(super) const CLONE: Names = &[
    (0x80, "CLONE_NEWTIME"),
    (0x100, "CLONE_VM"),
    (0x200, "CLONE_FS"),
    (0x400, "CLONE_FILES"),
    (0x800, "CLONE_SIGHAND"),
    (0x1000, "CLONE_PIDFD"),
    (0x2000, "CLONE_PTRACE"),
    (0x4000, "CLONE_VFORK"),
    (0x8000, "CLONE_PARENT"),
    (0x1_0000, "CLONE_THREAD"),
    (0x2_0000, "CLONE_NEWNS"),
    (0x4_0000, "CLONE_SYSVSEM"),
    (0x8_0000, "CLONE_SETTLS"),
    (0x10_0000, "CLONE_PARENT_SETTID"),
    (0x20_0000, "CLONE_CHILD_CLEARTID"),
    (0x80_0000, "CLONE_UNTRACED"),
    (0x100_0000, "CLONE_CHILD_SETTID"),
    (0x200_0000, "CLONE_NEWCGROUP"),
    (0x400_0000, "CLONE_NEWUTS"),
    (0x800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
    (0x8000_0000, "CLONE_IO"),
];

/// include/uapi/linux/mount.h.
pub(super) const MOUNT: Names = &[
    (1 << 0, "RDONLY"),
    (1 << 1, "NOSUID"),
    (1 << 2, "NODEV"),
    (1 << 3, "NOEXEC"),
    (1 << 4, "SYNCHRONOUS"),
    (1 << 5, "REMOUNT"),
    (1 << 6, "MANDLOCK"),
    (1 << 7, "DIRSYNC"),
    (1 << 10, "NOATIME"),
    (1 << 11, "NODIRATIME"),
    (1 << 12, "BIND"),
    (1 << 13, "MOVE"),
    (1 << 14, "REC"),
    (1 << 15, "SILENT"),
    (1 << 16, "POSIXACL"),
    (1 << 17, "UNBINDABLE"),
    (1 << 18, "PRIVATE"),
    (1 << 19, "SLAVE"),
    (1 << 20, "SHARED"),
    (1 << 21, "RELATIME"),
    (1 << 22, "KERNMOUNT"),
    (1 << 23, "I_VERSION"),
    (1 << 24, "STRICTATIME"),
    (1 << 25, "LAZYTIME"),
];

/// include/linux/fs.h: umount2.
pub(super) const UMOUNT: Names = &[(1, "FORCE"), (2, "DETACH"), (4, "EXPIRE"), (8, "NOFOLLOW")];

/// include/uapi/linux/mount.h: move_mount.
pub(super) const MOVE_MOUNT: Names = &[
    (0x1, "MOVE_MOUNT_F_SYMLINKS"),
    (0x2, "MOVE_MOUNT_F_AUTOMOUNTS"),
    (0x4, "MOVE_MOUNT_F_EMPTY_PATH"),
    (0x10, "MOVE_MOUNT_T_SYMLINKS"),
    (0x20, "MOVE_MOUNT_T_AUTOMOUNTS"),
    (0x40, "MOVE_MOUNT_T_EMPTY_PATH"),
    (0x100, "MOVE_MOUNT_SET_GROUP"),
    (0x200, "MOVE_MOUNT_BENEATH"),
];

/// include/uapi/linux/fcntl.h.
pub(super) const UNLINKAT: Names = &[(0x200, "AT_REMOVEDIR")];
pub(super) const LINKAT: Names = &[(0x400, "AT_SYMLINK_FOLLOW"), (0x1000, "AT_EMPTY_PATH")];
pub(super) const AT: Names = &[(0x100, "AT_SYMLINK_NOFOLLOW"), (0x1000, "AT_EMPTY_PATH")];

/// include/uapi/linux/fs.h.
pub(super) const RENAMEAT2: Names = &[(1, "RENAME_NOREPLACE"), (2, "RENAME_EXCHANGE"), (4, "RENAME_WHITEOUT")];

/// Of descriptors that a call makes (include/uapi/asm-generic/fcntl.h).
pub(super) const DESCRIPTOR: Names =
    &[(0o4000, "O_NONBLOCK"), (0o40_000, "O_DIRECT"), (0o2_000_000, "O_CLOEXEC"), (1, "UFFD_USER_MODE_ONLY")];
/// The same bits by the names that accept4 has for them (include/linux/net.h).
pub(super) const SOCKET: Names = &[(0o4000, "SOCK_NONBLOCK"), (0o2_000_000, "SOCK_CLOEXEC")];

/// include/uapi/linux/memfd.h.
pub(super) const MEMFD: Names =
    &[(1, "MFD_CLOEXEC"), (2, "MFD_ALLOW_SEALING"), (4, "MFD_HUGETLB"), (8, "MFD_NOEXEC_SEAL"), (16, "MFD_EXEC")];

/// include/uapi/linux/module.h.
pub(super) const FINIT_MODULE: Names =
    &[(1, "MODULE_INIT_IGNORE_MODVERSIONS"), (2, "MODULE_INIT_IGNORE_VERMAGIC"), (4, "MODULE_INIT_COMPRESSED_FILE")];
/// delete_module takes bits of open.
pub(super) const DELETE_MODULE: Names = &[(0o1000, "O_TRUNC"), (0o4000, "O_NONBLOCK")];

/// include/uapi/linux/splice.h.
pub(super) const SPLICE: Names =
    &[(1, "SPLICE_F_MOVE"), (2, "SPLICE_F_NONBLOCK"), (4, "SPLICE_F_MORE"), (8, "SPLICE_F_GIFT")];

/// Address families (include/linux/socket.h).
pub(super) const FAMILY: Names = &[
    (0, "AF_UNSPEC"),
    (1, "AF_UNIX"),
    (2, "AF_INET"),
    (3, "AF_AX25"),
    (4, "AF_IPX"),
    (5, "AF_APPLETALK"),
    (6, "AF_NETROM"),
    (7, "AF_BRIDGE"),
    (8, "AF_ATMPVC"),
    (9, "AF_X25"),
    (10, "AF_INET6"),
    (11, "AF_ROSE"),
    (12, "AF_DECnet"),
    (13, "AF_NETBEUI"),
    (14, "AF_SECURITY"),
    (15, "AF_KEY"),
    (16, "AF_NETLINK"),
    (17, "AF_PACKET"),
    (18, "AF_ASH"),
    (19, "AF_ECONET"),
    (20, "AF_ATMSVC"),
    (21, "AF_RDS"),
    (22, "AF_SNA"),
    (23, "AF_IRDA"),
    (24, "AF_PPPOX"),
    (25, "AF_WANPIPE"),
    (26, "AF_LLC"),
    (27, "AF_IB"),
    (28, "AF_MPLS"),
    (29, "AF_CAN"),
    (30, "AF_TIPC"),
    (31, "AF_BLUETOOTH"),
    (32, "AF_IUCV"),
    (33, "AF_RXRPC"),
    (34, "AF_ISDN"),
    (35, "AF_PHONET"),
    (36, "AF_IEEE802154"),
    (37, "AF_CAIF"),
    (38, "AF_ALG"),
    (39, "AF_NFC"),
    (40, "AF_VSOCK"),
    (41, "AF_KCM"),
    (42, "AF_QIPCRTR"),
    (43, "AF_SMC"),
    (44, "AF_XDP"),
    (45, "AF_MCTP"),
];

/// include/uapi/linux/ptrace.h and arch/x86/include/uapi/asm/ptrace-abi.h.
pub(super) const PTRACE: Names = &[
    (0, "PTRACE_TRACEME"),
    (1, "PTRACE_PEEKTEXT"),
    (2, "PTRACE_PEEKDATA"),
    (3, "PTRACE_PEEKUSR"),
    (4, "PTRACE_POKETEXT"),
    (5, "PTRACE_POKEDATA"),
    (6, "PTRACE_POKEUSR"),
    (7, "PTRACE_CONT"),
    (8, "PTRACE_KILL"),
    (9, "PTRACE_SINGLESTEP"),
    (12, "PTRACE_GETREGS"),
    (13, "PTRACE_SETREGS"),
    (14, "PTRACE_GETFPREGS"),
    (15, "PTRACE_SETFPREGS"),
    (16, "PTRACE_ATTACH"),
    (17, "PTRACE_DETACH"),
    (18, "PTRACE_GETFPXREGS"),
    (19, "PTRACE_SETFPXREGS"),
    (21, "PTRACE_OLDSETOPTIONS"),
    (24, "PTRACE_SYSCALL"),
    (25, "PTRACE_GET_THREAD_AREA"),
    (26, "PTRACE_SET_THREAD_AREA"),
    (30, "PTRACE_ARCH_PRCTL"),
    (31, "PTRACE_SYSEMU"),
    (32, "PTRACE_SYSEMU_SINGLESTEP"),
    (33, "PTRACE_SINGLEBLOCK"),
    (0x4200, "PTRACE_SETOPTIONS"),
    (0x4201, "PTRACE_GETEVENTMSG"),
    (0x4202, "PTRACE_GETSIGINFO"),
    (0x4203, "PTRACE_SETSIGINFO"),
    (0x4204, "PTRACE_GETREGSET"),
    (0x4205, "PTRACE_SETREGSET"),
    (0x4206, "PTRACE_SEIZE"),
    (0x4207, "PTRACE_INTERRUPT"),
    (0x4208, "PTRACE_LISTEN"),
    (0x4209, "PTRACE_PEEKSIGINFO"),
    (0x420a, "PTRACE_GETSIGMASK"),
    (0x420b, "PTRACE_SETSIGMASK"),
    (0x420c, "PTRACE_SECCOMP_GET_FILTER"),
    (0x420d, "PTRACE_SECCOMP_GET_METADATA"),
    (0x420e, "PTRACE_GET_SYSCALL_INFO"),
    (0x420f, "PTRACE_GET_RSEQ_CONFIGURATION"),
];

/// include/uapi/linux/bpf.h, by number.
const BPF_COMMANDS: [&str; 37] = [
    "BPF_MAP_CREATE",
    "BPF_MAP_LOOKUP_ELEM",
    "BPF_MAP_UPDATE_ELEM",
    "BPF_MAP_DELETE_ELEM",
    "BPF_MAP_GET_NEXT_KEY",
    "BPF_PROG_LOAD",
    "BPF_OBJ_PIN",
    "BPF_OBJ_GET",
    "BPF_PROG_ATTACH",
    "BPF_PROG_DETACH",
    "BPF_PROG_TEST_RUN",
    "BPF_PROG_GET_NEXT_ID",
    "BPF_MAP_GET_NEXT_ID",
    "BPF_PROG_GET_FD_BY_ID",
    "BPF_MAP_GET_FD_BY_ID",
    "BPF_OBJ_GET_INFO_BY_FD",
    "BPF_PROG_QUERY",
    "BPF_RAW_TRACEPOINT_OPEN",
    "BPF_BTF_LOAD",
    "BPF_BTF_GET_FD_BY_ID",
    "BPF_TASK_FD_QUERY",
    "BPF_MAP_LOOKUP_AND_DELETE_ELEM",
    "BPF_MAP_FREEZE",
    "BPF_BTF_GET_NEXT_ID",
    "BPF_MAP_LOOKUP_BATCH",
    "BPF_MAP_LOOKUP_AND_DELETE_BATCH",
    "BPF_MAP_UPDATE_BATCH",
    "BPF_MAP_DELETE_BATCH",
    "BPF_LINK_CREATE",
    "BPF_LINK_UPDATE",
    "BPF_LINK_GET_FD_BY_ID",
    "BPF_LINK_GET_NEXT_ID",
    "BPF_ENABLE_STATS",
    "BPF_ITER_CREATE",
    "BPF_LINK_DETACH",
    "BPF_PROG_BIND_MAP",
    "BPF_TOKEN_CREATE",
];

/// The name of a command of bpf.
pub(super) fn bpf(command: u64) -> Option<&'static str> {
    BPF_COMMANDS.get(usize::try_from(command).ok()?).copied()
}

/// include/uapi/linux/io_uring.h, by number; the opcode's top bit says that the ring is a registered one.
const IO_URING_OPCODES: [&str; 24] = [
    "IORING_REGISTER_BUFFERS",
    "IORING_UNREGISTER_BUFFERS",
    "IORING_REGISTER_FILES",
    "IORING_UNREGISTER_FILES",
    "IORING_REGISTER_EVENTFD",
    "IORING_UNREGISTER_EVENTFD",
    "IORING_REGISTER_FILES_UPDATE",
    "IORING_REGISTER_EVENTFD_ASYNC",
    "IORING_REGISTER_PROBE",
    "IORING_REGISTER_PERSONALITY",
    "IORING_UNREGISTER_PERSONALITY",
    "IORING_REGISTER_RESTRICTIONS",
    "IORING_REGISTER_ENABLE_RINGS",
    "IORING_REGISTER_FILES2",
    "IORING_REGISTER_FILES_UPDATE2",
    "IORING_REGISTER_BUFFERS2",
    "IORING_REGISTER_BUFFERS_UPDATE",
    "IORING_REGISTER_IOWQ_AFF",
    "IORING_UNREGISTER_IOWQ_AFF",
    "IORING_REGISTER_IOWQ_MAX_WORKERS",
    "IORING_REGISTER_RING_FDS",
    "IORING_UNREGISTER_RING_FDS",
    "IORING_REGISTER_PBUF_RING",
    "IORING_UNREGISTER_PBUF_RING",
];

/// The name of an opcode of io_uring_register.
pub(super) fn io_uring(opcode: u64) -> Option<&'static str> {
    IO_URING_OPCODES.get(usize::try_from(opcode & 0x7fff_ffff).ok()?).copied()
}

/// include/uapi/linux/prctl.h.
pub(super) const PRCTL: Names = &[
    (1, "PR_SET_PDEATHSIG"),
    (2, "PR_GET_PDEATHSIG"),
    (3, "PR_GET_DUMPABLE"),
    (4, "PR_SET_DUMPABLE"),
    (7, "PR_GET_KEEPCAPS"),
    (8, "PR_SET_KEEPCAPS"),
    (15, "PR_SET_NAME"),
    (16, "PR_GET_NAME"),
    (21, "PR_GET_SECCOMP"),
    (22, "PR_SET_SECCOMP"),
    (23, "PR_CAPBSET_READ"),
    (24, "PR_CAPBSET_DROP"),
    (25, "PR_GET_TSC"),
    (26, "PR_SET_TSC"),
    (27, "PR_GET_SECUREBITS"),
    (28, "PR_SET_SECUREBITS"),
    (29, "PR_SET_TIMERSLACK"),
    (30, "PR_GET_TIMERSLACK"),
    (33, "PR_MCE_KILL"),
    (35, "PR_SET_MM"),
    (36, "PR_SET_CHILD_SUBREAPER"),
    (37, "PR_GET_CHILD_SUBREAPER"),
    (38, "PR_SET_NO_NEW_PRIVS"),
    (39, "PR_GET_NO_NEW_PRIVS"),
    (41, "PR_SET_THP_DISABLE"),
    (47, "PR_CAP_AMBIENT"),
    (52, "PR_GET_SPECULATION_CTRL"),
    (53, "PR_SET_SPECULATION_CTRL"),
    (59, "PR_SET_SYSCALL_USER_DISPATCH"),
    (0x5356_4d41, "PR_SET_VMA"),
    (0x5961_6d61, "PR_SET_PTRACER"),
];

/// x86's signals from 1 (arch/x86/include/uapi/asm/signal.h).
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The name of a signal; those from 32 on have none.
pub(super) fn signal(number: u64) -> Option<&'static str> {
    SIGNALS.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

/// The one name of a number.
pub(super) fn choice(names: Names, number: u64) -> Option<&'static str> {
    names.iter().find(|(n, _)| *n == number).map(|(_, name)| *name)
}

/// The names of the bits that are set, joined by `|`; `None` when none has a name.
pub(super) fn bits(names: Names, number: u64) -> Option<String> {
    let set: Vec<&str> = names.iter().filter(|(bits, _)| number & bits == *bits).map(|(_, name)| *name).collect();
    (!set.is_empty()).then(|| set.join("|"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_sign_loss, reason = "constants are positive")]
    use super::*;

    #[test]
    fn numbers_have_the_names_of_the_headers() {
        for (number, name) in
            [(libc::SIGKILL, "SIGKILL"), (libc::SIGCHLD, "SIGCHLD"), (libc::SIGSYS, "SIGSYS"), (libc::SIGIO, "SIGIO")]
        {
            assert_eq!(signal(number as u64), Some(name));
        }
        assert_eq!((signal(0), signal(34), signal(u64::MAX)), (None, None, None));
        assert_eq!(choice(FAMILY, libc::AF_PACKET as u64), Some("AF_PACKET"));
        assert_eq!(choice(FAMILY, libc::AF_VSOCK as u64), Some("AF_VSOCK"));
        assert_eq!(choice(PTRACE, u64::from(libc::PTRACE_SEIZE)), Some("PTRACE_SEIZE"));
        assert_eq!(choice(PTRACE, u64::from(libc::PTRACE_ATTACH)), Some("PTRACE_ATTACH"));
        assert_eq!(choice(PRCTL, libc::PR_SET_VMA as u64), Some("PR_SET_VMA"));
        assert_eq!(bpf(5), Some("BPF_PROG_LOAD"));
        assert_eq!((bpf(36), bpf(37)), (Some("BPF_TOKEN_CREATE"), None));
        assert_eq!(io_uring(20 | 1 << 31), Some("IORING_REGISTER_RING_FDS"));
    }

    #[test]
    fn bits_are_joined() {
        let flags = (libc::CLONE_NEWNS | libc::CLONE_NEWUSER) as u64;
        assert_eq!(bits(CLONE, flags).as_deref(), Some("CLONE_NEWNS|CLONE_NEWUSER"));
        assert_eq!(bits(MOUNT, libc::MS_BIND | libc::MS_REC).as_deref(), Some("BIND|REC"));
        assert_eq!(bits(MOUNT, libc::MS_SHARED | libc::MS_RELATIME).as_deref(), Some("SHARED|RELATIME"));
        assert_eq!(bits(MEMFD, u64::from(libc::MFD_CLOEXEC)).as_deref(), Some("MFD_CLOEXEC"));
        assert_eq!(bits(CLONE, 0), None);
    }
}
