//! `eyas-agent`: see `agent::cli`.

/// Heaps of the allocator. By default each thread that meets a busy one gets its own, up to eight a processor, and what the start
/// used of each stays resident.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = 2;
/// Bytes from which on memory is mapped by itself, and of free memory at a heap's end from which on it goes back to the kernel. Unless
/// they are set, the first large buffer that is freed (type information of the kernel, at the start) raises both to its size for good.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 256 << 10;

fn main() -> std::process::ExitCode {
    #[cfg(target_env = "gnu")]
    for (setting, value) in
        [(libc::M_ARENA_MAX, HEAPS), (libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, LARGE)]
    {
        // SAFETY: sets a number of the allocator, before there is a second thread.
        unsafe { libc::mallopt(setting, value) };
    }
    agent::cli::main()
}
