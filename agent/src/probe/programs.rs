//! The programs: where each is attached, and how.
use agent_abi::offsets::{MISSING, Offsets};
use aya::{
    Btf,
    programs::{
        BtfTracePoint, FEntry, FExit, Program as Loaded, ProgramError, fentry::FEntryLinkId, fexit::FExitLinkId,
        tp_btf::BtfTracePointLinkId,
    },
};
use engine::event::Hook;
use std::os::fd::{AsFd as _, AsRawFd as _};

/// A program of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Program {
    Exec,
    Fork,
    Exit,
    SysExit,
    IoUring,
    UsedConnect,
    UsedBind,
    UsedUnlink,
    UsedRmdir,
    UsedRename,
    UsedMkdir,
    UsedLink,
    UsedSymlink,
    UsedOpen,
    UsedSend,
    UsedLookup,
    UsedText,
    UsedModule,
    UsedMemfd,
}

/// Where a program is attached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// To a raw tracepoint, by the names that it has had, newest first.
    Tracepoint(&'static [&'static str]),
    /// Where a function of the kernel begins: fentry.
    Begin(&'static str),
    /// Where it ends: fexit.
    End(&'static str),
}

/// What keeps a program attached.
#[derive(Debug)]
pub(super) enum Link {
    Tracepoint(BtfTracePointLinkId),
    Begin(FEntryLinkId),
    End(FExitLinkId),
}

impl Program {
    pub(super) const ALL: [Self; 19] = [
        Self::Exec,
        Self::Fork,
        Self::Exit,
        Self::SysExit,
        Self::IoUring,
        Self::UsedConnect,
        Self::UsedBind,
        Self::UsedUnlink,
        Self::UsedRmdir,
        Self::UsedRename,
        Self::UsedMkdir,
        Self::UsedLink,
        Self::UsedSymlink,
        Self::UsedOpen,
        Self::UsedSend,
        Self::UsedLookup,
        Self::UsedText,
        Self::UsedModule,
        Self::UsedMemfd,
    ];

    /// The program's symbol.
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Exec => "on_exec",
            Self::Fork => "on_fork",
            Self::Exit => "on_exit",
            Self::SysExit => "on_sys_exit",
            Self::IoUring => "on_io_uring",
            Self::UsedConnect => "on_used_connect",
            Self::UsedBind => "on_used_bind",
            Self::UsedUnlink => "on_used_unlink",
            Self::UsedRmdir => "on_used_rmdir",
            Self::UsedRename => "on_used_rename",
            Self::UsedMkdir => "on_used_mkdir",
            Self::UsedLink => "on_used_link",
            Self::UsedSymlink => "on_used_symlink",
            Self::UsedOpen => "on_used_open",
            Self::UsedSend => "on_used_send",
            Self::UsedLookup => "on_used_lookup",
            Self::UsedText => "on_used_text",
            Self::UsedModule => "on_used_module",
            Self::UsedMemfd => "on_used_memfd",
        }
    }

    /// Where it is attached.
    pub(super) const fn place(self) -> Place {
        match self {
            Self::Exec => Place::Tracepoint(&["sched_process_exec"]),
            Self::Fork => Place::Tracepoint(&["sched_process_fork"]),
            Self::Exit => Place::Tracepoint(&["sched_process_exit"]),
            Self::SysExit => Place::Tracepoint(&["sys_exit"]),
            // The first since Linux 6.4.
            Self::IoUring => Place::Tracepoint(&["io_uring_submit_req", "io_uring_submit_sqe"]),
            Self::UsedConnect => Place::Begin("security_socket_connect"),
            Self::UsedBind => Place::Begin("security_socket_bind"),
            Self::UsedUnlink => Place::Begin("do_unlinkat"),
            Self::UsedRmdir => Place::Begin("do_rmdir"),
            Self::UsedRename => Place::Begin("do_renameat2"),
            Self::UsedMkdir => Place::Begin("do_mkdirat"),
            Self::UsedLink => Place::Begin("do_linkat"),
            Self::UsedSymlink => Place::Begin("do_symlinkat"),
            Self::UsedOpen => Place::End("do_filp_open"),
            Self::UsedSend => Place::End("move_addr_to_kernel"),
            Self::UsedLookup => Place::Begin("filename_lookup"),
            Self::UsedText => Place::End("strndup_user"),
            Self::UsedModule => Place::Begin("find_module"),
            Self::UsedMemfd => Place::Begin("shmem_file_setup"),
        }
    }

    /// The tracepoint's newest name, or the function's.
    pub(super) const fn place_name(self) -> &'static str {
        match self.place() {
            Place::Tracepoint(names) => names[0],
            Place::Begin(name) | Place::End(name) => name,
        }
    }

    /// Of a program that keeps what the kernel used: the hooks that it does so for. None of another.
    pub(super) const fn keeps_for(self) -> &'static [Hook] {
        match self {
            Self::UsedConnect => &[Hook::Connect],
            Self::UsedBind => &[Hook::Bind],
            Self::UsedUnlink | Self::UsedRmdir => &[Hook::Unlink],
            Self::UsedRename => &[Hook::Rename],
            Self::UsedMkdir => &[Hook::Mkdir],
            Self::UsedLink | Self::UsedSymlink => &[Hook::Link],
            Self::UsedOpen => &[Hook::Open],
            Self::UsedSend => &[Hook::Send],
            Self::UsedLookup => &[Hook::Chmod, Hook::Chown, Hook::Mount, Hook::Root],
            Self::UsedText => &[Hook::Mount, Hook::Module],
            Self::UsedModule => &[Hook::Module],
            Self::UsedMemfd => &[Hook::Memfd],
            Self::Exec | Self::Fork | Self::Exit | Self::SysExit | Self::IoUring => &[],
        }
    }

    /// Whether it keeps what the kernel used.
    pub(super) const fn keeps(self) -> bool {
        !self.keeps_for().is_empty()
    }

    /// Members that only this program needs and that the running kernel lacks.
    pub(super) fn lacks(self, offsets: &Offsets) -> Vec<String> {
        let o = offsets;
        let needed: &[(u32, &str)] = match self {
            Self::IoUring => &[
                (o.kiocb_opcode, "io_kiocb.opcode"),
                (o.kiocb_flags, "io_kiocb.flags"),
                (o.kiocb_fd, "io_kiocb.cqe.fd"),
                (o.kiocb_async, "io_kiocb.async_data"),
                (o.io_open_dfd, "io_open.dfd"),
                (o.io_open_filename, "io_open.filename"),
                (o.io_open_flags, "io_open.how"),
                (o.io_connect_addr, "io_connect.addr"),
                (o.io_connect_len, "io_connect.addr_len"),
            ],
            Self::UsedOpen => &[(o.open_flags_flag, "open_flags.open_flag")],
            Self::UsedLookup => &[(o.filename_uptr, "filename.uptr")],
            _ => &[],
        };
        needed.iter().filter(|(offset, _)| *offset == MISSING).map(|(_, name)| (*name).to_owned()).collect()
    }

    /// Passes it to the verifier.
    pub(super) fn load(self, program: &mut Loaded, btf: &Btf) -> Result<(), ProgramError> {
        match self.place() {
            Place::Tracepoint(names) => {
                let program: &mut BtfTracePoint = program.try_into()?;
                let mut result = Ok(());
                for name in names {
                    result = program.load(name, btf);
                    if !matches!(result, Err(ProgramError::Btf(_))) {
                        break;
                    }
                }
                result
            }
            Place::Begin(function) => <&mut FEntry>::try_from(program)?.load(function, btf),
            Place::End(function) => <&mut FExit>::try_from(program)?.load(function, btf),
        }
    }
}

/// Attaches a loaded program to its place.
pub(super) fn attach(program: &mut Loaded) -> Result<Link, ProgramError> {
    match program {
        Loaded::FEntry(program) => program.attach().map(Link::Begin),
        Loaded::FExit(program) => program.attach().map(Link::End),
        other => <&mut BtfTracePoint>::try_from(other)?.attach().map(Link::Tracepoint),
    }
}

/// Undoes [`attach`].
pub(super) fn detach(program: &mut Loaded, link: Link) -> Result<(), ProgramError> {
    match link {
        Link::Tracepoint(link) => <&mut BtfTracePoint>::try_from(program)?.detach(link),
        Link::Begin(link) => <&mut FEntry>::try_from(program)?.detach(link),
        Link::End(link) => <&mut FExit>::try_from(program)?.detach(link),
    }
}

/// How often the kernel left a loaded program out, where it tells.
pub(super) fn missed(program: &Loaded) -> Option<u64> {
    let fd = program.fd().ok()?.as_fd().as_raw_fd();
    let facts = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
    facts.lines().find_map(|line| line.strip_prefix("recursion_misses:")?.trim().parse().ok())
}
