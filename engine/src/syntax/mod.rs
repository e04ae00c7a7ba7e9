//! The text of conditions: scanner, parser, trees, canonical form.
//!
//! ```text
//! text -> cursor (bytes to words and strings) -> parser -> ast (spans, macro and list names)
//!      -> compile::resolve -> expr (resolved, serialisable by wire) -> display (canonical text)
//! ```
//! The parser keeps its own stack: no input, however deep, overflows the thread's.
pub mod ast;
mod comparison;
mod cursor;
mod display;
mod expr;
mod operand;
mod parser;
pub(crate) mod suggest;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod wire;

pub use ast::Ast;
pub use cursor::CONDITION_CODE;
pub(crate) use cursor::{is_bare_argument, unquote};
pub use expr::{Comparison, Expr, Function, MAX_DEPTH, MAX_NODES, Op, Operand, Quantifier, Right};
pub use parser::{MAX_TEXT, parse_condition, parse_operand_at};
pub use text::{Text, from_hex};
