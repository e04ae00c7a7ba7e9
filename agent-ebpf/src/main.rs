//! The eBPF programs of Eyas.
//!
//! ```text
//! tracepoint -> origin (own? canary?) -> filter of the active generation -> classes that may want it -> record in per-CPU scratch -> ring
//! ```
//!
//! Invariants: a program is a shell over `try_*`; every read of kernel memory is in `kernel`; every event is counted once as
//! seen and once as filtered, shed, dropped or submitted (`emit`); nothing user space controls indexes memory unmasked.
//!
//! Off the bpf target this is an empty program, so that the workspace builds everywhere; `agent/build.rs` builds the real one.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
#[macro_use]
mod kernel;
#[cfg(target_arch = "bpf")]
#[macro_use]
mod scratch;
#[cfg(target_arch = "bpf")]
mod arch;
#[cfg(target_arch = "bpf")]
mod classes;
#[cfg(target_arch = "bpf")]
mod connect;
#[cfg(target_arch = "bpf")]
mod emit;
#[cfg(target_arch = "bpf")]
mod exec;
#[cfg(target_arch = "bpf")]
mod failed_exec;
#[cfg(target_arch = "bpf")]
mod file;
#[cfg(target_arch = "bpf")]
mod given;
#[cfg(target_arch = "bpf")]
mod io_uring;
#[cfg(target_arch = "bpf")]
mod keep;
#[cfg(target_arch = "bpf")]
mod life;
#[cfg(target_arch = "bpf")]
mod open;
#[cfg(target_arch = "bpf")]
mod other;
#[cfg(target_arch = "bpf")]
mod path;
#[cfg(target_arch = "bpf")]
mod socket;
#[cfg(target_arch = "bpf")]
mod syscalls;
#[cfg(target_arch = "bpf")]
mod used;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// The kernel grants GPL-only helpers (bpf_probe_read_kernel and most others) to these.
#[cfg(target_arch = "bpf")]
// SAFETY: the section and the symbol are those that the loader looks for; nothing else defines them.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual BSD/GPL\0";
