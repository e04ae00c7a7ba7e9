//! Falco's codes of what can be wrong in a rules file, and two of our own.

/// The text is no YAML.
pub const YAML_PARSE: &str = "LOAD_ERR_YAML_PARSE";
/// It is YAML, and not what a rules file is made of.
pub const YAML_VALIDATE: &str = "LOAD_ERR_YAML_VALIDATE";
/// An object does not fit those before it, or itself.
pub const VALIDATE: &str = "LOAD_ERR_VALIDATE";
/// Events of this source come from a plugin.
pub const UNKNOWN_SOURCE: &str = "LOAD_UNKNOWN_SOURCE";
/// A rule with `skip-if-unknown-filter` was skipped.
pub const UNKNOWN_FILTER: &str = "LOAD_UNKNOWN_FILTER";
/// No rule and no macro names it.
pub const UNUSED_MACRO: &str = "LOAD_UNUSED_MACRO";
/// No condition and no list names it.
pub const UNUSED_LIST: &str = "LOAD_UNUSED_LIST";
/// A key or an entry that has no meaning.
pub const UNKNOWN_ITEM: &str = "LOAD_UNKNOWN_ITEM";
/// It works, and will not for ever.
pub const DEPRECATED: &str = "LOAD_DEPRECATED_ITEM";
/// An exception is appended to without values.
pub const APPEND_NO_VALUES: &str = "LOAD_APPEND_NO_VALUES";
/// Two exceptions of one rule have one name.
pub const EXCEPTION_NAME: &str = "LOAD_EXCEPTION_NAME_NOT_UNIQUE";
/// No condition can name it.
pub const MACRO_NAME: &str = "LOAD_INVALID_MACRO_NAME";
/// No condition can name it.
pub const LIST_NAME: &str = "LOAD_INVALID_LIST_NAME";
/// A condition compiles and may mean something else than was meant.
pub const COMPILE_CONDITION: &str = "LOAD_COMPILE_CONDITION";
/// Something that Eyas does not supply.
pub const UNAVAILABLE: &str = "EYAS_UNAVAILABLE";
/// Exceptions bind to the last part of an `or` only.
pub const OPEN_OR: &str = "EYAS_OPEN_OR";
