//! The counters of a service. They are bounded: outcomes and limits are fixed sets; names are cut and few.

use super::histogram::Histogram;
use super::names::Top;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts by a fixed word.
pub type Words = BTreeMap<String, u64>;

/// More kinds of outcome than there are come from a file that is not ours.
const WORDS_MAX: usize = 32;

const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;

/// Every outcome of a connection, as records name them.
pub const OUTCOMES: [&str; 10] = [
    "denied",
    "exited",
    "handshake",
    "idle",
    "not-executable",
    "not-found",
    "oom",
    "refused",
    "signaled",
    "wall",
];

/// The options whose limit rejects a connection.
pub const REJECTIONS: [&str; 3] = ["max-connections", "max-per-source", "rate"];

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Period {
    pub connections: u64,
    pub outcomes: Words,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Seconds since 1970: of the first connection, and of the newest.
    pub since: u64,
    pub updated: u64,
    /// The UTC day of `updated`, and everything since `since`.
    pub today: Period,
    pub total: Period,
    /// Connections by the UTC hour of the day.
    pub hours: [u64; 24],
    /// Rejections by the option whose limit rejected them. Rejections are not counted as connections.
    pub rejected: Words,
    /// Reset by their peers before they had a sandbox; these are none either.
    pub gone: u64,
    /// Sandboxes that SIGKILL did not end.
    pub unkillable: u64,
    /// Lines of handlers that were more than the log takes.
    pub suppressed: u64,
    pub wait: Histogram,
    pub setup: Histogram,
    pub run: Histogram,
    pub cpu_us: u64,
    pub selectors: Top,
    pub peers: Top,
}

/// One connection that has ended, as its record says.
#[derive(Debug, Default)]
pub struct Ended<'a> {
    /// Seconds since 1970.
    pub at: u64,
    pub outcome: &'a str,
    pub peer: &'a str,
    /// Whether a sandbox was had at all; the times are else of no sandbox.
    pub launched: bool,
    pub wait_us: u64,
    pub setup_us: u64,
    pub run_us: u64,
    pub cpu_us: u64,
    pub selector: Option<&'a str>,
}

fn add(words: &mut Words, word: &str) {
    if let Some(count) = words.get_mut(word) {
        *count = count.saturating_add(1);
    } else if words.len() < WORDS_MAX {
        words.insert(word.to_owned(), 1);
    }
}

impl Period {
    fn add(&mut self, outcome: &str) {
        self.connections = self.connections.saturating_add(1);
        add(&mut self.outcomes, outcome);
    }
}

impl Counters {
    pub fn ended(&mut self, ended: &Ended<'_>) {
        self.turn_to(ended.at);
        self.today.add(ended.outcome);
        self.total.add(ended.outcome);
        let hour = usize::try_from(ended.at % DAY / HOUR).unwrap_or(0);
        if let Some(count) = self.hours.get_mut(hour) {
            *count = count.saturating_add(1);
        }
        self.wait.add(ended.wait_us);
        if ended.launched {
            self.setup.add(ended.setup_us);
            self.run.add(ended.run_us);
            self.cpu_us = self.cpu_us.saturating_add(ended.cpu_us);
        }
        if let Some(selector) = ended.selector {
            self.selectors.count(selector);
        }
        self.peers.count(address(ended.peer));
    }

    pub fn rejected(&mut self, limit: &str) {
        add(&mut self.rejected, limit);
    }

    pub fn gone(&mut self) {
        self.gone = self.gone.saturating_add(1);
    }

    pub fn unkillable(&mut self) {
        self.unkillable = self.unkillable.saturating_add(1);
    }

    pub fn suppressed(&mut self, lines: u64) {
        self.suppressed = self.suppressed.saturating_add(lines);
    }

    /// A new day begins empty.
    pub fn turn_to(&mut self, now: u64) {
        if self.updated / DAY != now / DAY {
            self.today = Period::default();
        }
        if self.since == 0 {
            self.since = now;
        }
        self.updated = now;
    }
}

/// The peer of a record without its port.
fn address(peer: &str) -> &str {
    match peer.rsplit_once(':') {
        Some((address, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            address.trim_start_matches('[').trim_end_matches(']')
        }
        _ => peer,
    }
}

/// The request that a handler's stderr line names: `… selector="/x" … status=ok …`, as gopher-handler writes
/// it. The handler is not trusted: dayfly counts one request per connection, cuts it, and skips failed ones.
pub fn selector_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(" selector=\"")?;
    let mut escaped = false;
    let end = rest.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    let (selector, rest) = rest.split_at(end);
    rest.contains(" status=ok").then_some(selector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_day_begins_empty_and_the_hours_are_those_of_the_day() {
        let mut counters = Counters::default();
        let ended = |at, outcome| Ended { at, outcome, peer: "192.0.2.1:7", ..Ended::default() };
        counters.ended(&ended(20_000 * DAY + 23 * HOUR, "exited"));
        counters.ended(&ended(20_001 * DAY + 5, "exited"));
        counters.ended(&ended(20_001 * DAY + 6, "wall"));
        assert_eq!((counters.today.connections, counters.total.connections), (2, 3));
        assert_eq!((counters.hours[0], counters.hours[23]), (2, 1));
        assert_eq!(counters.total.outcomes["exited"], 2);
        assert_eq!(counters.since, 20_000 * DAY + 23 * HOUR);
    }

    #[test]
    fn a_peer_counts_without_its_port() {
        assert_eq!(address("192.0.2.1:70"), "192.0.2.1");
        assert_eq!(address("[2001:db8::1]:70"), "2001:db8::1");
        assert_eq!(address("unix:uid=0"), "unix:uid=0");
        assert_eq!(address("-"), "-");
    }

    #[test]
    fn only_what_was_answered_well_counts_by_its_selector() {
        assert_eq!(
            selector_of(r#"peer=1.2.3.4 selector="/a \"b\" status=ok" type=0 bytes=6 status=ok ms=0"#),
            Some(r#"/a \"b\" status=ok"#)
        );
        assert_eq!(selector_of(r#"peer=1.2.3.4 selector="/x" type=3 status=not-found"#), None);
        assert_eq!(selector_of("something else"), None);
        assert_eq!(selector_of(r#"peer=x selector="/unended"#), None);
    }
}
