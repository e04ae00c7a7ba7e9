//! Values as text, without memory from the heap.
use crate::value::Value;
use std::{borrow::Cow, fmt::Write as _};

/// The value as text: what text operators see of numbers and addresses too.
#[must_use]
pub fn bytes<'a>(value: &'a Value<'_>) -> Cow<'a, [u8]> {
    match value {
        Value::Str(s) => Cow::Borrowed(s),
        Value::Bool(b) => Cow::Borrowed(truth(*b)),
        Value::List(items) => {
            let parts: Vec<_> = items.iter().map(bytes).collect();
            Cow::Owned(parts.join(&b","[..]))
        }
        Value::Int(_) | Value::Uint(_) | Value::Ip(_) => with_bytes(value, |text| Cow::Owned(text.to_vec())),
    }
}

/// Hands on the value as text; nothing is allocated unless it is a list.
pub fn with_bytes<R>(value: &Value<'_>, then: impl FnOnce(&[u8]) -> R) -> R {
    match value {
        Value::Str(s) => then(s),
        Value::Bool(b) => then(truth(*b)),
        Value::List(_) => then(&bytes(value)),
        Value::Int(_) | Value::Uint(_) | Value::Ip(_) => {
            let mut buffer = Buffer::<48>::default();
            // The longest is an IPv6 address of 39 characters; what does not fit in the front would go to the heap.
            let _ = match value {
                Value::Int(n) => write!(buffer, "{n}"),
                Value::Uint(n) => write!(buffer, "{n}"),
                Value::Ip(ip) => write!(buffer, "{ip}"),
                Value::Str(_) | Value::Bool(_) | Value::List(_) => Ok(()),
            };
            then(buffer.as_bytes())
        }
    }
}

const fn truth(b: bool) -> &'static [u8] {
    if b { b"true" } else { b"false" }
}

/// Text that is put together: on the stack while it fits in `N` bytes, else on the heap.
#[derive(Debug)]
pub struct Buffer<const N: usize> {
    front: [u8; N],
    len: usize,
    /// Takes over when the front is full.
    heap: Vec<u8>,
}

impl<const N: usize> Default for Buffer<N> {
    fn default() -> Self {
        Self { front: [0; N], len: 0, heap: Vec::new() }
    }
}

impl<const N: usize> Buffer<N> {
    /// Appends.
    pub fn push(&mut self, text: &[u8]) {
        if self.heap.is_empty() {
            if let Some(room) = self.front.get_mut(self.len..self.len + text.len()) {
                room.copy_from_slice(text);
                self.len += text.len();
                return;
            }
            self.heap.extend_from_slice(&self.front[..self.len]);
        }
        self.heap.extend_from_slice(text);
    }

    /// All of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        if self.heap.is_empty() { &self.front[..self.len] } else { &self.heap }
    }

    /// All of it, to be changed in place.
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        if self.heap.is_empty() { &mut self.front[..self.len] } else { &mut self.heap }
    }
}

impl<const N: usize> std::fmt::Write for Buffer<N> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
