//! The classes of a path that a call was given, as user space makes it absolute: the text behind its directory, where nothing in the
//! text has to be taken out (`agent_abi::plain`). Of other texts nothing is known.
//!
//! ```text
//! the record's text -> plain? -> the end of the directory and a slash in front of it -> its first and last bytes -> literals
//! ```
use crate::{
    classes::find,
    emit::Event,
    kernel::Ptr,
    other,
    scratch::{self, AS_USED, KERNEL, PATH_END, PATH_MASK, Scratch},
    used,
};
use agent_abi::{
    call::AS_IS,
    map::{END, TEXT, literal as kind},
    plain::{LOOKED_AT, Marks},
    record::TRUNCATED,
};
use aya_ebpf::helpers::generated;

/// Zeroes in front of everything, for the end of a short path.
const PAD: usize = END;
/// Where the text begins; in front of it the end of its directory, and a slash.
const BEGIN: usize = PAD + TEXT;
/// Behind the text there are as many zeroes as are compared.
pub const WHOLE: usize = (BEGIN + LOOKED_AT + TEXT) / 8;

/// One path.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Given {
    /// Where its text lies.
    text: Ptr,
    /// What it starts from: see `Recipe::dir`, and that argument.
    dir: u64,
    dirfd: u64,
}

/// Notes whether the paths to come can decide which classes want an event. In memory: so the verifier goes through what follows once.
#[inline(always)]
pub fn begin(event: &Event, s: *mut Scratch) {
    let tests = event.tests();
    let any = tests.any_path;
    set!(s, found, if event.classes & !any == 0 { ALL } else { any });
    set!(s, slot, event.force.slot);
    set!(s, hook, event.hook as u32);
    set!(s, kinds, tests.kinds);
    set!(s, next, 0);
}

/// All classes: then no path needs a look.
const ALL: u64 = u64::MAX;

/// Notes a path.
#[inline(always)]
pub fn tell(s: *mut Scratch, n: usize, text: Ptr, dir: u8, dirfd: u64) {
    // SAFETY: callers give 0 or 1.
    unsafe {
        (&raw mut (*s).given).cast::<Given>().add(n).write_volatile(Given { text, dir: dir as u64, dirfd });
    }
}

/// Of the n-th path what is in the record: bytes of it, and of its directory.
#[inline(always)]
pub fn lengths(s: *mut Scratch, n: usize) -> (u16, u16) {
    // SAFETY: as tell().
    let both = unsafe { (&raw const (*s).lengths).cast::<u64>().add(n).read_volatile() };
    (both as u16, (both >> 16) as u16)
}

/// Appends the next path, and adds the classes that it satisfies; not 0 at the end. The text is that of `scratch::AS_USED`.
#[inline(always)]
pub fn used(s: *mut Scratch) -> u64 {
    append(s, AS_USED)
}

/// The same of a text in the kernel.
#[inline(always)]
pub fn kernels(s: *mut Scratch) -> u64 {
    append(s, KERNEL)
}

#[inline(always)]
fn append(s: *mut Scratch, space: u8) -> u64 {
    let n = get!(s, next);
    set!(s, next, n + 1);
    // Paths and what is told of them move up by one, so that no number is an index.
    let told = get!(s, given[0]);
    set!(s, given[0], get!(s, given[1]));
    set!(s, lengths[0], get!(s, lengths[1]));
    set!(s, lengths[1], 0);
    if told.text.is_null() {
        if n == 0 {
            // It is about a descriptor instead.
            set!(s, found, ALL);
        }
        return u64::from(n != 0);
    }
    let text = match (space, n) {
        (AS_USED, 0) => used::first(s, told.text),
        (AS_USED, _) => used::second(s, told.text),
        _ => told.text,
    };
    let (len, base) = other::given(s, space, text, told.dir as u8, told.dirfd);
    set!(s, lengths[1], len as u64 | (base as u64) << 16);
    if get!(s, found) != ALL {
        // What is mounted, the second of its paths, may be a name, and stays that.
        let raw = n == 1 && told.dir as u8 == AS_IS;
        let found = look(s, len as u64, base as u64, raw);
        set!(s, found, get!(s, found) | found);
    }
    u64::from(n != 0)
}

