//! Whether this kernel takes programs on its own functions, and calls of one of its functions: only trying tells. A kernel may list all
//! that they need and refuse.
use std::io;

/// include/uapi/linux/bpf.h, as are the numbers and the layout below.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_TRACE_FENTRY: u32 = 24;
/// `r0 = 0; exit`.
pub(super) const NOTHING: [u64; 2] = [0xb7, 0x95];
/// `call` of the kernel function with the number that is put in (BPF_PSEUDO_KFUNC_CALL).
pub(super) const CALL_FUNCTION: u32 = 0x2085;

/// What BPF_PROG_LOAD takes of `union bpf_attr`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
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
    load(
        &NOTHING,
        Attributes {
            prog_type: BPF_PROG_TYPE_TRACING,
            expected_attach_type: BPF_TRACE_FENTRY,
            attach_btf_id: function,
            ..Attributes::default()
        },
    )
}

/// Loads a program that reads through what `bpf_rdonly_cast`, which has that number in the kernel's type information, makes of a
/// number as an address.
///
/// # Errors
/// What the kernel says.
pub(super) fn cast(function: u32) -> io::Result<()> {
    let instructions = [
        0x01b7,                                               // r1 = 0
        0x02b7,                                               // r2 = 0
        u64::from(function) << 32 | u64::from(CALL_FUNCTION), // call
        0x8_0079,                                             // r0 = *(u64 *)(r0 + 8)
        NOTHING[0],
        NOTHING[1],
    ];
    load(&instructions, Attributes { prog_type: BPF_PROG_TYPE_RAW_TRACEPOINT, ..Attributes::default() })
}

fn load(instructions: &[u64], attributes: Attributes) -> io::Result<()> {
    let license = c"GPL";
    let attributes = Attributes {
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..attributes
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
