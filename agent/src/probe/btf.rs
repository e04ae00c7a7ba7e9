//! A reader of the kernel's own type information (BTF): only what offsets need, so that it is quick.
//!
//! The format is that of include/uapi/linux/btf.h: a header, then type records of varying length, then strings. Every access
//! is checked: damaged data yields an error or "not found", never a panic.
use std::collections::HashMap;

const MAGIC: u32 = 0xeb9f;
const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;
/// Names, kinds and sizes stand in front of what a kind adds.
const COMMON: usize = 12;
/// Anonymous structures and typedefs nest; the kernel's own do not go deeper than a handful.
const MAX_DEPTH: u32 = 16;
/// Most members looked at for one; the kernel's largest structures have some hundreds. Structures that hold themselves, which only
/// damaged data has, would else be searched for ever.
const MAX_MEMBERS: u32 = 100_000;

/// Parsed type information.
pub(super) struct Btf {
    data: Vec<u8>,
    strings: usize,
    /// Where each type begins, by id.
    types: Vec<u32>,
    /// Structures and enums by name.
    by_name: HashMap<Box<[u8]>, u32>,
}

/// Where a problem was found.
#[derive(Debug, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(super) struct Damaged {
    what: &'static str,
    at: usize,
}

impl Btf {
    /// Indexes the types.
    pub(super) fn parse(data: Vec<u8>) -> Result<Self, Damaged> {
        let header = |at| word(&data, at).ok_or(Damaged { what: "short header", at });
        if header(0)? & 0xffff != MAGIC {
            return Err(Damaged { what: "no BTF magic", at: 0 });
        }
        let start = header(4)? as usize;
        let begin = start.saturating_add(header(8)? as usize);
        let end = begin.saturating_add(header(12)? as usize);
        let strings = start.saturating_add(header(16)? as usize);
        // Id 0 is void.
        let mut btf = Self { data, strings, types: vec![0], by_name: HashMap::new() };
        let mut at = begin;
        while at < end {
            let info = btf.word(at + 4)?;
            let kind = kind(info);
            if matches!(kind, KIND_STRUCT | KIND_ENUM) {
                let name = btf.string(btf.word(at)?);
                if !name.is_empty() {
                    let id = btf.types.len() as u32;
                    let name = Box::from(name);
                    btf.by_name.entry(name).or_insert(id);
                }
            }
            btf.types.push(at as u32);
            at += COMMON + extra(kind, (info & 0xffff) as usize).ok_or(Damaged { what: "unknown kind", at })?;
        }
        Ok(btf)
    }

    fn word(&self, at: usize) -> Result<u32, Damaged> {
        word(&self.data, at).ok_or(Damaged { what: "cut off", at })
    }

    fn string(&self, offset: u32) -> &[u8] {
        let rest = self.data.get(self.strings.saturating_add(offset as usize)..).unwrap_or_default();
        rest.split(|b| *b == 0).next().unwrap_or_default()
    }

    /// The number of a function. Looks at each type: there are many functions, and hardly any is asked for.
    pub(super) fn function(&self, name: &str) -> Option<u32> {
        let is_it = |at: u32| {
            let (at, word) = (at as usize, |at| word(&self.data, at));
            word(at + 4).is_some_and(|info| kind(info) == KIND_FUNC)
                && word(at).is_some_and(|text| self.string(text) == name.as_bytes())
        };
        // The first is void, which has no record.
        self.types.iter().skip(1).position(|at| is_it(*at)).map(|n| n as u32 + 1)
    }

    /// Bytes of a structure.
    pub(super) fn size_of(&self, structure: &str) -> Option<u32> {
        let at = *self.types.get(*self.by_name.get(structure.as_bytes())? as usize)? as usize;
        word(&self.data, at + 8)
    }

    /// Offset in bytes of a dotted member path in a structure; goes through anonymous structures and unions.
    pub(super) fn offset_of(&self, structure: &str, path: &str) -> Option<u32> {
        let mut id = *self.by_name.get(structure.as_bytes())?;
        let mut bits = 0u32;
        for name in path.split('.') {
            let (offset, member) = self.member(id, name.as_bytes(), 0, &mut 0)?;
            bits = bits.checked_add(offset)?;
            id = member;
        }
        Some(bits / 8)
    }

