//! Lines of a stream, each bounded: one that is too long is skipped up to its end, and the stream goes on.
use std::io::{self, BufRead};

/// Longest line in bytes.
pub const MAX_LINE: usize = 4 << 20;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'l> {
    /// Its bytes, without the line end.
    Bytes(&'l [u8]),
    /// Longer than [`MAX_LINE`]; skipped.
    TooLong,
}

/// See the module.
pub struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    /// Of a stream.
    pub const fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0 }
    }

    /// The next line with its number, from 1; `None` at the end.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub fn next(&mut self) -> io::Result<Option<(usize, Line<'_>)>> {
        self.line.clear();
        let (mut any, mut long) = (false, false);
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            long |= self.line.len() + part.len() > MAX_LINE;
            if !long {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.number += 1;
        let line = if long { Line::TooLong } else { Line::Bytes(&self.line) };
        Ok(Some((self.number, line)))
    }
}

#[cfg(test)]
mod tests {
    //! Bounds and ends.
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_long_line_takes_no_other_with_it() {
        let mut text = b"one\n\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', MAX_LINE + 1));
        text.extend(b"\nafter\n");
        text.extend(std::iter::repeat_n(b'y', MAX_LINE));
        // A small buffer, so that lines span several reads.
        let mut lines = Lines::new(io::BufReader::with_capacity(1000, text.as_slice()));
        assert_eq!(lines.next().unwrap(), Some((1, Line::Bytes(b"one"))));
        assert_eq!(lines.next().unwrap(), Some((2, Line::Bytes(b""))));
        assert_eq!(lines.next().unwrap(), Some((3, Line::TooLong)));
        assert_eq!(lines.next().unwrap(), Some((4, Line::Bytes(b"after"))));
        assert!(matches!(lines.next().unwrap(), Some((5, Line::Bytes(last))) if last.len() == MAX_LINE));
        assert_eq!(lines.next().unwrap(), None);
    }
}
