#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn small() -> Limits {
    Limits { max_bytes: 1 << 20, segment_bytes: 256, max_record: 1024, durable: false }
}

fn open(dir: &Path) -> (Queue, Recovery) {
    Queue::open(dir, small()).unwrap()
}

fn append(queue: &mut Queue, texts: &[&str]) {
    queue.append(1, texts.iter().map(|t| t.as_bytes())).unwrap();
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|r| String::from_utf8(r.payload.clone()).unwrap()).collect()
}

#[test]
fn reads_in_order_and_again_after_reopening_what_was_not_committed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut q, r) = open(dir.path());
    assert_eq!(r, Recovery::default());
    append(&mut q, &["a", "b", "c"]);
    assert_eq!(texts(&q.read(2).unwrap()), ["a", "b"]);
    q.commit(1, b"state").unwrap();
    assert_eq!(q.waiting(), 2);
    drop(q);
    let (mut q, r) = open(dir.path());
    assert_eq!(r, Recovery { waiting: 2, state: b"state".to_vec(), ..Recovery::default() });
    assert_eq!(texts(&q.read(9).unwrap()), ["b", "c"]);
    assert!(q.is_caught_up());
    append(&mut q, &["d"]);
    assert_eq!(texts(&q.read(9).unwrap()), ["d"]);
}

#[test]
fn numbers_go_on_after_all_segments_but_the_last_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut q, _) = open(dir.path());
    for i in 0..100 {
        append(&mut q, &[&format!("record {i}")]);
    }
    assert!(fs::read_dir(dir.path()).unwrap().count() > 5);
    q.read(100).unwrap();
    q.commit(100, b"").unwrap();
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().filter(|e| e.as_ref().unwrap().path().extension().is_some()).count(),
        1
    );
    drop(q);
    let (mut q, r) = open(dir.path());
    assert_eq!(r.waiting, 0);
    append(&mut q, &["next"]);
    assert_eq!(q.read(1).unwrap()[0].sequence, 100);
}

#[test]
fn full_refuses_whole_batches_and_takes_again_after_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (mut q, _) = Queue::open(dir.path(), Limits { max_bytes: 1000, segment_bytes: 4096, ..small() }).unwrap();
    let text = "x".repeat(100);
    let mut kept = 0;
    while q.append(1, [text.as_bytes()]).is_ok() {
        kept += 1;
    }
    assert_eq!(kept, 1000 / (100 + frame::HEADER as u64));
    assert!(matches!(q.append(1, [text.as_bytes()]), Err(QueueError::Full { .. })));
    let big = vec![b'x'; 1025];
    assert!(matches!(q.append(1, [big.as_slice()]), Err(QueueError::TooLong { size: 1025, max: 1024 })));
    assert_eq!(q.read(100).unwrap().len() as u64, kept);
    q.commit(kept, b"").unwrap();
    for _ in 0..3 {
        append(&mut q, &[&text]);
    }
    assert_eq!(q.read(100).unwrap().len(), 3);
}

#[test]
fn stamps_never_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut q, _) = open(dir.path());
    q.append(10, [b"a".as_slice()]).unwrap();
    q.append(5, [b"b".as_slice()]).unwrap();
    drop(q);
    let (mut q, _) = open(dir.path());
    q.append(7, [b"c".as_slice()]).unwrap();
    assert_eq!(q.read(9).unwrap().iter().map(|r| r.stamp).collect::<Vec<_>>(), [10, 10, 10]);
}

#[test]
fn a_second_process_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (_q, _) = open(dir.path());
    assert!(Queue::open(dir.path(), small()).unwrap_err().to_string().contains("--state"));
}

#[test]
fn damage_in_the_middle_loses_only_what_it_hit_and_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let (mut q, _) = Queue::open(dir.path(), Limits { segment_bytes: 4096, ..small() }).unwrap();
    append(&mut q, &["first", "second", "third"]);
    drop(q);
    let path = segment_path(dir.path(), 0);
    let mut bytes = fs::read(&path).unwrap();
    let at = frame::HEADER + 5 + 9;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (mut q, r) = open(dir.path());
    assert_eq!((r.lost, r.truncated_bytes), (1, 0));
    assert_eq!(texts(&q.read(9).unwrap()), ["first", "third"]);
    assert_eq!(q.lost(), 1);
}

