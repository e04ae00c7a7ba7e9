//! Which classes may want an event, by what takes a look-up: side of the containers' border, path, name, remote end.
//!
//! Invariant: what is not known leaves all classes in; the tables are a superset of what the engine's `KernelFilters` admit
//! (agent/src/probe/tables.rs has the same look-ups in Rust, and tests them).
use crate::{
    emit::{Event, InForce},
    path,
    scratch::{self, Scratch},
    socket,
};
use agent_abi::{
    map::{
        END, GLANCES, Glance, HookFilter, LiteralKey, MAX_LITERALS, MAX_SIDES, OTHER_HIERARCHY, SIDE_HOST, TEXT,
        literal as kind,
    },
    record::{Ends, TRUNCATED},
};
use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::generated,
    macros::map,
    maps::{Array, HashMap, LpmTrie, PerCpuArray, lpm_trie::Key},
};

/// 2^64 over the golden ratio: of two numbers it makes the same one only if they are the same.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The key's rest: tag and text.
type Rest = [u8; size_of::<LiteralKey>() - 4];

/// Literals of the two slots, and the classes that each satisfies.
#[map]
static LITERALS_0: LpmTrie<Rest, u64> = LpmTrie::with_max_entries(MAX_LITERALS, 0);
#[map]
static LITERALS_1: LpmTrie<Rest, u64> = LpmTrie::with_max_entries(MAX_LITERALS, 0);
/// On which side the processes of a cgroup are, as far as user space has learned it.
#[map]
static SIDES: HashMap<u64, u64> = HashMap::with_max_entries(MAX_SIDES, BPF_F_NO_PREALLOC);
/// How often that has changed.
#[map]
static SIDES_CHANGES: Array<u64> = Array::with_max_entries(1, 0);
/// What this processor has last found there: cgroup and number of changes as one number, in whose lowest bit the side stands. One word,
/// so that a program that this one is interrupted by leaves it whole.
#[map]
static LAST_SIDE: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

const _: () = assert!(size_of::<Key<Rest>>() == size_of::<LiteralKey>());

/// By the side of the current task; looked up only where that can decide.
#[inline(always)]
pub fn by_side(event: &mut Event) {
    let tests = event.tests();
    if event.classes & !(tests.sides[0] & tests.sides[1]) == 0 {
        return;
    }
    let cgroup = event.cgroup;
    let Some(side) = side(cgroup) else { return };
    // Several hierarchies may say different things: the host's mounts have to agree, where they are known. Where not, user space
    // goes by the same cgroup alone (`Table::exec_container`).
    let host = setting!(host_mnt_ns);
    if side == SIDE_HOST && cgroup & OTHER_HIERARCHY != 0 && host != 0 && event.mount_namespace != host {
        return;
    }
    event.only(tests.sides[side as usize & 1]);
}

/// On which side a cgroup's processes are; looked up where the last one that was asked for here is another one, or may have changed.
#[inline(always)]
fn side(cgroup: u64) -> Option<u64> {
    let changes = *SIDES_CHANGES.get(0)?;
    // Read before the map is: what is noted with an older number is not found again.
    let key = (cgroup ^ changes.rotate_left(40)).wrapping_mul(SPREAD) & !1;
    let last = LAST_SIDE.get_ptr_mut(0)?;
    // SAFETY: a map value of this processor; volatile, so that it is read and written whole.
    let noted = unsafe { last.read_volatile() };
    if noted & !1 == key {
        return Some(noted & 1);
    }
    // SAFETY: the value is only read, and whole.
    let side = (unsafe { SIDES.get(cgroup) }).copied()?;
    // SAFETY: as above.
    unsafe { last.write_volatile(key | side & 1) };
    Some(side)
}

/// By how the path begins and ends, of an open whose climb is done: so most paths are never put together.
#[inline(always)]
pub fn at_a_glance(event: &mut Event, s: *mut Scratch) {
    let tests = event.tests();
    if event.classes & !tests.any_path == 0 || get!(s, flags) & TRUNCATED as u64 != 0 {
        return;
    }
    let mut classes = tests.any_path;
    let [fronts, ends] = event.force.filter.glanced;
    if event.classes & fronts != 0 {
        let Some((value, known)) = path::front(s) else { return };
        let mut found = glance(&event.force.filter.fronts, value, known);
        if found & event.classes != 0 && known != u64::MAX {
            let (value, known) = path::front_of_two(s, (value, known));
            found = glance(&event.force.filter.fronts, value, known);
        }
        classes |= found;
    }
    if event.classes & ends != 0 {
        let Some((value, known)) = path::end(s) else { return };
        classes |= glance(&event.force.filter.ends, value, known);
    }
    event.only(classes);
}

