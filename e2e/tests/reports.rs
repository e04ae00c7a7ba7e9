//! What a pod does is in its PolicyReport: at once, grouped, with few writes.
use anyhow::{Context, Result, ensure};
use crds::SYSTEM_NAMESPACE;
use e2e::{case, case::count, limit, until, until::Seen};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn an_exec_in_a_pod_is_in_the_pods_report_within_a_second() -> Result<()> {
    case("exec", async |t| {
        let name = format!("exec-{}", t.nonce);
        let condition = format!(
            "evt.type in (execve, execveat) and proc.args contains {} and k8s.ns.name = {}",
            t.nonce, t.namespace
        );
        // kubectl itself, on this machine, has the nonce among its arguments too: hence the namespace.
        t.armed_rule(&name, &condition, "Warning").await?;
        let mut times = Vec::new();
        for i in 0..5 {
            let pod = t.pod(&format!("main-{i}")).await?;
            pod.exec(&["echo", &t.nonce]).await?;
            let done = Instant::now();
            let (found, _) = until("the result", limit(5.0), async || {
                let results = t.results(&t.namespace, &name).await?;
                let own = results
                    .into_iter()
                    .find(|(r, _)| r.spec.scope.as_ref().is_some_and(|s| s.uid.as_ref() == Some(&pod.uid)));
                Ok(own.map_or_else(|| Seen::No("none".to_owned()), Seen::Yes))
            })
            .await?;
            times.push(done.elapsed());
            let (report, result) = found;
            let scope = report.spec.scope.context("scope")?;
            ensure!(scope.kind.as_deref() == Some("Pod") && scope.name.as_deref() == Some(&pod.name), "{scope:?}");
            ensure!(report.metadata.labels.as_ref().is_some_and(|l| l.contains_key("eyas.dev/node")));
            ensure!(
                result.result.as_deref() == Some("warn") && result.severity.as_deref() == Some("medium"),
                "{result:?}"
            );
            ensure!(count(&result) == 1 && result.properties.contains_key("resultID"), "{result:?}");
            ensure!(result.message.as_deref().is_some_and(|m| m.contains(&t.nonce)), "{result:?}");
            ensure!(report.spec.summary.is_some_and(|s| s.warn == 1));
        }
        times.sort();
        println!("from the end of kubectl exec to the report: median {:?}, longest {:?}", times[2], times[4]);
        ensure!(times[2] < limit(1.0), "the median of {times:?} is over a second");
        let table = t.kubectl(&["get", "policyreports", "-n", &t.namespace]).await?;
        ensure!(table.contains("Pod") && table.contains("main-0"), "{table}");
        t.until_matches((SYSTEM_NAMESPACE, &name), 5, 35.0).await?;
        let row = t.rule(SYSTEM_NAMESPACE, &name).await?.status.context("status")?.matches.context("matches")?;
        ensure!(row.first_seen.is_some() && row.last_seen.is_some(), "{row:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_times_the_same_is_one_result_and_few_writes() -> Result<()> {
    case("thousand", async |t| {
        let (name, file) = (format!("thousand-{}", t.nonce), format!("/tmp/{}", t.nonce));
        t.armed_rule(
            &name,
            &format!("evt.type in (open, openat) and evt.is_open_read = true and fd.name = {file}"),
            "Error",
        )
        .await?;
        let pod = t.pod("main").await?;
        pod.sh(&format!(": > {file}")).await?;
        let before = t.writes("policyreports").await?;
        let start = Instant::now();
        // Over some seconds, so that a writer without bounds would show.
        let script = format!(
            "for i in 0 1 2 3 4 5 6 7 8 9; do j=0; while [ $j -lt 100 ]; do : < {file}; j=$((j+1)); done; sleep 1; done"
        );
        pod.sh(&script).await?;
        t.until_reported(&name, 1000, 10.0).await?;
        let took = start.elapsed();
        let results = t.results(&t.namespace, &name).await?;
        ensure!(results.len() == 1, "{} results instead of one", results.len());
        ensure!(results[0].1.result.as_deref() == Some("fail"));
        let writes = t.writes("policyreports").await? - before;
        // The first at once, then one per 5 s; other pods' reports (kubectl exec is seen by default rules) share this bound.
        let bound = 2 * (2 + took.as_secs() / 5);
        println!("1,000 matches in {took:?}: one result, {writes} writes of reports");
        ensure!(writes <= bound, "{writes} writes in {took:?}; at most {bound} are due");
        t.until_matches((SYSTEM_NAMESPACE, &name), 1000, 35.0).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_edited_under_load_in_a_pod_loses_nothing() -> Result<()> {
    case("edit", async |t| {
        let (name, file) = (format!("edit-{}", t.nonce), format!("/tmp/{}", t.nonce));
        let condition = format!("evt.type in (open, openat) and evt.is_open_read = true and fd.name = {file}");
        t.armed_rule(&name, &condition, "Warning").await?;
        let pod = t.pod("main").await?;
        pod.sh(&format!(": > {file}")).await?;
        let number = 40_000;
        let opening = pod.open(&file, number, "0.1");
        let editing = async {
            for edit in 1..=5 {
                tokio::time::sleep(limit(0.6)).await;
                t.apply_rule(&name, &format!("({condition}) or (evt.type = connect and fd.sport = {edit})"), "Warning")
                    .await?;
            }
            t.condition((SYSTEM_NAMESPACE, &name), ("Ready", "True"), 10.0).await?;
            anyhow::Ok(())
        };
        let (opened, edited) = tokio::join!(opening, editing);
        opened?;
        edited?;
        let took = t.until_reported(&name, u64::from(number), 15.0).await?;
        println!("{number} opens over 5 edits, all reported {took:?} later");
        t.until_matches((SYSTEM_NAMESPACE, &name), i64::from(number), 65.0).await?;
        Ok(())
    })
    .await
}
