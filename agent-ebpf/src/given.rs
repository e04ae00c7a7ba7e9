//! The classes of a path that a call was given, as user space makes it absolute: the text behind its directory, where nothing in the
//! text has to be taken out (`agent_abi::plain`). Of other texts nothing is known.
//!
//! ```text
//! the record's text -> plain? -> the end of the directory and a slash in front of it -> its first and last bytes -> literals
//! ```
use crate::{
    classes::find,
    emit::Event,
    scratch::{self, PATH_END, PATH_MASK, Scratch},
};
use agent_abi::{
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

/// Notes whether paths can decide which classes want an event. In memory: so the verifier goes through what follows once.
#[inline(always)]
pub fn begin(event: &Event, s: *mut Scratch) {
    let any = event.tests().any_path;
    set!(s, found, if event.classes & !any == 0 { u64::MAX } else { any });
}

/// Adds the classes that a path satisfies which was just appended to the record: `len` bytes, then `base` bytes of its directory, as
/// a walk has left it. `raw`: a relative one without a directory is what it is.
#[inline(always)]
pub fn add(event: &Event, s: *mut Scratch, len: u16, base: u16, raw: bool) {
    if get!(s, found) == u64::MAX {
        return;
    }
    let at = get!(s, len).wrapping_sub(len as u64 + base as u64);
    set!(s, given_at, at);
    set!(s, given_len, len as u64);
    set!(s, given_base, base as u64);
    set!(s, given_raw, u64::from(raw));
    let found = look(s, event.force.slot, event.hook as u32, event.tests().kinds);
    set!(s, found, get!(s, found) | found);
}

/// Only classes that test no path or that one of the paths satisfies.
#[inline(always)]
pub fn only(event: &mut Event, s: *mut Scratch) {
    event.only(get!(s, found));
}

/// A function of its own: both paths of a call come by here.
#[inline(never)]
fn look(s: *mut Scratch, slot: u32, hook: u32, kinds: u64) -> u64 {
    let (len, base) = (get!(s, given_len), get!(s, given_base));
    if len == 0 || len >= LOOKED_AT as u64 || get!(s, flags) & TRUNCATED as u64 != 0 {
        return u64::MAX;
    }
    // SAFETY: all below lies in the scratch: offsets are constants, or masked.
    let whole = unsafe { (&raw mut (*s).whole).cast::<u8>() };
    unsafe {
        // Where nothing can be read the helper writes zeroes: one instruction for the verifier in place of one for each word.
        generated::bpf_probe_read_kernel(whole.cast(), 8 * WHOLE as u32, core::ptr::null());
        let from = scratch::part(s, get!(s, given_at));
        generated::bpf_probe_read_kernel(whole.add(BEGIN).cast(), len as u32 & (LOOKED_AT as u32 - 1), from.cast());
    }
    if !is_plain(s) {
        return u64::MAX;
    }
    let mut front = BEGIN as u64;
    if unsafe { whole.add(BEGIN).read_volatile() } != b'/' {
        if base != 0 {
            front = behind_directory(s, whole, base);
        } else if get!(s, given_raw) == 0 {
            return u64::MAX;
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
        found |= find(s, slot, kind::tag(hook as u8, kind::FRONT), TEXT);
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
        found |= find(s, slot, kind::tag(hook as u8, kind::END), END);
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
