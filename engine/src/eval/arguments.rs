//! What the arguments of a transformer may be. The grammar takes any; what they mean is known once fields are looked up.
use super::many_of;
use crate::{
    field::Many,
    syntax::{Function, Operand},
};

/// Checks number and form of a transformer's arguments.
///
/// # Errors
/// What it takes, as a message.
pub fn check_arguments(function: Function, args: &[Operand]) -> Result<(), String> {
    let list = |operand: &Operand| matches!(operand, Operand::List(_));
    // Fields that hold several values at once; of `Many::Any` each is tried by itself.
    let set = |operand: &Operand| many_of(operand) == Many::Set;
    let several = |operand: &Operand| many_of(operand) != Many::One;
    let text = |operand: &Operand| matches!(operand, Operand::Text(_));
    let fits = match function {
        Function::ToLower | Function::ToUpper | Function::B64 | Function::Basename => matches!(args, [a] if !list(a)),
        Function::Len => args.len() == 1,
        Function::Join => matches!(args, [separator, of] if !several(separator) && several(of)),
        Function::Concat => args.len() > 1 && !args.iter().any(set),
        Function::Getopt => matches!(args, [_, options] if text(options)),
    };
    let usage = match function {
        _ if fits => return Ok(()),
        Function::Join if matches!(args, [of, separator] if several(of) && text(separator)) => {
            "the separator first: join(\":\", (proc.name, proc.pname))"
        }
        Function::Join => "a separator and a list: join(\":\", (proc.name, proc.pname)), join(\",\", proc.aname)",
        Function::Concat => "two or more single values: concat(fd.sip, \":\", fd.sport)",
        Function::Getopt => "arguments and the letters of options: getopt(proc.args, \"ab:\")",
        Function::Len => "one value or one list: len(proc.args)",
        _ => return Err(format!("{function}() takes one value: {function}(proc.name)")),
    };
    Err(format!("{function}() takes {usage}"))
}
