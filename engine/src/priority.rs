//! Priorities of rules, as in the Falco language.
use serde::{Deserialize, Serialize};

/// How urgent a match is. `Ord`: more urgent is greater, so `min_priority <= rule.priority` selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the syslog levels")]
pub enum Priority {
    Debug,
    Informational,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Priority {
    /// All priorities, most urgent first.
    pub const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Informational,
        Self::Debug,
    ];

    /// The name as Falco prints it in alerts ("Critical" ... "Informational").
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "Debug",
            Self::Informational => "Informational",
            Self::Notice => "Notice",
            Self::Warning => "Warning",
            Self::Error => "Error",
            Self::Critical => "Critical",
            Self::Alert => "Alert",
            Self::Emergency => "Emergency",
        }
    }
}

impl std::fmt::Display for Priority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no priority.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown priority {0:?}; one of Emergency, Alert, Critical, Error, Warning, Notice, Informational (or Info), Debug, in any case"
)]
pub struct UnknownPriority(String);

impl std::str::FromStr for Priority {
    type Err = UnknownPriority;

    /// Any case; `info` is short for Informational.
    fn from_str(s: &str) -> Result<Self, UnknownPriority> {
        if s.eq_ignore_ascii_case("info") {
            return Ok(Self::Informational);
        }
        Self::ALL.into_iter().find(|p| p.as_str().eq_ignore_ascii_case(s)).ok_or_else(|| UnknownPriority(s.to_owned()))
    }
}
