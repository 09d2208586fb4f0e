//! `dayfly stats`: asks live supervisors, or counts the records in the journal.

use super::{journal, openmetrics, socket, text};
use crate::log::{self, Verbosity};
use crate::output::stdout_line;
use report::{Report, place};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct StatsOptions {
    /// Print this service only
    pub(crate) name: Option<String>,
    /// Print one JSON array
    #[arg(long)]
    pub(crate) json: bool,
    /// Print OpenMetrics text
    #[arg(long, conflicts_with = "json")]
    pub(crate) openmetrics: bool,
    /// Count the records in the journal, even if a supervisor is running
    #[arg(long)]
    pub(crate) journal: bool,
    /// Count records in the journal since TIME, as journalctl reads it: yesterday, "2026-11-20 10:00"
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Socket of the supervisor [default: $RUNTIME_DIRECTORY/stats and all below /run/dayfly]
    #[arg(long, value_name = "PATH", conflicts_with = "journal")]
    pub(crate) socket: Option<PathBuf>,
}

const NONE: u8 = 1;

pub(crate) fn main(options: &StatsOptions) -> u8 {
    log::init(None, Verbosity::Normal, false);
    let mut reports = match find(options) {
        Ok(reports) => reports,
        Err(message) => {
            log::fatal(&message);
            return NONE;
        }
    };
    if let Some(name) = &options.name {
        reports.retain(|report| report.service == *name);
        if reports.is_empty() {
            log::fatal(&format!("no statistics of a service '{name}'"));
            return NONE;
        }
    }
    for report in &mut reports {
        report.counters.turn_to(super::now());
        // One by one they are for `dayfly top`.
        report.sandboxes.clear();
    }
    let page = match (options.json, options.openmetrics) {
        (true, _) => serde_json::to_string(&reports).unwrap_or_default(),
        (_, true) => openmetrics::page(&reports),
        _ => text::page(&reports),
    };
    stdout_line(page.trim_end());
    0
}

fn find(options: &StatsOptions) -> Result<Vec<Report>, String> {
    if let Some(path) = &options.socket {
        return place::ask(path)
            .map_err(|error| format!("no supervisor answers at {}: {error}", path.display()));
    }
    let wants_journal = options.journal || options.since.is_some();
    let mut reports: Vec<Report> = Vec::new();
    if !wants_journal {
        socket::sweep();
        reports = place::candidates().iter().filter_map(|path| place::ask(path).ok()).flatten().collect();
    }
    if !reports.is_empty() {
        return Ok(reports);
    }
    let found = journal::read(options.since.as_deref());
    let nothing = match found {
        Ok(reports) if !reports.is_empty() => return Ok(reports),
        Ok(_) => "the journal has no record of a connection".to_owned(),
        Err(error) => format!("the journal cannot be read: {error}"),
    };
    let alive = if wants_journal { "" } else { "no supervisor answers below /run/dayfly, and " };
    Err(format!("{alive}{nothing}; start `dayfly serve`, or give --socket PATH"))
}
