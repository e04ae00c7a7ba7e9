//! `import` as people and scripts run it: what is written, what is left alone, the report, exit codes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

fn kubectl_eyas(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-eyas")).args(args).current_dir(dir).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// Every file below a folder, by its path.
fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            found.extend(tree(&entry));
        } else {
            found.insert(entry.clone(), fs::read_to_string(&entry).unwrap());
        }
    }
    found
}

const RULES: &str = "\
# Licence of the file.

# Shells that people use.
- list: shells
  items: [bash, sh]

- macro: started
  condition: evt.type in (execve, execveat)

# Tell every shell.
- rule: Shell started
  desc: Somebody started a shell.
  condition: >
    started
    and proc.name in (shells)
  output: Shell started (command=%proc.cmdline)
  priority: NOTICE
  tags: [process]
  exceptions:
    - name: cron
      fields: proc.pname
      values: [cron, crond]

- rule: Audit
  desc: d
  condition: ka.verb = create
  output: o
  priority: INFO
  source: k8s_audit
";

const LOCAL: &str = "\
- list: shells
  items: [zsh]
  override: {items: append}
- rule: Shell started
  enabled: false
  override: {enabled: replace}
";

#[test]
fn rules_become_objects() {
    let dir = folder(&[("rules.yaml", RULES), ("local.yaml", LOCAL)]);
    let output = kubectl_eyas(&["import", "rules.yaml", "local.yaml", "-o", "out"], dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    insta::assert_snapshot!("report", stdout(&output));
    let out = dir.path().join("out");
    let text: Vec<String> = tree(&out)
        .into_iter()
        .map(|(path, text)| format!("=== {}\n{text}", path.strip_prefix(&out).unwrap().display()))
        .collect();
    insta::assert_snapshot!("objects", text.concat());
    let output = kubectl_eyas(&["check", "out"], dir.path());
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(0), "1 rule: 0 would be armed, 1 disabled\n2 objects in 2 files: no problem\n")
    );
}

#[test]
fn exceptions_become_objects_of_their_own() {
    let dir = folder(&[("rules.yaml", RULES)]);
    let args = [
        "import",
        "rules.yaml",
        "-o",
        "out",
        "--exceptions",
        "objects",
        "--namespace",
        "shop",
        "--library-name",
        "lib",
    ];
    assert_eq!(kubectl_eyas(&args, dir.path()).status.code(), Some(0));
    let exception = fs::read_to_string(dir.path().join("out/exceptions/shell-started-cron.yaml")).unwrap();
    insta::assert_snapshot!("exception", exception);
    assert!(!fs::read_to_string(dir.path().join("out/rules/shell-started.yaml")).unwrap().contains("exceptions:"));
    assert!(fs::read_to_string(dir.path().join("out/libraries/lib.yaml")).unwrap().contains("namespace: shop"));
    let output = kubectl_eyas(&["check", "out"], dir.path());
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(0), "1 rule: 1 would be armed\n3 objects in 3 files: no problem\n")
    );
}

#[test]
fn a_second_import_changes_nothing_and_removes_what_is_stale() {
    let dir = folder(&[("rules.yaml", RULES)]);
    let out = dir.path().join("out");
    let import = || kubectl_eyas(&["import", "rules.yaml", "-o", "out", "--report", "json"], dir.path());
    import();
    let first = tree(&out);
    let report: serde_json::Value = serde_json::from_slice(&import().stdout).unwrap();
    assert_eq!((tree(&out), &report["files"]["written"]), (first.clone(), &0.into()));
    // A rule that was renamed, a file of somebody else, and one that only mentions us.
    fs::write(dir.path().join("rules.yaml"), RULES.replace("rule: Shell started", "rule: Shell")).unwrap();
    let foreign = "metadata:\n  name: x\n# eyas.dev/imported-from: rules.yaml\n";
    fs::write(out.join("rules/mine.yaml"), foreign).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&import().stdout).unwrap();
    assert_eq!(report["files"]["removed"], serde_json::json!(["rules/shell-started.yaml"]));
    assert_eq!(report["files"]["foreign"], serde_json::json!(["rules/mine.yaml"]));
    assert_eq!(fs::read_to_string(out.join("rules/mine.yaml")).unwrap(), foreign);
    assert!(out.join("rules/shell.yaml").exists());
}

