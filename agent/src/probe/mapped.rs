//! The ring's memory, mapped once.
//!
//! The layout is that of kernel/bpf/ringbuf.c: one page with the consumer's position, one with the producer's, then the data,
//! which the kernel offers twice in a row so that records never wrap. Mapping it once halves what it adds to our memory; a record
//! that wraps is put together in a buffer, which happens once a round.
//!
//! Invariants: positions only grow and are multiples of 8; bytes between consumer and producer belong to us; a record's length
//! is checked before it is used, since the mapping is the only thing that bounds our reads.
use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

/// BPF_RINGBUF_BUSY_BIT: reserved, not yet written.
const BUSY: u32 = 1 << 31;
/// BPF_RINGBUF_DISCARD_BIT: to be skipped.
const DISCARD: u32 = 1 << 30;
/// BPF_RINGBUF_HDR_SZ.
const HEADER: usize = 8;
/// Room is given back to the programs after so many bytes.
const GIVE_BACK: usize = 32 << 10;

/// The mapped ring.
pub(super) struct Mapped {
    consumer: Mapping,
    producer: Mapping,
    page: usize,
    size: usize,
    /// Up to here all is read; what the programs know of it is in the consumer's page.
    read: usize,
    given_back: usize,
    /// A record that wraps.
    joined: Vec<u8>,
}

impl Mapped {
    /// Maps the ring behind a descriptor, which holds `size` bytes.
    pub(super) fn new(fd: BorrowedFd<'_>, size: usize) -> io::Result<Self> {
        let page = rustix::param::page_size();
        let consumer = Mapping::new(fd, page, libc::PROT_READ | libc::PROT_WRITE, 0)?;
        let producer = Mapping::new(fd, page + size, libc::PROT_READ, page)?;
        let mut ring = Self { consumer, producer, page, size, read: 0, given_back: 0, joined: Vec::new() };
        ring.read = ring.consumer.position().load(Ordering::Acquire);
        ring.given_back = ring.read;
        Ok(ring)
    }

    /// Passes the next record on; false when there is none.
    pub(super) fn next(&mut self, each: impl FnOnce(&[u8])) -> bool {
        loop {
            if self.producer.position().load(Ordering::Acquire) == self.read {
                return false;
            }
            let at = self.read & (self.size - 1);
            let header = self.length(at).load(Ordering::Acquire);
            let len = (header & !(BUSY | DISCARD)) as usize;
            if header & BUSY != 0 || len + HEADER > self.size {
                return false;
            }
            if header & DISCARD == 0 {
                self.pass(at + HEADER, len, each);
                self.done(len);
                return true;
            }
            self.done(len);
        }
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.producer.position().load(Ordering::Acquire).wrapping_sub(self.read)
    }

    /// Gives the room of all that was read back to the programs.
    pub(super) fn give_back(&mut self) {
        if self.given_back != self.read {
            self.consumer.position().store(self.read, Ordering::Release);
            self.given_back = self.read;
        }
    }

    fn done(&mut self, len: usize) {
        self.read += (len + HEADER).next_multiple_of(8);
        if self.read - self.given_back >= GIVE_BACK {
            self.give_back();
        }
    }

    /// The length word of the record at `at`, which is a multiple of 8 below the size.
    fn length(&self, at: usize) -> &AtomicU32 {
        // SAFETY: inside of the data pages, aligned; the kernel writes it by xchg.
        unsafe { &*self.producer.start.as_ptr().add(self.page + at).cast() }
    }

    fn pass(&mut self, at: usize, len: usize, each: impl FnOnce(&[u8])) {
        let at = at & (self.size - 1);
        let before = len.min(self.size - at);
        // SAFETY: both slices lie in the data pages, whose bytes up to the producer's position are ours until given back: the
        // programs do not write them.
        let (first, second) = unsafe {
            let data = self.producer.start.as_ptr().add(self.page).cast_const();
            (std::slice::from_raw_parts(data.add(at), before), std::slice::from_raw_parts(data, len - before))
        };
        if second.is_empty() {
            return each(first);
        }
        self.joined.clear();
        self.joined.extend_from_slice(first);
        self.joined.extend_from_slice(second);
        each(&self.joined);
    }
}

/// A shared mapping.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}
// SAFETY: the memory is the kernel's and stays mapped as long as the value; access is by atomics or to bytes that are ours.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, len: usize, protection: libc::c_int, offset: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice; nothing of ours is touched.
        let start = unsafe {
            let offset = offset as libc::off_t;
            libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd.as_raw_fd(), offset)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast()).map(|start| Self { start, len }).ok_or_else(|| io::Error::other("mapped at zero"))
    }

    /// The position in the first word of both the consumer's and the producer's page.
    fn position(&self) -> &AtomicUsize {
        // SAFETY: mapped for at least a page, aligned to one; the kernel accesses it as unsigned long, atomically.
        unsafe { self.start.cast().as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by new() with this length, and no reference outlives self.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
