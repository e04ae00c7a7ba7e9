//! Which opens the kernel must send: a sound superset of what any rule could match.

/// A set of the 16 classes of opens that the kernel can tell apart from flags and result alone.
///
/// The class of an open is [`OpenFilter::class`]; its bit in the set says whether any rule could match it. The kernel
/// program computes the class and tests the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OpenFilter(u16);

impl OpenFilter {
    /// Every open.
    pub const ALL: Self = Self(u16::MAX);
    /// No open: no rule is about opens.
    pub const NONE: Self = Self(0);

    /// Bit of a class: opened for reading.
    pub const READ: u32 = 1;
    /// Bit of a class: opened for writing.
    pub const WRITE: u32 = 2;
    /// Bit of a class: may create.
    pub const CREATE: u32 = 4;
    /// Bit of a class: failed.
    pub const FAILED: u32 = 8;

    /// The class (0..16) of an open.
    /// - `read`: access mode O_RDONLY or O_RDWR.
    /// - `write`: access mode O_WRONLY or O_RDWR.
    /// - `create`: O_CREAT is set, or O_TMPFILE (all bits of it), or the call is creat.
    /// - `failed`: the call returned an error. What an io_uring is asked for has not (yet).
    #[must_use]
    pub const fn class(read: bool, write: bool, create: bool, failed: bool) -> u32 {
        read as u32 | (write as u32) << 1 | (create as u32) << 2 | (failed as u32) << 3
    }

    /// Bit n: opens of class n are wanted.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// From [`OpenFilter::bits`].
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Whether an open of a class is wanted.
    #[must_use]
    pub const fn wants(self, class: u32) -> bool {
        self.0 >> (class & 15) & 1 == 1
    }

    /// Adds a class.
    #[must_use]
    pub const fn with(self, class: u32) -> Self {
        Self(self.0 | 1 << (class & 15))
    }

    /// What either wants: in force while a new ruleset replaces an old one.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any open is wanted.
    #[must_use]
    pub const fn any(self) -> bool {
        self.0 != 0
    }
}
