//! Statistics. The supervisor counts connections as they end, in bounded memory. It answers `dayfly stats`
//! over a socket, and writes totals to a file for the handler.
//!
//! | file | |
//! |---|---|
//! | `counters.rs` | the counters, fed by the records of connections |
//! | `socket.rs` | the supervisor's socket; a client that does not read cannot block it |
//! | `public.rs` | the directory that a sandbox may see, with `stats.json` |
//! | `journal.rs` | the same counters, fed by the records of `run` in the journal |
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
    /// The supervisor, by the last two components of its socket's path; empty for the journal.
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