/// The classes that a path satisfies which was just appended to the record: `len` bytes, then `base` bytes of its directory, as a walk
/// has left it. `raw`: a relative one without a directory is what it is.
#[inline(always)]
fn look(s: *mut Scratch, len: u64, base: u64, raw: bool) -> u64 {
    if len == 0 || len >= LOOKED_AT as u64 || get!(s, flags) & TRUNCATED as u64 != 0 {
        return ALL;
    }
    // So that the masks below stay: the compiler takes away those that it knows not to be needed, the verifier does not know.
    let len = scratch::forget(s, len);
    let (slot, hook, kinds) = (get!(s, slot), get!(s, hook) as u8, get!(s, kinds));
    let at = get!(s, len).wrapping_sub(len + base);
    // SAFETY: all below lies in the scratch: offsets are constants, or masked.
    let whole = unsafe { (&raw mut (*s).whole).cast::<u8>() };
    unsafe {
        // Where nothing can be read the helper writes zeroes: one instruction for the verifier in place of one for each word.
        generated::bpf_probe_read_kernel(whole.cast(), 8 * WHOLE as u32, core::ptr::null());
        let from = scratch::part(s, at);
        generated::bpf_probe_read_kernel(whole.add(BEGIN).cast(), len as u32 & (LOOKED_AT as u32 - 1), from.cast());
    }
    if !is_plain(s) {
        return ALL;
    }
    let mut front = BEGIN as u64;
    if unsafe { whole.add(BEGIN).read_volatile() } != b'/' {
        if base != 0 {
            let at = behind_directory(s, whole, base);
            front = scratch::forget(s, at);
        } else if !raw {
            return ALL;
        }
    }
    let mut found = 0;
    if kinds >> kind::FRONT & 1 != 0 {
        unsafe {
            let from = if base > TEXT as u64 {
                (&raw const (*s).path).cast::<u8>().add((get!(s, at) & PATH_MASK) as usize)
            } else {
                whole.add((front & 0x7f) as usize).cast_const()
            };
            generated::bpf_probe_read_kernel((&raw mut (*s).key.text).cast(), TEXT as u32, from.cast());
        }
        found |= find(s, slot, kind::tag(hook, kind::FRONT), TEXT);
    }
    if kinds >> kind::END & 1 != 0 {
        unsafe {
            let from = whole.add(BEGIN - END + (len as usize & (LOOKED_AT - 1)));
            generated::bpf_probe_read_kernel((&raw mut (*s).key.text).cast(), END as u32, from.cast());
        }
        let [a, b, c, d] = [get!(s, key.text[0]), get!(s, key.text[1]), get!(s, key.text[2]), get!(s, key.text[3])];
        set!(s, key.text[0], d.swap_bytes());
        set!(s, key.text[1], c.swap_bytes());
        set!(s, key.text[2], b.swap_bytes());
        set!(s, key.text[3], a.swap_bytes());
        found |= find(s, slot, kind::tag(hook, kind::END), END);
    }
    found
}

/// Whether nothing has to be taken out of the text.
#[inline(always)]
fn is_plain(s: *mut Scratch) -> bool {
    set!(s, added, 0);
    rounds!(s, LOOKED_AT as u32 / 8, word) && get!(s, added) != ODD
}

/// Instead of the number of words: one was not plain.
const ODD: u64 = u64::MAX;

/// The next word of the text; not 0 at its end, and at what is not plain.
#[inline(always)]
fn word(s: *mut Scratch) -> u64 {
    let n = get!(s, added);
    set!(s, added, n + 1);
    // SAFETY: masked; behind the text there is a further word.
    let [first, next] = unsafe {
        let words = (&raw const (*s).whole).cast::<u64>().add(BEGIN / 8 + (n as usize & (LOOKED_AT / 8 - 1)));
        [Marks::of(words.read_volatile()), Marks::of(words.add(1).read_volatile())]
    };
    if first.odd(next, n == 0) {
        set!(s, added, ODD);
        return 1;
    }
    u64::from(first.ends())
}

/// Puts the end of the directory that a walk has left, and a slash, in front of the text; where the whole begins, if that much of it
/// is here.
#[inline(always)]
fn behind_directory(s: *mut Scratch, whole: *mut u8, base: u64) -> u64 {
    // SAFETY: constants, inside of the scratch.
    unsafe {
        if base > 1 {
            let from = (&raw const (*s).path).cast::<u8>().add(PATH_END as usize - TEXT);
            generated::bpf_probe_read_kernel(whole.add(BEGIN - 1 - TEXT).cast(), TEXT as u32, from.cast());
        }
        whole.add(BEGIN - 1).write_volatile(b'/');
    }
    // The root has its slash already.
    if base > 1 { BEGIN as u64 - 1 - base } else { BEGIN as u64 - 1 }
}