#[test]
fn a_damaged_checkpoint_means_reading_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut q, _) = open(dir.path());
    append(&mut q, &["a", "b"]);
    q.commit(1, b"s").unwrap();
    drop(q);
    fs::write(dir.path().join("checkpoint"), b"nonsense").unwrap();
    let (mut q, r) = open(dir.path());
    assert!(r.checkpoint_damaged && r.state.is_empty() && r.lost == 0);
    assert_eq!(texts(&q.read(9).unwrap()), ["a", "b"]);
}

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<String>),
    Read(usize),
    Commit,
    Reopen,
    /// An append that a kill cuts after this share of its bytes.
    Torn(String, u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => proptest::collection::vec(".{0,60}", 0..4).prop_map(Op::Append),
        2 => (1usize..6).prop_map(Op::Read),
        2 => Just(Op::Commit),
        1 => Just(Op::Reopen),
        1 => (".{1,60}", any::<u8>()).prop_map(|(t, cut)| Op::Torn(t, cut)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Against a model: what was appended comes out once, in order, and again only what was not committed before a restart.
    #[test]
    fn behaves_like_a_list(ops in proptest::collection::vec(op(), 1..50)) {
        let dir = tempfile::tempdir().unwrap();
        let (mut q, _) = open(dir.path());
        let (mut all, mut read, mut done) = (Vec::<String>::new(), 0usize, 0usize);
        for op in ops {
            match op {
                Op::Append(items) => {
                    q.append(1, items.iter().map(String::as_bytes)).unwrap();
                    all.extend(items);
                }
                Op::Read(n) => {
                    let got = q.read(n).unwrap();
                    let end = all.len().min(read + n);
                    prop_assert_eq!(&texts(&got), &all[read..end]);
                    read = end;
                }
                Op::Commit => {
                    q.commit(read as u64, &read.to_le_bytes()).unwrap();
                    done = read;
                }
                Op::Reopen => {
                    drop(q);
                    let (again, r) = open(dir.path());
                    q = again;
                    read = done;
                    prop_assert_eq!((r.lost, r.truncated_bytes, r.waiting as usize), (0, 0, all.len() - done));
                }
                Op::Torn(text, cut) => {
                    let last = q.segments.back().unwrap().first;
                    let before: BTreeMap<u64, u64> = q.segments.iter().map(|s| (s.first, s.bytes)).collect();
                    q.append(1, [text.as_bytes()]).unwrap();
                    let now = q.segments.back().unwrap().first;
                    let kept = if now == last { before[&last] } else { 0 };
                    let path = segment_path(dir.path(), now);
                    drop(q);
                    let whole = fs::metadata(&path).unwrap().len() - kept;
                    // Never the whole frame: that would be an append that succeeded.
                    let torn = (whole * u64::from(cut) / 256).min(whole - 1);
                    OpenOptions::new().write(true).open(&path).unwrap().set_len(kept + torn).unwrap();
                    let (again, r) = open(dir.path());
                    q = again;
                    read = done;
                    prop_assert_eq!((r.lost, r.truncated_bytes, r.waiting as usize), (0, torn, all.len() - done));
                }
            }
            prop_assert_eq!(q.waiting() as usize, all.len() - done);
        }
        prop_assert_eq!(q.lost(), 0);
    }

    /// Whatever happens to the files: no panic, no wrong record, order kept, every missing one counted.
    #[test]
    fn damage_is_never_believed(
        damage in proptest::collection::vec((any::<u16>(), any::<u16>(), proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 1..6),
        committed in 0u64..30,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut q, _) = open(dir.path());
        for i in 0..30 {
            append(&mut q, &[&format!("record number {i} {}", "y".repeat(i))]);
        }
        q.commit(committed, b"state").unwrap();
        drop(q);
        let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for (which, at, bytes, truncate) in damage {
            let path = &files[which as usize % files.len()];
            let mut content = fs::read(path).unwrap();
            if truncate {
                content.truncate(at as usize % (content.len() + 1));
            } else if !content.is_empty() {
                let at = at as usize % content.len();
                let end = content.len().min(at + bytes.len());
                content.splice(at..end, bytes);
            }
            fs::write(path, content).unwrap();
        }
        let (mut q, r) = open(dir.path());
        let got = q.read(1000).unwrap();
        prop_assert!(q.is_caught_up());
        for w in got.windows(2) {
            prop_assert!(w[0].sequence < w[1].sequence);
        }
        for record in &got {
            let i = record.sequence as usize;
            let text = format!("record number {i} {}", "y".repeat(i));
            prop_assert_eq!(&record.payload, text.as_bytes());
        }
        prop_assert_eq!(q.lost(), r.lost);
        // And it still works.
        let next = q.append(1, [b"after".as_slice()]).unwrap();
        prop_assert_eq!(&q.read(9).unwrap()[0].payload, b"after");
        q.commit(next, b"").unwrap();
        prop_assert_eq!(q.waiting(), 0);
    }
}
