//! The default rules as they are in the binary: each is set off by the command in its annotation, on the running kernel, in a
//! control group that is named as a container's is. Each outcome is a row on stdout, which scripts/test-kernels.sh puts side by side.
use super::{
    agent::{Agent, PATIENCE, Scene},
    container::Container,
};
use agent::rules::embedded;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Instant,
};

/// Where a rule says how to set it off, a folded text on the lines below. Its command needs sh, coreutils, util-linux, perl, root.
const TRIGGER: &str = "    eyas.dev/trigger: >-";

/// These need what only a runtime makes: an overlay for a root, mounts that the runtime tells of. The tests in e2e/ have them.
const NEED_A_RUNTIME: [&str; 2] = ["drift-upper-layer", "sensitive-host-mount"];

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
    for rule in &rules {
        let told = if NEED_A_RUNTIME.contains(&rule.file) {
            "needs a container runtime: e2e has it"
        } else if containers.iter().any(|(id, (_, r))| r.file == rule.file && missing.contains(id.as_str())) {
            "did not fire"
        } else {
            "fired"
        };
        println!("row\trule\t{}\t{told}", rule.file);
    }
    let silent: Vec<&str> = missing.iter().map(|id| containers[*id].1.file).collect();
    let (_, _, rest) = agent.stop();
    seen.extend(rest);
    assert!(silent.is_empty(), "did not fire: {silent:?}\n{}", agent.log());
    let noise: Vec<&Value> = seen.iter().filter(|a| a["output_fields"]["container.id"] == quiet.id.as_str()).collect();
    assert!(noise.is_empty(), "{noise:#?}");
    println!("{} rules fired in their containers", containers.len());
}
