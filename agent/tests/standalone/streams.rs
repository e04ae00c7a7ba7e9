//! proc.stdin and its like, from a shell that somebody far away types into.
use super::agent::{Scene, rule};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::Command,
};

const OUTPUT: &str = "%evt.type %proc.stdin.type %proc.stdin.name %proc.stdout.type %proc.stdout.name %proc.stderr.type \
                      %proc.stderr.name %proc.name";

/// Ties its standard output to a connection, then reads a file.
const PROGRAM: &str = "use IO::Socket::INET; my $c = IO::Socket::INET->new(PeerAddr => q(127.0.0.1), PeerPort => $ARGV[0]) or die; \
    open STDOUT, q(>&), $c or die; open my $f, q(<), $ARGV[1] or die;";

#[test]
fn a_shell_on_a_connection_is_told_by_its_streams() {
    let Some(scene) = Scene::new("streams") else { return };
    let exec = format!(
        "evt.type = execve and proc.name = sh and proc.stdin.type = ipv4 and proc.args contains {}",
        scene.nonce
    );
    let open =
        format!("evt.type in (open, openat) and proc.stdout.type in (ipv4, ipv6) and fd.name endswith {}", scene.nonce);
    let output = format!("\"{OUTPUT}\"");
    scene.write("a.yaml", &rule("shell", "Remote shell", &exec, &output));
    scene.write("b.yaml", &rule("tied", "Tied later", &open, &output));
    // Without it nobody asks for dup2, which tells of the change.
    scene.write("c.yaml", &rule("dup", "Dup", "evt.type in (dup, dup2, dup3) and proc.name = nobody", "x"));
    let mut agent = scene.start(&[]);
    agent.ready();
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();

    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (mut near, _) = server.accept().unwrap();
    let ends = |s: &TcpStream| format!("{}->{}", s.local_addr().unwrap(), s.peer_addr().unwrap());
    let name = ends(&far);
    let stream = || OwnedFd::from(far.try_clone().unwrap());
    let mut shell = Command::new("sh")
        .args(["-c", "read line; echo \"$line\"", &scene.nonce])
        .stdin(stream())
        .stdout(stream())
        .stderr(std::fs::File::open("/dev/null").unwrap())
        .spawn()
        .unwrap();
    let fields = agent.next_alert().1["output_fields"].clone();
    near.write_all(b"obey\n").unwrap();
    let mut answer = [0; 5];
    near.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"obey\n");
    assert!(shell.wait().unwrap().success());
    for (field, value) in [
        ("proc.stdin.type", "ipv4"),
        ("proc.stdin.name", &name),
        ("proc.stdout.type", "ipv4"),
        ("proc.stdout.name", &name),
        ("proc.stderr.type", "file"),
        ("proc.stderr.name", "/dev/null"),
    ] {
        assert_eq!(fields[field], value, "{field} in {fields}");
    }

    let perl = Command::new("perl").args(["-e", PROGRAM, &port.to_string()]).arg(scene.file()).output().unwrap();
    assert!(perl.status.success(), "{}", String::from_utf8_lossy(&perl.stderr));
    let alert = agent.next_alert().1;
    assert_eq!(alert["rule"], "Tied later");
    let fields = &alert["output_fields"];
    assert_eq!((&fields["proc.name"], &fields["proc.stdout.type"]), (&"perl".into(), &"ipv4".into()), "{fields}");
    assert!(fields["proc.stdout.name"].as_str().unwrap().ends_with(&format!("->127.0.0.1:{port}")), "{fields}");
    assert_eq!(fields["proc.stdin.type"], "file", "{fields}");
}
