//! Lines to stdout by a thread of its own: a reader that is slow holds nobody up and costs lines, which are counted.
use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Bytes that are handed over at once.
const BLOCK: usize = 64 << 10;
/// Blocks that wait at the most: with the one being filled and the one being written about 16 MiB.
const QUEUE: usize = 256;
/// How long a reader that does not read holds up the end.
const LAST: Duration = Duration::from_secs(1);

/// Whole lines.
#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
    lines: u64,
}

#[derive(Debug, Default)]
struct Shared {
    /// Lines.
    written: AtomicU64,
    gone: AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Printer {
    block: Block,
    /// Lines taken so far.
    taken: u64,
    queue: SyncSender<Block>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Printer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> io::Result<Self> {
        Self::to(io::stdout())
    }

    fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, blocks) = sync_channel(QUEUE);
        let shared = Arc::<Shared>::default();
        let told = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("stdout".into()).spawn(move || write(&blocks, out, &told))?;
        Ok(Self { block: Block::default(), taken: 0, queue, shared, thread })
    }

    /// Takes the line that `write` appends.
    pub fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.block.bytes);
        self.block.lines += 1;
        self.taken += 1;
        if self.block.bytes.len() >= BLOCK {
            self.flush();
        }
    }

    /// Hands over what there is. While the queue is full, lines wait until a block is full, and are lost then.
    pub fn flush(&mut self) {
        if self.block.lines == 0 {
            return;
        }
        match self.queue.try_send(std::mem::take(&mut self.block)) {
            Err(TrySendError::Full(block)) if block.bytes.len() < BLOCK => self.block = block,
            _ => {}
        }
    }

    /// Nobody reads stdout any more.
    pub fn is_gone(&self) -> bool {
        self.shared.gone.load(Relaxed)
    }

    /// Waits until all is written, or the reader has had its time; how many lines were not written.
    pub fn finish(mut self) -> u64 {
        let end = Instant::now() + LAST;
        while self.block.lines > 0 && !self.is_gone() && Instant::now() < end {
            self.flush();
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(self.queue);
        while !self.thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.taken - self.shared.written.load(Relaxed)
    }
}

fn write(blocks: &Receiver<Block>, mut out: impl Write, shared: &Shared) {
    for block in blocks {
        if out.write_all(&block.bytes).and_then(|()| out.flush()).is_err() {
            return shared.gone.store(true, Relaxed);
        }
        shared.written.fetch_add(block.lines, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::Mutex;

    /// Takes nothing while it is locked.
    #[derive(Clone, Default)]
    struct Slow(Arc<Mutex<Vec<u8>>>);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_reader_costs_whole_lines_and_they_are_counted() {
        let out = Slow::default();
        let mut printer = Printer::to(out.clone()).unwrap();
        let line = [b'x'; 1023];
        let held = out.0.lock().unwrap();
        let most = QUEUE as u64 * 64 * 2;
        for _ in 0..most {
            printer.line(|to| to.extend([&line[..], b"\n"].concat()));
            assert!(printer.block.bytes.len() <= BLOCK);
        }
        drop(held);
        let lost = printer.finish();
        let written = out.0.lock().unwrap().iter().filter(|b| **b == b'\n').count() as u64;
        assert!(lost > 0 && written > 0, "{lost} lost, {written} written");
        assert_eq!(lost + written, most);
    }

    #[test]
    fn a_reader_that_is_gone_is_noticed() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut printer = Printer::to(Broken).unwrap();
        printer.line(|to| to.push(b'\n'));
        printer.flush();
        while !printer.is_gone() {
            std::thread::yield_now();
        }
        assert_eq!(printer.finish(), 1);
    }
}
