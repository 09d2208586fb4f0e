//! What happened: counted by the supervisor as connections end, in memory that is bounded whoever comes; told over a
//! socket to `dayfly stats`, and in a file of aggregates to the handler itself.
//!
//! | file | |
//! |---|---|
//! | `counters.rs` | what is counted, from the records of connections |
//! | `socket.rs` | where a live supervisor tells it; who asks and does not read costs nothing |
//! | `public.rs` | the directory that a sandbox may see, with `stats.json` |
//! | `journal.rs` | the same counts, from the records that `run` has left in the journal |
//! | `command.rs`, `text.rs`, `openmetrics.rs` | `dayfly stats` |

pub(crate) mod command;
pub(crate) mod counters;
mod histogram;
mod journal;
mod openmetrics;
pub(crate) mod public;
pub(crate) mod socket;
mod text;
mod top;

use counters::Counters;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// One service as `dayfly stats` shows it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Report {
    pub(crate) service: String,
    /// Whose it is, by the last two names of its socket; empty for the journal's.
    #[serde(skip)]
    pub(crate) supervisor: String,
    /// Connections now, and sandboxes that wait for one.
    pub(crate) live: u64,
    pub(crate) parked: u64,
    #[serde(flatten)]
    pub(crate) counters: Counters,
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