    /// Value of an enumerator.
    pub(super) fn enumerator(&self, name: &str, enumerator: &str) -> Option<u32> {
        let at = *self.types.get(*self.by_name.get(name.as_bytes())? as usize)? as usize;
        let info = word(&self.data, at + 4)?;
        (0..(info & 0xffff) as usize).find_map(|i| {
            let entry = at + COMMON + 8 * i;
            let found = self.string(word(&self.data, entry)?) == enumerator.as_bytes();
            found.then(|| word(&self.data, entry + 4))?
        })
    }

    /// Bit offset and type of a member.
    fn member(&self, id: u32, name: &[u8], depth: u32, seen: &mut u32) -> Option<(u32, u32)> {
        if depth > MAX_DEPTH {
            return None;
        }
        let at = self.resolve(id)?;
        let info = word(&self.data, at + 4)?;
        if !matches!(kind(info), KIND_STRUCT | KIND_UNION) {
            return None;
        }
        let bitfields = info >> 31 == 1;
        (0..(info & 0xffff) as usize).find_map(|i| {
            *seen += 1;
            if *seen > MAX_MEMBERS {
                return None;
            }
            let entry = at + COMMON + 12 * i;
            let found = self.string(word(&self.data, entry)?);
            let member = word(&self.data, entry + 4)?;
            let offset = word(&self.data, entry + 8)?;
            let offset = if bitfields { offset & 0xff_ffff } else { offset };
            if found == name {
                Some((offset, member))
            } else if found.is_empty() {
                let (inner, member) = self.member(member, name, depth + 1, seen)?;
                Some((offset.checked_add(inner)?, member))
            } else {
                None
            }
        })
    }

    /// Where a type begins once typedefs and qualifiers are taken off.
    fn resolve(&self, mut id: u32) -> Option<usize> {
        for _ in 0..MAX_DEPTH {
            if id == 0 {
                return None;
            }
            let at = *self.types.get(id as usize)? as usize;
            match kind(word(&self.data, at + 4)?) {
                KIND_TYPEDEF..=KIND_RESTRICT | KIND_TYPE_TAG => id = word(&self.data, at + 8)?,
                _ => return Some(at),
            }
        }
        None
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)
}

fn kind(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

/// Bytes that a kind adds to the common part.
fn extra(kind: u32, entries: usize) -> Option<usize> {
    Some(match kind {
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12 * entries,
        KIND_ENUM | KIND_FUNC_PROTO => 8 * entries,
        2 | 7..=12 | 16 | KIND_TYPE_TAG => 0,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// struct outer { int first; struct { int inner; }; } with one enum { A = 7 }.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0outer\0first\0inner\0e\0A\0";
        let name = |s: &str| {
            let s = [s.as_bytes(), b"\0"].concat();
            strings.windows(s.len()).position(|w| w == s).unwrap() as u32
        };
        let types: Vec<u32> = vec![
            name("int"),
            KIND_INT << 24,
            4,
            32, // 1
            0,
            KIND_STRUCT << 24 | 1,
            4,
            name("inner"),
            1,
            0, // 2
            name("outer"),
            KIND_STRUCT << 24 | 2,
            8,
            name("first"),
            1,
            0,
            0,
            2,
            32, // 3
            name("e"),
            KIND_ENUM << 24 | 1,
            4,
            name("A"),
            7, // 4
        ];
        let mut data = Vec::new();
        let len = (types.len() * 4) as u32;
        for w in [MAGIC | 1 << 16, 24, 0, len, len, strings.len() as u32].iter().chain(&types) {
            data.extend(w.to_ne_bytes());
        }
        data.extend(strings);
        data
    }

    #[test]
    fn finds_members_also_in_anonymous_structures() {
        let btf = Btf::parse(sample()).unwrap();
        assert_eq!(btf.offset_of("outer", "first"), Some(0));
        assert_eq!(btf.offset_of("outer", "inner"), Some(4));
        assert_eq!(btf.offset_of("outer", "absent"), None);
        assert_eq!(btf.offset_of("absent", "first"), None);
        assert_eq!(btf.size_of("outer"), Some(8));
        assert_eq!(btf.enumerator("e", "A"), Some(7));
    }

    proptest! {
        #[test]
        fn damaged_information_never_panics(at in 0usize..150, byte: u8, cut in 0usize..150) {
            let mut data = sample();
            let n = data.len();
            data[at % n] = byte;
            data.truncate(n - cut % n);
            if let Ok(btf) = Btf::parse(data) {
                let _ = btf.offset_of("outer", "inner");
                let _ = btf.enumerator("e", "A");
                let _ = btf.size_of("outer");
            }
        }
    }
}
