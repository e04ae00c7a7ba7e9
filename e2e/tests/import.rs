//! Falco rules files: imported by the command, applied by kubectl, accepted by the operator, and matching in a pod.
use anyhow::{Context, Result, ensure};
use crds::DetectionRule;
use e2e::{Case, case, gate, limit, until, until::Seen};
use kube::{Api, ResourceExt, api::ListParams};
use std::{fs, path::Path, process::Command};

/// What somebody brings along.
const RULES: &str = "\
- list: watched
  items: [/tmp/none]
- macro: opened
  condition: evt.type in (open, openat, openat2) and evt.is_open_read=true and fd.num>=0
- rule: Watched File Read
  desc: read
  condition: opened and fd.name in (watched)
  output: read %fd.name
  priority: WARNING
- rule: Traced
  desc: traced
  condition: evt.type = sysinfo and proc.name != gdb
  output: traced
  priority: NOTICE
";

/// `kubectl eyas import FILES -o DIR`; what it said.
fn import(files: &[&Path], namespace: &str, into: &Path) -> Result<String> {
    let mut command = Command::new(gate::release().join("kubectl-eyas"));
    let output = command
        .arg("import")
        .args(files)
        .args(["--namespace", namespace, "-o"])
        .arg(into)
        .output()
        .context("import")?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "import failed:\n{said}");
    Ok(said)
}

/// The rules of a namespace, once the operator has judged each.
async fn judged(t: &Case, namespace: &str, number: usize) -> Result<Vec<DetectionRule>> {
    let rules: Api<DetectionRule> = Api::namespaced(t.client.clone(), namespace);
    let (all, _) = until("every rule is judged", limit(20.0), async || {
        let all = rules.list(&ListParams::default()).await?.items;
        let waiting = all.iter().filter(|r| r.status.as_ref().is_none_or(|s| s.conditions.is_empty())).count();
        Ok(Seen::when(all.len() == number && waiting == 0, all, format!("{waiting} wait")))
    })
    .await?;
    Ok(all)
}

fn condition<'r>(rule: &'r DetectionRule, name: &str) -> Option<&'r crds::Condition> {
    rule.status.as_ref()?.conditions.iter().find(|c| c.type_ == name)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_falco_rule_matches_in_a_pod() -> Result<()> {
    case("import", async |t| {
        let dir = tempfile::TempDir::new()?;
        let (rules, local) = (dir.path().join("rules.yaml"), dir.path().join("local.yaml"));
        let file = format!("/tmp/{}", t.nonce);
        fs::write(&rules, RULES)?;
        fs::write(&local, format!("- list: watched\n  items: [{file}]\n  override: {{items: append}}\n"))?;
        let into = dir.path().join("objects");
        println!("{}", import(&[&rules, &local], &t.namespace, &into)?);
        t.kubectl(&["apply", "-k", &into.display().to_string()]).await?;
        t.condition((&t.namespace, "watched-file-read"), ("Ready", "True"), 10.0).await?;
        // No hook supplies sysinfo: accepted, never armed, and it says so.
        let (traced, _) = t.condition((&t.namespace, "traced"), ("Accepted", "True"), 10.0).await?;
        let armed = condition(&traced, "Armed").context("Armed")?;
        ensure!(armed.status == "False" && !armed.message.is_empty(), "{armed:?}");
        println!("traced: {}: {}", armed.reason, armed.message);
        let pod = t.pod("main").await?;
        pod.sh(&format!(": > {file}; cat {file}")).await?;
        t.until_reported("watched-file-read", 1, 6.0).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_ruleset_is_applied_and_no_rule_is_refused() -> Result<()> {
    let shared = std::env::var_os("EYAS_SHARED").map_or_else(|| gate::root().join("../shared"), Into::into);
    let published = shared.join("falco/falco_rules.yaml");
    if !published.exists() {
        gate::skipped("published", &format!("{} is not here", published.display()));
        return Ok(());
    }
    case("published", async |t| {
        let dir = tempfile::TempDir::new()?;
        println!("{}", import(&[&published], &t.namespace, dir.path())?);
        t.kubectl(&["apply", "-k", &dir.path().display().to_string()]).await?;
        let all = judged(t, &t.namespace, 25).await?;
        t.settled().await?;
        let (mut armed, mut said) = (0, Vec::new());
        for rule in judged(t, &t.namespace, all.len()).await? {
            let accepted = condition(&rule, "Accepted").context("Accepted")?;
            ensure!(accepted.status == "True", "{}: {}", rule.name_any(), accepted.message);
            match condition(&rule, "Armed").context("Armed")? {
                is if is.status == "True" => armed += 1,
                not => said.push(format!("{}: {}: {}", rule.name_any(), not.reason, not.message)),
            }
        }
        println!("{armed} of {} armed; the others say why:\n{}", all.len(), said.join("\n"));
        ensure!(armed > 0 && said.iter().all(|why| why.contains("no hook") || why.contains("supplies")), "{said:#?}");
        Ok(())
    })
    .await
}
