//! Alerts on stdout: one readable line each, or one JSON object a line in Falco's shape.
//!
//! A thread of its own writes, so that a terminal or pipe that does not read holds nobody up. What does not fit into its
//! queue is counted (`eyas_stdout_lost_total`) and told at the end.
use crate::{run::seams::AlertSink, status};
use anstyle::{AnsiColor, Style};
use engine::priority::Priority;
use router::{alert::Alert, format};
use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

/// How many alerts wait for a reader of stdout at the most. Repeats are folded before, so each is something new.
const QUEUE: usize = 4096;

/// How alerts are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One readable line, coloured by priority on a terminal.
    #[default]
    Text,
    /// One JSON object a line, in the shape that receivers made for Falco read; our own facts under the key `eyas`.
    Json,
}

/// Prints alerts.
pub struct Stdout {
    queue: Option<SyncSender<Arc<Alert>>>,
    status: status::Handle,
    thread: Option<JoinHandle<()>>,
}

impl Stdout {
    /// Starts the printing thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(format: Format, status: &status::Handle) -> io::Result<Self> {
        let (queue, alerts) = sync_channel(QUEUE);
        let counter = status.clone();
        let thread = std::thread::Builder::new()
            .name("stdout".into())
            .spawn(move || print(&alerts, anstream::stdout(), format, &counter))?;
        Ok(Self { queue: Some(queue), status: status.clone(), thread: Some(thread) })
    }
}

impl AlertSink for Stdout {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn submit(&self, alert: &Arc<Alert>) {
        let sent = self.queue.as_ref().map(|q| q.try_send(alert.clone()));
        if matches!(sent, Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_)))) {
            self.status.losses().stdout.fetch_add(alert.count, Ordering::Relaxed);
        }
    }
}

impl Drop for Stdout {
    /// Prints what waits, then ends.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes until the queue is closed, flushing whenever nothing waits.
fn print(alerts: &Receiver<Arc<Alert>>, mut out: impl Write, format: Format, status: &status::Handle) {
    let mut batch = Vec::new();
    while let Ok(first) = alerts.recv() {
        batch.clear();
        let mut count = 0;
        for alert in std::iter::once(first).chain(alerts.try_iter().take(QUEUE)) {
            line(&alert, format, &mut batch);
            count += alert.count;
        }
        // A pipe without a reader: go on counting, since reports and routes still want their alerts.
        if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
            status.losses().stdout.fetch_add(count, Ordering::Relaxed);
        }
    }
}

fn line(alert: &Alert, format: Format, to: &mut Vec<u8>) {
    match format {
        Format::Json => to.extend_from_slice(format::falco_line(alert).as_bytes()),
        Format::Text => {
            let style = style(alert.priority);
            // anstream takes the colours out again where stdout is no terminal.
            let line = format!("{style}{}{style:#} [{}]", format::text_line(alert), alert.rule);
            to.extend_from_slice(line.as_bytes());
        }
    }
    to.push(b'\n');
}

fn style(priority: Priority) -> Style {
    let color = match priority {
        Priority::Emergency | Priority::Alert | Priority::Critical => AnsiColor::BrightRed,
        Priority::Error => AnsiColor::Red,
        Priority::Warning => AnsiColor::Yellow,
        Priority::Notice => AnsiColor::Cyan,
        Priority::Informational | Priority::Debug => return Style::new(),
    };
    Style::new().fg_color(Some(color.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::Mutex;

    fn alert(output: &str) -> Arc<Alert> {
        Arc::new(Alert {
            id: uuid::Uuid::nil(),
            node: "n".into(),
            time: 0,
            rule: "A rule".into(),
            policy: engine::source::ObjectRef::default(),
            priority: Priority::Warning,
            tags: vec![],
            source: "syscall".into(),
            output: output.into(),
            output_fields: serde_json::Map::new(),
            fingerprint: "0".into(),
            count: 1,
            last_time: 0,
            revision: "r".into(),
            container: None,
            pod: None,
            metadata_missing: false,
        })
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_names_the_rule_and_json_is_one_object_a_line() {
        let print_all = |format| {
            let (tx, rx) = sync_channel(4);
            tx.send(alert("one")).unwrap();
            tx.send(alert("two\nlines")).unwrap();
            drop(tx);
            let out = Shared::default();
            print(&rx, out.clone(), format, &status::Handle::default());
            String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
        };
        let text = print_all(Format::Text);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("Warning one") && text.contains("[A rule]"), "{text}");
        for l in print_all(Format::Json).lines() {
            let v: serde_json::Value = serde_json::from_str(l).unwrap();
            assert_eq!(v["rule"], "A rule");
            assert_eq!(v["eyas"]["count"], 1);
        }
    }

    #[test]
    fn a_reader_that_is_gone_costs_a_count_and_nothing_else() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (tx, rx) = sync_channel(4);
        tx.send(alert("one")).unwrap();
        tx.send(alert("two")).unwrap();
        drop(tx);
        let status = status::Handle::default();
        print(&rx, Broken, Format::Json, &status);
        assert_eq!(status.losses().stdout.load(Ordering::Relaxed), 2);
    }
}
