//! Shell patterns as fnmatch(3) without flags: `*` and `?` cross `/` and match a leading dot.

/// A compiled pattern. Matching takes at most `pattern * value` steps, whatever the pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Glob {
    parts: Vec<Part>,
    /// Compare ASCII letters in any case.
    fold: bool,
    /// What every match begins with.
    front: Box<[u8]>,
    /// What every match ends with.
    back: Box<[u8]>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Byte(u8),
    Any,
    Star,
    /// `[a-z]`, as a set of bytes.
    Set(Box<[bool; 256]>),
}

impl Glob {
    /// Compiles a pattern. Every text is one: a `[` without its `]` stands for itself.
    #[must_use]
    pub fn new(pattern: &[u8], fold: bool) -> Self {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(&byte) = pattern.get(at) {
            at += 1;
            let part = match byte {
                b'*' => Part::Star,
                b'?' => Part::Any,
                b'\\' if at < pattern.len() => {
                    at += 1;
                    Part::Byte(pattern[at - 1])
                }
                b'[' => match bracket(&pattern[at..]) {
                    Some((set, length)) => {
                        at += length;
                        Part::Set(set)
                    }
                    None => Part::Byte(b'['),
                },
                byte => Part::Byte(byte),
            };
            if part != Part::Star || parts.last() != Some(&Part::Star) {
                parts.push(part);
            }
        }
        let byte = |part: &Part| if let Part::Byte(byte) = part { Some(*byte) } else { None };
        let front: Box<[u8]> = parts.iter().map_while(byte).collect();
        let mut back: Vec<u8> = parts.iter().rev().map_while(byte).collect();
        back.reverse();
        Self { parts, fold, front, back: back.into() }
    }

    /// What every match begins with, in any case if the pattern is [`Self::folds`].
    #[must_use]
    pub fn front(&self) -> &[u8] {
        &self.front
    }

    /// What every match ends with.
    #[must_use]
    pub fn back(&self) -> &[u8] {
        &self.back
    }

    /// Whether ASCII letters fit in any case.
    #[must_use]
    pub const fn folds(&self) -> bool {
        self.fold
    }

    /// The longest text that every match has in it.
    #[must_use]
    pub fn longest(&self) -> Vec<u8> {
        let byte = |part: &Part| if let Part::Byte(byte) = part { *byte } else { 0 };
        let runs = self.parts.split(|part| !matches!(part, Part::Byte(_)));
        runs.max_by_key(|run| run.len()).unwrap_or_default().iter().map(byte).collect()
    }

    /// Whether the pattern has no special part, so that equality says the same.
    #[must_use]
    pub fn is_literal(pattern: &[u8]) -> bool {
        !pattern.iter().any(|b| matches!(b, b'*' | b'?' | b'[' | b'\\'))
    }

    /// Whether the whole value fits.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        let both_ends = value.starts_with(&self.front) && value.ends_with(&self.back);
        if !(self.fold || both_ends) {
            return false;
        }
        let (mut part, mut at) = (0, 0);
        // Where to go on when a later part fails: behind the last star, one byte further into the value.
        let mut back: Option<(usize, usize)> = None;
        loop {
            match self.parts.get(part) {
                Some(Part::Star) => {
                    part += 1;
                    back = Some((part, at));
                    continue;
                }
                Some(one) if at < value.len() && self.fits(one, value[at]) => {
                    part += 1;
                    at += 1;
                    continue;
                }
                None if at == value.len() => return true,
                _ => {}
            }
            let Some((star, from)) = back else { return false };
            if from >= value.len() {
                return false;
            }
            back = Some((star, from + 1));
            (part, at) = (star, from + 1);
        }
    }

    fn fits(&self, part: &Part, byte: u8) -> bool {
        match part {
            Part::Any => true,
            Part::Byte(b) if self.fold => b.eq_ignore_ascii_case(&byte),
            Part::Byte(b) => *b == byte,
            Part::Set(set) if self.fold => {
                set[usize::from(byte.to_ascii_lowercase())] || set[usize::from(byte.to_ascii_uppercase())]
            }
            Part::Set(set) => set[usize::from(byte)],
            Part::Star => false,
        }
    }
}

/// What follows a `[`: the set and the length up to and with the `]`.
fn bracket(rest: &[u8]) -> Option<(Box<[bool; 256]>, usize)> {
    let mut set = Box::new([false; 256]);
    let mut at = 0;
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    at += usize::from(negated);
    let first = at;
    loop {
        let mut low = *rest.get(at)?;
        if low == b']' && at > first {
            break;
        }
        if low == b'[' && rest.get(at + 1) == Some(&b':') {
            let length = rest[at + 2..].windows(2).position(|w| w == b":]")?;
            let class = class(&rest[at + 2..at + 2 + length])?;
            (0..=255_u8).filter(class).for_each(|b| set[usize::from(b)] = true);
            at += length + 4;
            continue;
        }
        if low == b'\\' {
            at += 1;
            low = *rest.get(at)?;
        }
        at += 1;
        let mut high = low;
        if rest.get(at) == Some(&b'-') && rest.get(at + 1).is_some_and(|b| *b != b']') {
            at += 1;
            if rest[at] == b'\\' {
                at += 1;
            }
            high = *rest.get(at)?;
            at += 1;
        }
        (low..=high).for_each(|b| set[usize::from(b)] = true);
    }
    if negated {
        set.iter_mut().for_each(|b| *b = !*b);
    }
    Some((set, at + 1))
}

fn class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |b| matches!(b, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |b| matches!(b, 0x20..=0x7e),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |b| matches!(b, b' ' | b'\t'..=b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}
