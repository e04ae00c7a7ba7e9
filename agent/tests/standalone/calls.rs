//! What rules and outputs see of calls, from a real program through the real agent.
use super::agent::{PATIENCE, Scene, rule};
use serde_json::Value;
use std::{collections::BTreeMap, process::Command, time::Instant};

const OUTPUT: &str = "%evt.type %fd.name %fd.sip %fd.sport %fd.is_server %fd.l4proto %fd.connected %fd.name_changed \
                      %fs.path.source %fs.path.target %evt.arg.oldpath %evt.arg.linkpath %evt.arg.uid %evt.res %evt.category";

/// Serves itself over TCP, sends itself a datagram, links, fails to load a module, becomes who it is. Tells both ports.
const PROGRAM: &str = "use IO::Socket::INET; \
    my $l = IO::Socket::INET->new(Listen => 1, LocalAddr => q(127.0.0.1)) or die; \
    my $c = IO::Socket::INET->new(PeerAddr => q(127.0.0.1), PeerPort => $l->sockport) or die; \
    my $a = $l->accept or die; \
    my $u = IO::Socket::INET->new(Proto => q(udp), LocalAddr => q(127.0.0.1)) or die; \
    my $v = IO::Socket::INET->new(Proto => q(udp), LocalAddr => q(127.0.0.1)) or die; \
    send($u, q(x), 0, pack_sockaddr_in($v->sockport, inet_aton(q(127.0.0.1)))) or die; \
    link q(a), q(b) or die; symlink q(../x), q(c) or die; \
    syscall(175, 0, 0, my $p = q()); syscall(105, 0); \
    print join q( ), $l->sockport, $c->sockport, $u->sockport, $v->sockport;";

#[test]
fn fields_of_calls_reach_the_output() {
    let Some(scene) = Scene::new("calls") else { return };
    let name = format!("eyas{}", std::process::id());
    let condition = format!(
        "proc.name = {name} and evt.type in (bind, listen, accept, accept4, sendto, link, linkat, symlink, symlinkat, init_module, setuid)"
    );
    scene.write("a.yaml", &rule("calls", "Calls", &condition, &format!("\"{OUTPUT}\"")));
    let mut agent = scene.start(&[]);
    agent.ready();
    let dir = scene.dir.path().canonicalize().unwrap();
    std::fs::write(dir.join("a"), "x").unwrap();
    let perl = String::from_utf8(Command::new("sh").args(["-c", "command -v perl"]).output().unwrap().stdout).unwrap();
    std::os::unix::fs::symlink(perl.trim(), dir.join(&name)).unwrap();
    let done = Command::new(dir.join(&name)).args(["-e", PROGRAM]).current_dir(&dir).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let ports = String::from_utf8(done.stdout).unwrap();
    let ports: Vec<u64> = ports.split(' ').map(|p| p.parse().unwrap()).collect();
    let [server, client, from, to] = ports[..] else { panic!("{ports:?}") };

    let wanted = ["bind", "listen", "accept", "sendto", "link", "symlink", "init_module", "setuid"];
    let mut seen: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let end = Instant::now() + PATIENCE;
    while seen.len() < wanted.len() {
        let left = end.saturating_duration_since(Instant::now());
        let (_, alert) = agent.alerts.recv_timeout(left).unwrap_or_else(|_| panic!("only {seen:#?}"));
        let fields = alert["output_fields"].clone();
        let of = |w: &&&str| {
            fields["evt.type"].as_str().is_some_and(|t| t.trim_end_matches('4').trim_end_matches("at") == **w)
        };
        let key = wanted.iter().find(of).unwrap_or_else(|| panic!("{alert}"));
        seen.entry(key).or_default().push(fields);
    }
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let check = |call: &str, expected: &[(&str, Value)]| {
        let is = |fields: &Value| expected.iter().all(|(field, value)| fields[field] == *value);
        assert!(seen[call].iter().any(is), "{call}: {expected:?} is in none of {:#?}", seen[call]);
    };
    let served = ("fd.sport", Value::from(server));
    let own = ("fd.name", Value::from(format!("127.0.0.1:{server}")));
    let (yes, no) = (Value::from(true), Value::from(false));
    check("listen", &[served.clone(), own, ("fd.is_server", yes.clone()), ("fd.l4proto", "tcp".into())]);
    let connection = format!("127.0.0.1:{client}->127.0.0.1:{server}");
    check(
        "accept",
        &[served, ("fd.name", connection.into()), ("fd.is_server", yes.clone()), ("fd.connected", yes.clone())],
    );
    check("bind", &[("fd.name_changed", yes.clone()), ("fd.is_server", yes.clone()), ("evt.res", "SUCCESS".into())]);
    let datagram = format!("127.0.0.1:{from}->127.0.0.1:{to}");
    check(
        "sendto",
        &[("fd.name", datagram.into()), ("fd.l4proto", "udp".into()), ("fd.connected", no), ("fd.name_changed", yes)],
    );
    check(
        "link",
        &[
            ("fs.path.source", path("b").into()),
            ("fs.path.target", path("a").into()),
            ("evt.arg.oldpath", path("a").into()),
        ],
    );
    let outside = dir.parent().unwrap().join("x").to_str().unwrap().to_owned();
    check("symlink", &[("fs.path.target", outside.into()), ("evt.arg.linkpath", path("c").into())]);
    check("setuid", &[("evt.arg.uid", "0".into()), ("evt.category", "user".into())]);
    assert_ne!(seen["init_module"][0]["evt.res"], "SUCCESS");
}
