//! What is known of an event before it is evaluated: its type, or the class of an open in the kernel. A condition that
//! is decided by that alone needs no evaluation, and an event that can make none true needs not be sent.
use super::OpenFilter;
use crate::{
    eval::{Leaf, Truth},
    event::EventType,
    field::Field,
    matching::Test,
    syntax::Operand,
    value::Value,
};

/// What is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// The type; `None`: any, also one that no hook supplies.
    pub event_type: Option<EventType>,
    /// The class of an open (see [`OpenFilter::class`]).
    pub open_class: Option<u32>,
}

impl Known {
    /// The truth of a leaf where it is decided; `Unknown` where it depends on the event.
    ///
    /// Sound: a decided truth is what evaluating the leaf gives for every such event.
    pub fn decide(&self, leaf: &Leaf) -> Truth {
        if self.lacks_a_field(leaf) {
            return Truth::False;
        }
        match leaf {
            Leaf::Exists(Operand::Field(f)) if f.field == Field::EvtType && self.event_type.is_some() => Truth::True,
            Leaf::Test { operand: Operand::Field(f), test, .. } if f.arg.is_none() => self.decide_test(f.field, test),
            _ => Truth::Unknown,
        }
    }

    /// A leaf over a field that such events never have is false.
    fn lacks_a_field(&self, leaf: &Leaf) -> bool {
        let Some(event_type) = self.event_type else { return false };
        let mut lacks = false;
        let mut look = |operand: &Operand| operand.fields(&mut |f| lacks |= !f.field.def().supply.covers(event_type));
        match leaf {
            Leaf::Exists(operand) | Leaf::Test { operand, .. } => look(operand),
            Leaf::Dynamic { left, right, .. } => {
                look(left);
                look(right);
            }
        }
        lacks
    }

    /// The truth of a test of a field without argument.
    pub fn decide_test(&self, field: Field, test: &Test) -> Truth {
        if let Some(event_type) = self.event_type {
            match field {
                Field::EvtType => return test.matches(&Value::from(event_type.as_str())).into(),
                Field::EvtDir => return test.matches(&Value::from("<")).into(),
                Field::EvtSource => return test.matches(&Value::from("syscall")).into(),
                _ => {}
            }
        }
        let Some(class) = self.open_class else { return Truth::Unknown };
        let has = |bit: u32| class & bit != 0;
        let truth = |value: bool| test.matches(&Value::Bool(value)).into();
        match field {
            Field::EvtIsOpenRead => truth(has(OpenFilter::READ)),
            Field::EvtIsOpenWrite => truth(has(OpenFilter::WRITE)),
            // Only the negative is certain: the flag allows creation, the file may have been there.
            Field::EvtIsOpenCreate if !has(OpenFilter::CREATE) => truth(false),
            Field::EvtFailed => truth(has(OpenFilter::FAILED)),
            // Never decided to be true: what an io_uring is asked for has no result, and is in the classes of what does not fail.
            Field::EvtRes if !has(OpenFilter::FAILED) => {
                if test.matches(&Value::from("SUCCESS")) {
                    Truth::Unknown
                } else {
                    Truth::False
                }
            }
            Field::EyasIoUring if has(OpenFilter::FAILED) => truth(false),
            // Some error's name, whichever.
            Field::EvtRes if matches!(test, Test::TextEq(text) if **text == *b"SUCCESS") => Truth::False,
            Field::FdNum | Field::EvtRawres => decide_result(test, has(OpenFilter::FAILED)),
            _ => Truth::Unknown,
        }
    }
}

/// Whether [`Known::decide_test`] may say something of a test of this. Of any other only counts what it reads.
pub fn is_decisive(operand: &Operand) -> bool {
    matches!(operand, Operand::Field(f) if f.arg.is_none() && matches!(
        f.field,
        Field::EvtType
            | Field::EvtDir
            | Field::EvtSource
            | Field::EvtIsOpenRead
            | Field::EvtIsOpenWrite
            | Field::EvtIsOpenCreate
            | Field::EvtFailed
            | Field::EvtRes
            | Field::EyasIoUring
            | Field::FdNum
            | Field::EvtRawres
    ))
}

/// The descriptor or result of an open: negative exactly when it failed.
fn decide_result(test: &Test, failed: bool) -> Truth {
    // Never decided to be true: the value may also be missing.
    match test {
        Test::Range(low, _) if failed && *low >= 0 => Truth::False,
        Test::Range(_, high) if !failed && *high < 0 => Truth::False,
        _ => Truth::Unknown,
    }
}
