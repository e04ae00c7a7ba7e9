//! How much of what is done to a tree of files stays in the kernel under the default rules.
use super::{
    agent::{Agent, Scene},
    container::Container,
};
use std::collections::BTreeMap;

const HOOKS: [&str; 4] = ["unlink", "rename", "chmod", "link"];

/// By hook: seen, filtered, submitted.
fn outcomes(agent: &Agent) -> BTreeMap<&'static str, [u64; 3]> {
    HOOKS.into_iter().map(|hook| (hook, ["seen", "filtered", "submitted"].map(|what| agent.hook(hook, what)))).collect()
}

/// What a command line in a container adds once at least `calls` of a hook are counted; told on stdout.
fn added(agent: &mut Agent, container: &Container, line: &str, (hook, calls): (&str, u64)) -> [u64; 3] {
    let before = outcomes(agent);
    container.run(line);
    agent.until(line, |a| (a.hook(hook, "seen") >= before[hook][0] + calls).then_some(()));
    // The kernel's counters of one look may be of two moments.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let after = outcomes(agent);
    for hook in HOOKS {
        let [seen, filtered, submitted] = [0, 1, 2].map(|n| after[hook][n] - before[hook][n]);
        if seen > 0 {
            println!("{line}: {hook}: {seen} seen, {filtered} filtered, {submitted} submitted");
        }
    }
    [0, 1, 2].map(|n| after[hook][n] - before[hook][n])
}

#[test]
fn removals_and_renames_that_no_rule_wants_stay_in_the_kernel() {
    let Some(scene) = Scene::new("removals") else { return };
    let Some(container) = Container::new(77) else {
        println!("skipped: removals: control groups cannot be made here");
        return;
    };
    let at = scene.dir.path().display();
    let mut agent = Agent::with_default_rules(&[]);
    agent.ready();
    container.run(&format!(
        "cd {at} && for d in $(seq 20); do mkdir -p tree/d$d; for f in $(seq 50); do : > tree/d$d/f$f; done; done; tar cf t.tar tree"
    ));
    // Other processes of the machine remove files, too: of theirs few are of interest.
    let most = |of: u64| of - of / 20;
    let [seen, filtered, _] = added(&mut agent, &container, &format!("rm -rf {at}/tree"), ("unlink", 1_000));
    assert!(filtered >= most(seen), "rm: {filtered} of {seen} filtered");
    let [seen, ..] = added(&mut agent, &container, &format!("tar xpf {at}/t.tar -C {at}"), ("chmod", 1));
    assert!(seen > 0);
    let line = format!("cd {at}/tree && for d in d?; do for f in $d/*; do mv $f $f.x; done; done");
    let [seen, filtered, _] = added(&mut agent, &container, &line, ("rename", 450));
    assert!(filtered >= most(seen), "mv: {filtered} of {seen} filtered");
    // What a rule wants still comes: by its end, and by one whose text is not plain.
    let line = format!(
        "cd {at} && : > .bash_history && : > tree/.bash_history && rm .bash_history && rm tree/../tree/.bash_history"
    );
    let [_, _, submitted] = added(&mut agent, &container, &line, ("unlink", 2));
    assert!(submitted >= 2, "{submitted} submitted");
}