#[test]
fn a_foreign_file_in_the_way_stops_it_before_anything_is_written() {
    let dir = folder(&[("rules.yaml", RULES)]);
    fs::create_dir_all(dir.path().join("out/rules")).unwrap();
    fs::write(dir.path().join("out/rules/shell-started.yaml"), "mine").unwrap();
    let output = kubectl_eyas(&["import", "rules.yaml", "-o", "out"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("rules/shell-started.yaml"));
    assert_eq!(tree(&dir.path().join("out")).len(), 1);
    let output = kubectl_eyas(&["import", "rules.yaml", "-o", "out", "--force"], dir.path());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(tree(&dir.path().join("out")).len(), 3);
}

#[test]
fn what_is_bad_is_refused_and_the_rest_imported() {
    let bad = RULES.replace("started\n    and", "startd\n    and").replace(
        "# Tell",
        "- rule: Good\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: INFO\n# Tell",
    );
    let dir = folder(&[("rules.yaml", &bad)]);
    let output = kubectl_eyas(&["import", "rules.yaml", "-o", "out"], dir.path());
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("refused   rule Shell started (rules.yaml:16): its condition has an error"), "{text}");
    assert!(text.contains("did you mean started?") && text.contains("rules.yaml:19:5"), "{text}");
    assert!(
        dir.path().join("out/rules/good.yaml").exists() && !dir.path().join("out/rules/shell-started.yaml").exists()
    );
    assert_eq!(kubectl_eyas(&["check", "out"], dir.path()).status.code(), Some(0));
}

#[test]
fn rules_files_are_checked_as_they_are() {
    let dir = folder(&[("rules.yaml", &RULES.replace("proc.name in", "proc.nam in"))]);
    fs::write(
        dir.path().join("object.yaml"),
        "apiVersion: eyas.dev/v1alpha1\nkind: RuleLibrary\nmetadata: {name: l}\nspec: {lists: [{name: a, items: [b]}]}\n",
    )
    .unwrap();
    let output = kubectl_eyas(&["check", "."], dir.path());
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!("checked", stdout(&output));
    let output = kubectl_eyas(&["check", "rules.yaml", "-o", "json"], dir.path());
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let problem = &answer["problems"][0];
    let place =
        [&problem["file"], &problem["line"], &problem["column"], &problem["kind"], &problem["name"], &problem["code"]];
    assert_eq!(
        serde_json::json!(place),
        serde_json::json!(["rules.yaml", 15, 9, "rule", "Shell started", "LOAD_ERR_COMPILE_CONDITION"])
    );
    assert_eq!(answer["rulesFiles"]["rules"], 2);
}

#[test]
fn large_definitions_are_split() {
    let items: String = (0..16_000).map(|n| format!("/a/rather/long/path/of/a/file/{n}, ")).collect();
    let mut text = format!("- list: paths\n  items: [{items}]\n");
    for n in 0..1_100 {
        text.push_str(&format!("- macro: m{n}\n  condition: evt.type = open and fd.num = {n}\n"));
    }
    text.push_str("- {rule: r, desc: d, condition: m3 and fd.name in (paths), output: o, priority: info}\n");
    let dir = folder(&[("rules.yaml", &text)]);
    let output = kubectl_eyas(&["import", "rules.yaml", "-o", "out"], dir.path());
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("changed   list paths: split into "), "{}", stdout(&output));
    let files = tree(&dir.path().join("out/libraries"));
    assert!(files.len() >= 2 && files.values().all(|text| text.len() < 1_000_000), "{:?}", files.keys());
    let output = kubectl_eyas(&["check", "out"], dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn wrong_use_exits_with_two() {
    let dir = folder(&[("rules.yaml", RULES)]);
    for args in [
        &["import", "rules.yaml"][..],
        &["import", "missing.yaml", "-o", "out"],
        &["import", "-o", "out"],
        &["import", "rules.yaml", "-o", "out", "--namespace", "No Such"],
        &["import", "rules.yaml", "-o", "rules.yaml"],
    ] {
        let output = kubectl_eyas(args, dir.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

/// The example of docs/import.md is what happens.
#[test]
fn the_page_shows_what_happens() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/import.md")).unwrap();
    let block = |mark: &str, kind: &str| -> String {
        let rest = page.split_once(mark).unwrap_or_else(|| panic!("{mark:?} is not in the page")).1;
        let rest = rest.split_once(&format!("```{kind}\n")).unwrap().1;
        rest.split_once("```").unwrap().0.to_owned()
    };
    let [falco, local] = [block("`falco_rules.yaml`:", "yaml"), block("`local_rules.yaml`:", "yaml")];
    let dir = folder(&[("falco_rules.yaml", &falco), ("local_rules.yaml", &local)]);
    let output = kubectl_eyas(&["import", "falco_rules.yaml", "local_rules.yaml", "-o", "rules"], dir.path());
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), block("exits with 1", "text")));
    let rule = fs::read_to_string(dir.path().join("rules/rules/shell-started.yaml")).unwrap();
    assert_eq!(rule, block("is then", "text"));
    assert_eq!(kubectl_eyas(&["check", "rules"], dir.path()).status.code(), Some(0));
}
