//! The report of a supervisor, one JSON document, for `dayfly stats` and `dayfly top`.
//!
//! | file | |
//! |---|---|
//! | `counters.rs`, `histogram.rs`, `names.rs` | the counters, fed by the records of connections |
//! | `place.rs` | where supervisors answer, and asking them |

pub mod counters;
pub mod histogram;
pub mod names;
pub mod place;

use counters::Counters;
use serde::{Deserialize, Serialize};

/// Maximum number of connections that a supervisor lists; it counts all.
pub const LISTED_MAX: usize = 1_000;

/// One service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    pub service: String,
    /// The supervisor, by the last two components of its socket's path; empty for the journal.
    #[serde(skip)]
    pub supervisor: String,
    /// Connections now, and sandboxes that wait for one.
    pub live: u64,
    pub parked: u64,
    /// Connections that have no sandbox yet.
    pub waiting: u64,
    /// Different sources of the connections.
    pub sources: u64,
    /// None: a supervisor that does not say, or the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    #[serde(flatten)]
    pub counters: Counters,
    /// Connections that have a sandbox, the oldest first, of all services together [`LISTED_MAX`] at
    /// the most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sandboxes: Vec<Sandbox>,
}

/// Limits from the service's options. None: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    pub max_connections: u64,
    pub max_per_source: u64,
    pub memory_bytes: Option<u64>,
    pub wall_time_us: Option<u64>,
    pub idle_time_us: Option<u64>,
}

/// One connection that has a sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sandbox {
    /// The connection's number, as records have it.
    pub conn: u64,
    pub peer: String,
    /// The sandbox's first process, as the host sees it.
    pub pid: u32,
    pub uid: u32,
    pub state: State,
    /// Time since the connection was accepted.
    pub age_us: u64,
    /// Bytes from the peer, as last measured; None: not measured yet, or no TCP.
    pub bytes_in: Option<u64>,
    pub bytes_out: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The handler does not run yet.
    SetUp,
    #[default]
    Running,
    /// Killed, and not dead yet.
    Ending,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            State::SetUp => "set-up",
            State::Running => "running",
            State::Ending => "ending",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    #[test]
    fn a_report_without_what_is_new_is_understood() {
        let report: Report = serde_json::from_str(r#"{"service":"a","live":3,"gone":1}"#).unwrap();
        assert_eq!((report.live, report.counters.gone, report.limits), (3, 1, None));
        assert!(report.sandboxes.is_empty());
    }
}
