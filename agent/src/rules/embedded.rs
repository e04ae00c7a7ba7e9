//! The default rules, compiled into the binary, so that the agent is useful before anybody wrote a rule.
use super::folder::Compilation;
use crds::files::{Loaded, load_text};
use std::path::Path;

macro_rules! default_rules {
    ($($name:literal),* $(,)?) => {
        /// File name and text of each file of `manifests/rules`.
        pub const FILES: &[(&str, &str)] = &[$(
            ($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/rules/", $name))),
        )*];
    };
}

default_rules![
    "become-root.yaml",
    "bpf-program.yaml",
    "bulk-deletion.yaml",
    "change-root.yaml",
    "clear-log.yaml",
    "container-mount.yaml",
    "crypto-miner.yaml",
    "drift-dev-shm.yaml",
    "drift-memfd.yaml",
    "drift-upper-layer.yaml",
    "enter-namespace.yaml",
    "io-uring.yaml",
    "kernel-helper.yaml",
    "kernel-module.yaml",
    "library.yaml",
    "metadata-service.yaml",
    "mining-pool-port.yaml",
    "node-disk-mount.yaml",
    "package-manager.yaml",
    "packet-socket.yaml",
    "process-memory-write.yaml",
    "ptrace-attach.yaml",
    "read-sensitive-file.yaml",
    "reverse-shell.yaml",
    "runtime-socket.yaml",
    "sensitive-host-file.yaml",
    "sensitive-host-mount.yaml",
    "sensitive-link.yaml",
    "set-user-id-bit.yaml",
    "shell-history.yaml",
    "streams-to-network.yaml",
    "terminal-shell.yaml",
    "user-namespace.yaml",
    "userfaultfd.yaml",
    "web-server-escalation.yaml",
    "write-below-binary-folder.yaml",
    "write-below-etc.yaml",
];

/// Compiles the default rules. Their own tests run with it.
#[must_use]
pub fn compile() -> Compilation {
    let mut all = Loaded::default();
    for (name, text) in FILES {
        let one = load_text(Path::new(name), text);
        all.rules.extend(one.rules);
        all.libraries.extend(one.libraries);
        all.exceptions.extend(one.exceptions);
        all.routes.extend(one.routes);
        all.problems.extend(one.problems);
        all.files += one.files;
    }
    Compilation::of(all, None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::{collections::BTreeSet, fs};

    #[test]
    fn every_file_of_the_folder_is_in_the_binary() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/rules");
        let there: BTreeSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| n != "kustomization.yaml")
            .collect();
        let here: BTreeSet<String> = FILES.iter().map(|(n, _)| (*n).to_owned()).collect();
        assert_eq!(here, there);
    }

    #[test]
    fn the_default_rules_compile_without_a_word_and_pass_their_tests() {
        let compiled = compile();
        let words: Vec<String> = compiled.messages.iter().map(|m| format!("{}\n{}", m.line, m.drawing)).collect();
        assert!(words.is_empty(), "{}", words.join("\n"));
        assert!(compiled.outcomes.iter().all(|o| o.accepted), "{:#?}", compiled.outcomes);
        let rules = FILES.iter().filter(|(_, t)| t.contains("kind: DetectionRule")).count();
        assert_eq!(compiled.ruleset.rules.len(), rules);
    }
}
