//! `eyas-agent`: see `agent::cli`.

/// Heaps of the allocator. By default each thread that meets a busy one gets its own, up to eight a processor, and what the start
/// used of each stays resident: 6 MiB of 32 with the default rules.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = 2;

fn main() -> std::process::ExitCode {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number of the allocator, before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
    agent::cli::main()
}
