#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use std::fs;

const GOOD: &str = "apiVersion: eyas.dev/v1alpha1
kind: DetectionRule
metadata:
  name: good
spec:
  condition: evt.type = execve
  output: ran %proc.name
  priority: Notice
";

fn text(text: &str) -> Loaded {
    load_text(Path::new("f.yaml"), text)
}

fn told(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn bad_yaml_is_one_problem_with_its_place_and_takes_nothing_with_it() {
    let loaded = text(&format!("{GOOD}---\nkind: [broken\nx: y\n---\n{}", GOOD.replace("good", "also")));
    assert_eq!(loaded.rules.len(), 2);
    let [problem] = loaded.problems.as_slice() else { panic!("{:?}", told(&loaded)) };
    assert_eq!(problem.at.line, 11, "{problem}");
    assert!(problem.to_string().starts_with("f.yaml:11:"), "{problem}");
}

#[test]
fn objects_know_their_document_and_default_to_the_system_namespace() {
    let loaded =
        text(&format!("# a comment\n---\n{GOOD}---\n{}", GOOD.replace("name: good", "name: b\n  namespace: team")));
    assert_eq!(told(&loaded), Vec::<String>::new());
    assert_eq!(loaded.rules[0].origin.to_string(), "f.yaml:3");
    let sources = loaded.sources("eyas-system");
    assert_eq!(sources.rules[0].meta.id.to_string(), "eyas-system/good");
    assert_eq!(sources.rules[1].meta.id.to_string(), "team/b");
    assert_eq!(sources.rules[1].meta.origin, "f.yaml:12");
}

#[test]
fn what_the_schema_refuses_is_told_with_place_and_suggestion_and_the_object_stays_by_name() {
    let loaded = text(&GOOD.replace("priority: Notice", "priorty: Notice\n  state: active\n  tests: {}"));
    let sources = loaded.sources("eyas-system");
    let [rule] = sources.rules.as_slice() else { panic!("{sources:?}") };
    let found: Vec<_> = rule.meta.problems.iter().map(|p| (p.message.as_str(), p.suggestion.as_deref())).collect();
    let hint =
        "write priority: and one of emergency, alert, critical, error, warning, notice, informational, info, debug";
    assert!(found.contains(&("priority is required", Some(hint))), "{found:?}");
    assert!(found.contains(&("unknown key \"priorty\"", Some("did you mean priority?"))), "{found:?}");
    assert!(
        found.contains(&("\"active\" is not one of Active, Shadow, Disabled", Some("did you mean Active?"))),
        "{found:?}"
    );
    assert!(found.contains(&("a map where a list is wanted", None)), "{found:?}");
    let typo = rule.meta.problems.iter().find(|p| p.message.contains("priorty")).unwrap();
    let place = loaded.place(ObjectKind::Rule, &rule.meta.id, typo).unwrap();
    assert_eq!(place.to_string(), "f.yaml:8:3");
    assert_eq!(&typo.text[typo.span.start as usize..typo.span.end as usize], "priorty");
}

#[test]
fn a_diagnostic_in_a_condition_is_found_in_the_file() {
    let at = |yaml: &str, part: &str, line, column| {
        let loaded = text(yaml);
        assert!(loaded.rules[0].problems.is_empty(), "{:?}", loaded.rules[0].problems);
        let Position { line, column } = loaded.rules[0].origin.place(part, line, column);
        (line, column)
    };
    // Plain: "  condition: evt.type" begins in column 14.
    assert_eq!(at(GOOD, "condition", 1, 5), (6, 18));
    let quoted = GOOD.replace("evt.type = execve", "'evt.type = execve'");
    assert_eq!(at(&quoted, "condition", 1, 5), (6, 19));
    let block =
        GOOD.replace("condition: evt.type = execve", "condition: |\n    evt.type = execve\n    and proc.name = nc");
    assert_eq!(at(&block, "condition", 2, 5), (8, 9));
    let folded = block.replace('|', ">-");
    assert_eq!(at(&folded, "condition", 1, 25), (7, 5), "the beginning, where it cannot be followed");
    let macros = format!("{GOOD}  macros:\n  - name: m\n    condition: proc.name = x\n");
    assert_eq!(at(&macros, "macros[m]", 1, 1), (11, 16));
    assert_eq!(at(&macros, "tests[0].events", 1, 1), (6, 3), "a part that is not there: the spec");
}

#[test]
fn foreign_kinds_lists_and_exports() {
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {{name: x}}\n- {}",
        GOOD.trim_end().replace('\n', "\n  ")
    );
    let loaded = text(&format!(
        "{list}\n---\n- rule: a Falco file\n---\napiVersion: eyas.dev/v1alpha1\nkind: NodeAgent\nmetadata: {{name: n}}\n"
    ));
    assert_eq!(told(&loaded), Vec::<String>::new());
    assert_eq!((loaded.rules.len(), loaded.foreign), (1, 3));
    let export = GOOD.replace("name: good", "name: good\n  creationTimestamp: null\n  managedFields: [1]");
    assert_eq!(text(&export).rules.len(), 1);
}

