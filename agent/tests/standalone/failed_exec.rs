//! A program that could not be started, from a real process to the alert.
use super::agent::{Scene, rule};
use std::process::Command;

#[test]
fn a_program_that_cannot_be_started_is_told() {
    let Some(scene) = Scene::new("failed") else { return };
    let program = scene.dir.path().join("not-there").display().to_string();
    let condition = format!("evt.type = execve and evt.failed = true and evt.arg.filename = {program}");
    let output = "\"%evt.res %evt.rawres %evt.arg.exe %evt.arg.args %proc.name %evt.type\"";
    scene.write("a.yaml", &rule("failed", "Failed", &condition, output));
    let mut agent = scene.start(&[]);
    agent.ready();
    // dash forks, the child tries.
    let script = format!("{program} one 'two three'; true");
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let (_, alert) = agent.next_alert();
    let fields = &alert["output_fields"];
    assert_eq!((&fields["evt.res"], &fields["evt.rawres"]), (&"ENOENT".into(), &(-libc::ENOENT).into()));
    assert_eq!((&fields["evt.arg.exe"], &fields["evt.arg.args"]), (&program.into(), &"one two three".into()));
    // The caller is what it was.
    assert_eq!((&fields["proc.name"], &fields["evt.type"]), (&"sh".into(), &"execve".into()));
}