/// The classes of the glances that what is known of a value fits.
#[inline(always)]
fn glance(glances: &'static [Glance; GLANCES], value: u64, known: u64) -> u64 {
    let mut classes = 0;
    for glance in glances {
        if (value ^ glance.value) & glance.mask & known == 0 {
            classes |= glance.classes;
        }
    }
    classes
}

/// By the path that a walk has left in the scratch; one that was cut is not known.
#[inline(always)]
pub fn by_path(event: &mut Event, s: *mut Scratch, hook: u8) {
    let tests = event.tests();
    if event.classes & !tests.any_path == 0 || get!(s, flags) & TRUNCATED as u64 != 0 {
        return;
    }
    event.only(tests.any_path | literals(s, event.force, tests, hook));
}

#[inline(always)]
fn literals(s: *mut Scratch, force: InForce, tests: &HookFilter, hook: u8) -> u64 {
    let mut classes = 0;
    if tests.kinds >> kind::FRONT & 1 != 0 {
        if !scratch::front(s) {
            return u64::MAX;
        }
        classes |= find(s, force.slot, kind::tag(hook, kind::FRONT), TEXT);
    }
    if tests.kinds >> kind::END & 1 != 0 {
        scratch::end(s);
        classes |= find(s, force.slot, kind::tag(hook, kind::END), END);
    }
    classes
}

/// By a name: 16 bytes with at least one NUL at the end.
#[inline(always)]
pub fn by_name(event: &mut Event, s: *mut Scratch, hook: u8, name: [u64; 2]) {
    let tests = event.tests();
    if event.classes & !tests.any_name == 0 {
        return;
    }
    set!(s, key.text[0], name[0]);
    set!(s, key.text[1], name[1]);
    event.only(tests.any_name | find(s, event.force.slot, kind::tag(hook, kind::NAME), 16));
}

/// Whether the remote end can decide which classes want an event.
#[inline(always)]
pub fn can_remote_decide(event: &Event) -> bool {
    let tests = event.tests();
    event.classes & !(tests.any_port & tests.any_address) != 0
}

/// By the remote end of a connection, as the record tells it.
#[inline(always)]
pub fn by_remote(event: &mut Event, s: *mut Scratch, hook: u8, ends: *const Ends) {
    if !can_remote_decide(event) {
        return;
    }
    let tests = event.tests();
    // SAFETY: `ends` points into the scratch.
    let (family, port) = unsafe { ((*ends).family, (*ends).port) };
    if !socket::is_ip(family) {
        // It has neither.
        event.only(tests.any_port & tests.any_address);
        return;
    }
    // Both are looked up whichever is tested: fewer ways for the verifier.
    set!(s, key.text[0], port.to_be() as u64);
    let by_port = find(s, event.force.slot, kind::tag(hook, kind::PORT), 2);
    // SAFETY: as above; the address is aligned to 8 in each body, and the body to 8 in the scratch.
    let [first, second] = unsafe { (&raw const (*ends).addr).cast::<[u64; 2]>().read_volatile() };
    if socket::is_v4(family) {
        // IPv4 in IPv6 form: ten zeroes, two ones, the address.
        set!(s, key.text[0], 0);
        set!(s, key.text[1], u32::from_ne_bytes([0, 0, 0xff, 0xff]) as u64 | first << 32);
    } else {
        set!(s, key.text[0], first);
        set!(s, key.text[1], second);
    }
    let by_address = find(s, event.force.slot, kind::tag(hook, kind::ADDRESS), 16);
    event.only((tests.any_port | by_port) & (tests.any_address | by_address));
}

/// The classes that the text in the scratch's key satisfies: those of its longest literal.
#[inline(always)]
pub fn find(s: *mut Scratch, slot: u32, tag: u32, bytes: usize) -> u64 {
    set!(s, key.prefix_len, 32 + 8 * bytes as u32);
    set!(s, key.tag, tag);
    look_up(s, slot)
}

#[inline(never)]
fn look_up(s: *mut Scratch, slot: u32) -> u64 {
    let map = if slot == 0 { &raw const LITERALS_0 } else { &raw const LITERALS_1 };
    // SAFETY: the key lies in the scratch, whole; the value, when there is one, is a u64 that lives as long as the program runs.
    unsafe {
        let value = generated::bpf_map_lookup_elem(map.cast_mut().cast(), (&raw const (*s).key).cast()).cast::<u64>();
        if value.is_null() { 0 } else { value.read_volatile() }
    }
}
