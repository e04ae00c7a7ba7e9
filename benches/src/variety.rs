//! Many rules with the variety that people write: not one easily indexed shape.
//!
//! Of each hundred, in turns: paths by prefix, by list, by glob, by end and by `contains`; process names, command lines by
//! `contains`, `icontains` and regular expression; ancestors; addresses, ports and networks; a few that name nothing but flags.
//! All share macros with `or` and `not` in them.
use engine::{
    compile::{Compiled, compile},
    priority::Priority,
    source::{Definitions, LibrarySource, Meta, ObjectRef, RuleSource, RuleState, Sources},
};

/// Identity of an object that is made here.
#[must_use]
pub fn meta(name: &str) -> Meta {
    Meta { id: ObjectRef { namespace: "eyas-system".into(), name: name.into() }, ..Meta::default() }
}

/// A rule of which only the condition matters.
#[must_use]
pub fn rule(name: &str, condition: String) -> RuleSource {
    RuleSource {
        meta: meta(name),
        title: name.to_owned(),
        description: String::new(),
        condition,
        output: "x".to_owned(),
        priority: Priority::Notice,
        tags: Vec::new(),
        state: RuleState::Active,
        definitions: Definitions::default(),
        exceptions: Vec::new(),
        tenant_exceptions: None,
        tests: Vec::new(),
    }
}

fn definitions() -> Definitions {
    let macros = [
        (
            "v_read",
            "(evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.typechar = f and fd.num >= 0)",
        ),
        ("v_write", "(evt.type in (open, openat, openat2, creat) and evt.is_open_write = true and fd.num >= 0)"),
        ("v_exec", "evt.type in (execve, execveat)"),
        ("v_out", "(evt.type = connect and fd.typechar in (4, 6))"),
        ("v_container", "container.id != host"),
        ("v_tools", "(proc.name in (v_installers) or proc.pname in (v_installers) or proc.aname in (v_installers))"),
        ("v_known", "(v_tools or (proc.pname = ansible and proc.cmdline startswith \"python3 /root/.ansible\"))"),
    ];
    let lists = [("v_installers", "apt apt-get dpkg rpm yum dnf apk pip npm cargo")];
    Definitions {
        macros: macros.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        lists: lists
            .iter()
            .map(|(name, items)| ((*name).to_owned(), items.split(' ').map(str::to_owned).collect()))
            .collect(),
    }
}

/// The condition of the n-th rule.
fn condition(n: usize) -> String {
    let (high, low) = (n / 250, n % 250);
    match n % 20 {
        0 => format!("v_write and fd.name startswith /srv/app-{n}/ and not v_known"),
        1 => format!("v_read and fd.name in (/etc/app-{n}/key.pem, /run/secrets/app-{n}/token) and not v_tools"),
        2 => format!("v_read and fd.name glob \"/home/*/.config/app-{n}/*\" and not proc.name = app-{n}"),
        3 => format!("v_write and fd.name endswith /hooks-{n}.conf and v_container"),
        4 => format!("v_read and v_container and fd.name contains \"/wallet-{n}/\" and not v_known"),
        5 => format!("v_read and (fd.directory = /var/lib/vault-{n} or fd.name startswith /var/backups/vault-{n})"),
        6 => format!("v_exec and v_container and proc.name in (tool-{n}, tool-{n}.bin) and not v_tools"),
        7 => format!("v_exec and proc.cmdline contains \"--exploit-{n}\" and not v_tools"),
        8 => format!("v_exec and proc.cmdline icontains \"Invoke-Payload-{n}\""),
        9 => format!("v_exec and proc.cmdline regex \".*(curl|wget) .*stage-{n}[.]sh.*\""),
        10 => format!("v_exec and proc.aname in (daemon-{n}, worker-{n}) and proc.name in (sh, bash, zsh)"),
        11 => format!("v_exec and proc.pname = svc-{n} and not proc.name in (svc-{n}, helper-{n})"),
        12 => format!("v_exec and proc.exepath startswith /tmp/.x{n}/ and not v_known"),
        13 => format!("v_out and fd.sip in (198.51.{high}.{low}, 203.0.{high}.{low}) and v_container"),
        14 => format!("v_out and fd.sport = {} and not proc.name = app-{n}", 20_000 + n),
        15 => format!("v_out and fd.snet in (\"172.{}.{low}.0/24\", \"100.{}.0.0/16\")", 16 + high, 64 + low % 60),
        16 => format!("v_out and proc.name = miner-{n} or v_out and proc.pname = miner-{n}"),
        17 => format!("v_write and (proc.name = ed-{n} or (proc.pname = ed-{n} and fd.name startswith /etc/))"),
        18 => format!("v_container and k8s.ns.name = tenant-{n} and (v_exec or v_write) and user.uid = 0"),
        _ if n.is_multiple_of(100) || n % 100 == 19 => {
            "v_exec and v_container and proc.tty != 0 and not v_known".to_owned()
        }
        _ => format!("v_exec and proc.exepath glob \"*/bin/agent-{n}-*\" and not proc.pname in (systemd, cron)"),
    }
}

/// So many rules.
#[must_use]
pub fn rules(number: usize) -> Sources {
    Sources {
        system_namespace: "eyas-system".to_owned(),
        rules: (0..number).map(|n| rule(&format!("v{n}"), condition(n))).collect(),
        libraries: vec![LibrarySource { meta: meta("variety"), definitions: definitions() }],
        ..Sources::default()
    }
}

/// One rule whose list has so many addresses, or so many blocks.
#[must_use]
pub fn addresses(number: u32, blocks: bool) -> Sources {
    // Spread over the address space by a multiplier without a common factor; none is private.
    let address = |n: u32| std::net::Ipv4Addr::from(0x2000_0000 + n.wrapping_mul(40_503) % 0x4000_0000);
    let items = (0..number).map(|n| match blocks {
        true => format!("{}/{}", std::net::Ipv4Addr::from(address(n).to_bits() & !0xff), 24 + n % 9),
        false => address(n).to_string(),
    });
    let lists = vec![("feed".to_owned(), items.collect())];
    let field = if blocks { "fd.snet" } else { "fd.sip" };
    Sources {
        system_namespace: "eyas-system".to_owned(),
        rules: vec![rule("feed", format!("evt.type = connect and {field} in (feed)"))],
        libraries: vec![LibrarySource { meta: meta("feed"), definitions: Definitions { macros: Vec::new(), lists } }],
        ..Sources::default()
    }
}

/// Compiles rules all of which must compile.
///
/// # Errors
/// One does not: its first problem.
pub fn compiled(sources: &Sources) -> anyhow::Result<Compiled> {
    let compiled = compile(sources, None);
    if let Some(bad) = compiled.outcomes.iter().find(|outcome| !outcome.accepted) {
        anyhow::bail!(
            "{}: {}",
            bad.id,
            bad.diagnostics.first().map(engine::diagnostic::Diagnostic::one_line).unwrap_or_default()
        );
    }
    Ok(compiled)
}
