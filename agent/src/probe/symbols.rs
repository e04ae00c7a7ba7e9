//! From the kernel's type information to what the programs are loaded with.
use super::{ProbeError, btf::Btf, trial};
use agent_abi::{
    Wire,
    map::feature,
    offsets::{MISSING, Offsets},
};

/// Where the kernel describes its types.
pub(super) const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// What the running kernel is like.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Where the members are.
    pub(super) offsets: Offsets,
    /// Bits of [`feature`].
    pub(super) features: u32,
    /// Whether it takes programs on its own functions, so that what it used can be kept; else why not.
    pub(super) keeps: Result<(), String>,
    /// The number of `bpf_rdonly_cast`, where it makes memory of any address ([`feature::CAST`]); else why not.
    pub(super) cast: Result<u32, String>,
    /// The cgroup controller whose hierarchy stands in for an empty unified one.
    pub(super) cgroup_subsys: u32,
}

impl Kernel {
    /// Reads the running kernel's.
    ///
    /// # Errors
    /// There is no type information, or members are missing.
    pub(super) fn running(baseline_only: bool) -> Result<Self, ProbeError> {
        let data =
            std::fs::read(VMLINUX_BTF).map_err(|source| ProbeError::NoBtf { path: VMLINUX_BTF.to_owned(), source })?;
        let btf = Btf::parse(data).map_err(|e| ProbeError::BadBtf(e.to_string()))?;
        let mut kernel = Self::from_btf(&btf)?;
        kernel.cast = cast(&btf);
        if kernel.cast.is_ok() {
            kernel.features |= feature::CAST;
        }
        kernel.keeps = if baseline_only { Err("the baseline is asked for".to_owned()) } else { kernel.tries(&btf) };
        Ok(kernel)
    }

    /// Tries whether it takes programs on its own functions.
    fn tries(&self, btf: &Btf) -> Result<(), String> {
        if self.features & feature::TASK_PT_REGS == 0 {
            return Err("this kernel has no bpf_task_pt_regs (Linux 5.15)".to_owned());
        }
        let function = "security_socket_connect";
        let id = btf.function(function).ok_or_else(|| format!("this kernel does not describe {function}"))?;
        trial::fentry(id).map_err(|e| format!("this kernel takes no fentry programs: {e}"))
    }

    fn from_btf(btf: &Btf) -> Result<Self, ProbeError> {
        let mut bytes = Vec::with_capacity(size_of::<Offsets>());
        let mut missing = Vec::new();
        for member in Offsets::MEMBERS {
            let found = member.path.split('|').find_map(|path| match path {
                "sizeof" => btf.size_of(member.of),
                path => btf.offset_of(member.of, path),
            });
            if found.is_none() && member.required {
                missing.push(format!("{}.{}", member.of, member.path));
            }
            bytes.extend(found.unwrap_or(MISSING).to_ne_bytes());
        }
        if !missing.is_empty() {
            return Err(ProbeError::MissingMembers(missing.join(", ")));
        }
        let (offsets, _) = Offsets::read(&bytes).ok_or_else(|| ProbeError::BadBtf("table of offsets".to_owned()))?;
        let helpers = [("BPF_FUNC_task_pt_regs", feature::TASK_PT_REGS), ("BPF_FUNC_loop", feature::LOOP)];
        let has = |name| btf.enumerator("bpf_func_id", name).is_some();
        let features = helpers.iter().filter(|(name, _)| has(name)).fold(0, |bits, (_, bit)| bits | bit);
        Ok(Self {
            offsets,
            features,
            keeps: Err("not tried".to_owned()),
            cast: Err("not tried".to_owned()),
            cgroup_subsys: subsystem(btf),
        })
    }
}

/// Tries `bpf_rdonly_cast`.
fn cast(btf: &Btf) -> Result<u32, String> {
    let id = btf.function("bpf_rdonly_cast").ok_or("this kernel has no bpf_rdonly_cast (Linux 6.2)")?;
    trial::cast(id).map_err(|e| format!("its bpf_rdonly_cast takes no plain address (Linux 6.17): {e}"))?;
    Ok(id)
}

/// `memory` is where container runtimes always make a cgroup; `pids` where the memory controller is not built in.
fn subsystem(btf: &Btf) -> u32 {
    ["memory_cgrp_id", "pids_cgrp_id", "cpu_cgrp_id"]
        .iter()
        .find_map(|name| btf.enumerator("cgroup_subsys_id", name))
        .unwrap_or(0)
}
