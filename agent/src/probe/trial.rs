//! Whether this kernel takes programs on its own functions: only trying tells. A kernel may list all that they need and refuse.
use std::io;

/// include/uapi/linux/bpf.h, as are the numbers and the layout below.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_TRACE_FENTRY: u32 = 24;
/// `r0 = 0; exit`.
const NOTHING: [u64; 2] = [0xb7, 0x95];

/// What BPF_PROG_LOAD takes of `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// Loads a program of two instructions for the function with that number in the kernel's type information.
///
/// # Errors
/// What the kernel says.
pub(super) fn fentry(function: u32) -> io::Result<()> {
    let license = c"GPL";
    let attributes = Attributes {
        prog_type: BPF_PROG_TYPE_TRACING,
        insn_cnt: NOTHING.len() as u32,
        insns: NOTHING.as_ptr() as u64,
        license: license.as_ptr() as u64,
        expected_attach_type: BPF_TRACE_FENTRY,
        attach_btf_id: function,
        ..Attributes::default()
    };
    // SAFETY: the attributes have the layout and the size given, and what they point to lives longer than the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attributes, size_of::<Attributes>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that the kernel has just given us, and that nobody else has.
    unsafe { libc::close(fd as libc::c_int) };
    Ok(())
}
