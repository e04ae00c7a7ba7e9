//! What the schema of the objects takes: an API server refuses more.

/// Longest condition, in characters.
pub const CONDITION: usize = 65_536;
/// Longest output, and description.
pub const TEXT: usize = 8_192;
/// Longest name of a rule, macro, list or exception.
pub const NAME: usize = 256;
/// Most tags of a rule.
pub const TAGS: usize = 64;
/// Most exceptions of a rule.
pub const EXCEPTIONS: usize = 256;
/// Most values of an exception that stand in a list of their own.
pub const VALUES: usize = 4_096;
/// Most macros, and most lists, of one library.
pub const DEFINITIONS: usize = 1_000;
/// Most items of a list; with more it is split.
pub const ITEMS: usize = 15_000;
/// Most bytes of one library: an API server stores about 1.5 MB.
pub const LIBRARY_BYTES: usize = 800_000;
/// Most bytes of a list; with more it is split.
pub const LIST_BYTES: usize = 400_000;
/// Longest reason of an Exception.
pub const REASON: usize = 1_024;
