//! A literal of the language: bytes, mostly UTF-8, with the quoting that reads them back.
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;

/// A literal value. Quoted strings may hold any bytes by `\xHH`, so this is not a `String`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Box<[u8]>);

impl Text {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, where it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The text with what is not UTF-8 replaced, for messages.
    #[must_use]
    pub fn lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// In double quotes, escaped so that it reads back as the same bytes.
    #[must_use]
    pub fn quoted(&self) -> String {
        let mut out = String::from("\"");
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '"' => out.push_str("\\\""),
                    '\\' => out.push_str("\\\\"),
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\t' => out.push_str("\\t"),
                    c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                    c => out.push(c),
                }
            }
            chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
        }
        out.push('"');
        out
    }
}

impl From<&str> for Text {
    fn from(s: &str) -> Self {
        Self(s.as_bytes().into())
    }
}
impl From<String> for Text {
    fn from(s: String) -> Self {
        Self(s.into_bytes().into())
    }
}
impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// Bytes that may stand in a bare string: all but quotes, parentheses, `=`, comma and white space.
#[must_use]
pub const fn is_bare(byte: u8) -> bool {
    !matches!(byte, b'(' | b')' | b'"' | b'\'' | b'=' | b',' | b' ' | b'\t'..=b'\r')
}

/// Canonical form: bare where that reads back as the same value, else in double quotes.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            // Control and non-ASCII characters are quoted too: they would mislead the eye.
            Some(s) if !s.is_empty() && s.bytes().all(|b| is_bare(b) && b.is_ascii_graphic()) => f.write_str(s),
            _ => f.write_str(&self.quoted()),
        }
    }
}

/// JSON form: a string, or `{"hex": "..."}` when the bytes are not UTF-8.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Wire {
    Text(String),
    Bytes { hex: String },
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_str() {
            Some(s) => serializer.serialize_str(s),
            None => Wire::Bytes { hex: self.0.iter().map(|b| format!("{b:02x}")).collect() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Wire::deserialize(deserializer)? {
            Wire::Text(s) => Ok(s.into()),
            Wire::Bytes { hex } => {
                from_hex(hex.as_bytes()).map(Self::from).ok_or_else(|| D::Error::custom("bad hex digits in a literal"))
            }
        }
    }
}

/// Bytes from pairs of hex digits, any case.
#[must_use]
pub fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}
