//! Statistics. The supervisor counts connections as they end, in bounded memory. It answers `dayfly
//! stats` and `dayfly top` over a socket, and writes totals to a file for the handler. The counters are
//! in src/report.
//!
//! | file | |
//! |---|---|
//! | `socket.rs` | the supervisor's socket; a client that does not read cannot block it |
//! | `public.rs` | the directory that a sandbox may see, with `stats.json` |
//! | `journal.rs` | the same counters, fed by the records of `run` in the journal |
//! | `command.rs`, `text.rs`, `openmetrics.rs` | `dayfly stats` |

pub(crate) mod command;
mod journal;
mod openmetrics;
pub(crate) mod public;
pub(crate) mod socket;
mod text;

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
