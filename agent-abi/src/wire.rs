//! Types that may be copied from and to bytes.

/// A type whose every bit pattern is valid and that has no padding. Declared only by the `wire!` macro.
///
/// # Safety
/// The type is `repr(C)`, consists of integers, arrays of integers and such types, and has no padding.
pub unsafe trait Wire: Copy + 'static {
    /// Reads a value from the front of `bytes`; `None` when there are too few. Any alignment.
    #[must_use]
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_at_checked(size_of::<Self>())?;
        // SAFETY: `head` has exactly the size of Self, read_unaligned needs no alignment, and any bits are a valid Self.
        Some((unsafe { head.as_ptr().cast::<Self>().read_unaligned() }, rest))
    }

    /// The bytes of the value.
    #[must_use]
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: Self has no padding, so all of its bytes are initialised; the borrow keeps it alive.
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }

    /// All bytes zero.
    #[must_use]
    fn zeroed() -> Self {
        // SAFETY: any bits are a valid Self, zeroes too.
        unsafe { core::mem::MaybeUninit::zeroed().assume_init() }
    }
}

/// Declares `repr(C)` structs of integers and proves that they have no padding.
macro_rules! wire {
    ($( $(#[$m:meta])* pub struct $S:ident { $( $(#[$fm:meta])* $f:ident : $t:ty, )* } )*) => { $(
        $(#[$m])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $S { $( $(#[$fm])* pub $f: $t, )* }
        // SAFETY: repr(C), integers and wire types only by convention of this crate, and the assertion below excludes padding.
        unsafe impl $crate::Wire for $S {}
        const _: () = assert!(size_of::<$S>() == 0 $(+ size_of::<$t>())*, "padding in a wire struct");
    )* };
}
