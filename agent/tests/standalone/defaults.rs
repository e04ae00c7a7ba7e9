//! The default rules as they are in the binary: each is set off by the command in its annotation, on the running kernel, in a
//! control group that is named as a container's is.
use super::agent::{Agent, PATIENCE, Scene};
use agent::rules::embedded;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Where a rule says how to set it off, a folded text on the lines below. Its command needs sh, coreutils, util-linux, perl, root.
const TRIGGER: &str = "    eyas.dev/trigger: >-";

/// These need what only a runtime makes: an overlay for a root, mounts that the runtime tells of. The tests in e2e/ have them.
const NEED_A_RUNTIME: [&str; 2] = ["drift-upper-layer", "sensitive-host-mount"];

/// A control group whose path says Docker, in each hierarchy that can say it. Gone with the value.
struct Container {
    /// As `container.id` has it.
    id: String,
    folders: Vec<PathBuf>,
}

impl Container {
    fn new(number: usize) -> Option<Self> {
        let whole = format!("{:012x}{:052x}", u64::from(std::process::id()) << 12 | number as u64, number);
        let mut folders = Vec::new();
        for root in hierarchies() {
            let folder = root.join("docker").join(&whole);
            fs::create_dir_all(&folder).ok()?;
            folders.push(folder);
        }
        (!folders.is_empty()).then(|| Self { id: whole[..12].to_owned(), folders })
    }

    /// Runs a command line of sh in it. Its outcome does not matter, what it did is looked for.
    fn run(&self, line: &str) {
        let enter = "for group; do echo $$ > \"$group/cgroup.procs\" || exit 99; done; exec sh -c \"$LINE\"";
        let mut command = Command::new("sh");
        command.args(["-c", enter, "sh"]).args(&self.folders).env("LINE", line).current_dir("/");
        let done = command.stdin(std::process::Stdio::null()).output().unwrap();
        assert_ne!(done.status.code(), Some(99), "{}", String::from_utf8_lossy(&done.stderr));
        if !done.stderr.is_empty() {
            println!("{line}: {}", String::from_utf8_lossy(&done.stderr).trim());
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Its last process may still be on its way out.
            let end = Instant::now() + Duration::from_secs(2);
            while fs::remove_dir(folder).is_err() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Where the unified hierarchy and that of the memory controller are mounted: records tell one of them.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let wanted = mounts.lines().filter_map(|line| {
        let [_, at, kind, options, ..] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        (kind == "cgroup2" || kind == "cgroup" && options.split(',').any(|o| o == "memory")).then(|| PathBuf::from(at))
    });
    wanted.collect()
}

/// What a default rule is called, and how it is set off.
struct Default {
    file: &'static str,
    name: String,
    trigger: Option<String>,
}

fn defaults() -> Vec<Default> {
    let rules = embedded::FILES.iter().flat_map(|(file, text)| {
        let loaded = crds::files::load_text(Path::new(file), text);
        loaded.rules.into_iter().map(|rule| {
            let rule = &rule.object;
            Default {
                file: file.trim_end_matches(".yaml"),
                name: rule.spec.name.clone().unwrap(),
                trigger: trigger(text),
            }
        })
    });
    rules.collect()
}

/// What loads objects leaves annotations alone, so the text itself is read.
fn trigger(text: &str) -> Option<String> {
    let below = text.lines().skip_while(|line| *line != TRIGGER).skip(1);
    let lines: Vec<&str> = below.map_while(|line| line.strip_prefix("      ")).collect();
    (!lines.is_empty()).then(|| lines.join(" "))
}

#[test]
fn each_default_rule_fires_on_its_trigger() {
    let Some(_scene) = Scene::new("defaults") else { return };
    let mut agent = Agent::with_default_rules(&[]);
    agent.ready();
    let rules = defaults();
    assert!(rules.len() > 30, "only {} rules", rules.len());
    let mut containers = BTreeMap::new();
    for (number, rule) in rules.iter().enumerate().filter(|(_, rule)| !NEED_A_RUNTIME.contains(&rule.file)) {
        let Some(container) = Container::new(number) else {
            println!("skipped: defaults: control groups cannot be made here");
            return;
        };
        container.run(rule.trigger.as_ref().unwrap_or_else(|| panic!("{} says no trigger", rule.file)));
        containers.insert(container.id.clone(), (container, rule));
    }
    // Nothing of what everybody does sets one off.
    let quiet = Container::new(rules.len()).unwrap();
    quiet.run("ls /etc > /dev/null; cat /etc/hostname; d=$(mktemp -d); echo x > \"$d/a\"; ln -s a \"$d/b\"; chmod 755 \"$d/a\"; rm -r \"$d\"; id");

    let mut missing: BTreeSet<&str> = containers.keys().map(String::as_str).collect();
    let end = Instant::now() + PATIENCE;
    let mut seen: Vec<Value> = Vec::new();
    while !missing.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        let Ok((_, alert)) = agent.alerts.recv_timeout(left) else { break };
        if let Some(id) = alert["output_fields"]["container.id"].as_str()
            && let Some((_, rule)) = containers.get(id)
            && alert["rule"] == rule.name.as_str()
        {
            missing.remove(id);
        }
        seen.push(alert);
    }
    let silent: Vec<&str> = missing.iter().map(|id| containers[*id].1.file).collect();
    let (_, _, rest) = agent.stop();
    seen.extend(rest);
    assert!(silent.is_empty(), "did not fire: {silent:?}\n{}", agent.log());
    let noise: Vec<&Value> = seen.iter().filter(|a| a["output_fields"]["container.id"] == quiet.id.as_str()).collect();
    assert!(noise.is_empty(), "{noise:#?}");
    println!("{} rules fired in their containers", containers.len());
}