#[test]
fn what_is_ours_but_unknown_nameless_or_twice_is_told() {
    let loaded = text(&format!(
        "{GOOD}---\n{GOOD}---\n{}---\n{}---\n{}",
        GOOD.replace("DetectionRule", "DetectionRul"),
        GOOD.replace("v1alpha1", "v1"),
        GOOD.replace("  name: good", "  labels: {}"),
    ));
    assert_eq!(loaded.rules.len(), 1);
    let told = told(&loaded);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].contains("already in f.yaml:1"), "{told:?}");
    assert!(told[1].contains("did you mean DetectionRule?"), "{told:?}");
    assert!(told[2].contains("eyas.dev/v1 is not known"), "{told:?}");
    assert!(told[3].contains("without metadata.name"), "{told:?}");
}

#[test]
fn a_folder_tree_is_read_in_order_without_hidden_and_other_files() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("b.yaml", &GOOD.replace("good", "b"));
    put("a/deep/er.yml", &GOOD.replace("good", "a"));
    put(".hidden.yaml", "[");
    put(".git/x.yaml", "[");
    put("notes.txt", "[");
    put("binary.yaml", "x");
    fs::write(dir.path().join("binary.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
    let loaded = load(&[dir.path()]);
    let names: Vec<_> = loaded.rules.iter().map(|r| r.object.metadata.name.clone().unwrap()).collect();
    assert_eq!(names, ["a", "b"]);
    let [problem] = loaded.problems.as_slice() else { panic!("{:?}", told(&loaded)) };
    assert!(problem.path.ends_with("binary.yaml") && problem.to_string().contains("UTF-8"), "{problem}");
    let missing = load(&[dir.path().join("no-such-folder")]);
    assert!(told(&missing)[0].contains("cannot be read"), "{:?}", told(&missing));
}

#[test]
fn aliases_that_multiply_are_bounded() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let before = i - 1;
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{before}"); 10].join(", ")));
    }
    let loaded = text(&bomb);
    assert_eq!(loaded.problems.len(), 1, "{:?}", told(&loaded));
}

#[test]
fn the_default_rules_are_sound() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/rules");
    let loaded = load(&[rules]);
    assert_eq!(told(&loaded), Vec::<String>::new());
    let wrong: Vec<_> = loaded.rules.iter().flat_map(|r| &r.problems).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!loaded.rules.is_empty());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 256, ..Default::default() })]

    /// Whatever is in a file, reading it ends, and every problem points into the file.
    #[test]
    fn any_text_is_read(lines in proptest::collection::vec(
        "(  )?(---|kind|metadata|spec|name|condition|tests|items)?:? ?[|>&*\\[{]?[a-z0-9:'\"ä/,{}\\[\\]#-]{0,12}", 0..12,
    ), broken_at in 0usize..400) {
        let garbage = text(&lines.join("\n"));
        proptest::prop_assert!(garbage.problems.iter().all(|p| p.at.line >= 1 && p.at.line <= lines.len() + 1));
        // A sound document with one character lost, and a sound one after it, which must be unharmed.
        let mut document = GOOD.to_owned();
        document.remove(broken_at % GOOD.len());
        let loaded = text(&format!("{document}\n---\n{}", GOOD.replace("good", "after")));
        proptest::prop_assert!(loaded.rules.iter().any(|r| r.object.metadata.name.as_deref() == Some("after")));
        for source in loaded.sources("eyas-system").rules {
            for problem in &source.meta.problems {
                proptest::prop_assert!(problem.text.is_char_boundary(problem.span.start as usize));
                proptest::prop_assert!(problem.text.is_char_boundary(problem.span.end as usize));
                proptest::prop_assert!(loaded.place(ObjectKind::Rule, &source.meta.id, problem).is_some());
            }
        }
    }
}
