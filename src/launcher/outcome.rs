//! How a connection ended, as exit status, record and status line.

use sandbox::launch::denied::Denied;
use sandbox::step::Failure;
use serde::Serialize;
use std::time::Duration;
use sys::process::{Ending, Usage};
use tls_wire::{Facts, Reason};

/// The reason why the handler did not run.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) failure: Option<Failure>,
    pub(crate) message: String,
    pub(crate) status: u8,
}

#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Exited(u8),
    Signaled(i32),
    WallTime,
    IdleTime,
    /// `wait_for_data`: the client sent nothing in time, or closed without a byte.
    NoData,
    /// `min_rate`: the client read too slowly.
    TooSlow,
    /// `max_connections`: the client had sent nothing when its place was needed.
    Evicted,
    Denied(Denied),
    /// The kernel killed it because its cgroup ran out of memory.
    OutOfMemory,
    Refused(Refusal),
    /// There was no TLS handshake: no handler's sandbox was spent on the connection.
    NoHandshake(Reason),
    /// Ended with the supervisor, by this signal.
    Stopped(i32),
}

const SIGKILL_STATUS: u8 = 137;
/// The handler did not run.
const NO_HANDSHAKE_STATUS: u8 = 125;

impl Outcome {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Outcome::Exited(_) => "exited",
            Outcome::Signaled(_) | Outcome::Stopped(_) => "signaled",
            Outcome::WallTime => "wall",
            Outcome::IdleTime | Outcome::NoData | Outcome::TooSlow | Outcome::Evicted => "idle",
            Outcome::Denied(_) => "denied",
            Outcome::OutOfMemory => "oom",
            Outcome::NoHandshake(_) => "handshake",
            Outcome::Refused(refusal) => match refusal.status {
                126 => "not-executable",
                127 => "not-found",
                _ => "refused",
            },
        }
    }

    /// The exit status of `run`.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Outcome::Exited(status) => *status,
            Outcome::Signaled(signal) | Outcome::Stopped(signal) => {
                u8::try_from(128 + signal).unwrap_or(u8::MAX)
            }
            Outcome::WallTime | Outcome::IdleTime | Outcome::NoData | Outcome::TooSlow | Outcome::Evicted => {
                124
            }
            Outcome::Denied(_) | Outcome::OutOfMemory => SIGKILL_STATUS,
            Outcome::NoHandshake(_) => NO_HANDSHAKE_STATUS,
            Outcome::Refused(refusal) => refusal.status,
        }
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        match self {
            Outcome::Signaled(signal) | Outcome::Stopped(signal) => Some(*signal),
            Outcome::Denied(_) | Outcome::OutOfMemory => Some(libc::SIGKILL),
            Outcome::Exited(_)
            | Outcome::WallTime
            | Outcome::IdleTime
            | Outcome::NoData
            | Outcome::TooSlow
            | Outcome::Evicted
            | Outcome::NoHandshake(_)
            | Outcome::Refused(_) => None,
        }
    }

    /// Whether an attack could look like this: a warning in the log, so that no flood of ordinary records
    /// hides it.
    pub(crate) fn is_suspicious(&self) -> bool {
        match self {
            Outcome::Signaled(_)
            | Outcome::WallTime
            | Outcome::IdleTime
            | Outcome::NoData
            | Outcome::TooSlow
            | Outcome::Evicted
            | Outcome::Denied(_)
            | Outcome::OutOfMemory
            | Outcome::NoHandshake(_)
            | Outcome::Refused(_) => true,
            Outcome::Exited(_) | Outcome::Stopped(_) => false,
        }
    }

    /// The option whose limit ended it.
    pub(crate) fn limit(&self) -> Option<&'static str> {
        match self {
            Outcome::WallTime => Some("wall-time"),
            Outcome::IdleTime => Some("idle-time"),
            Outcome::NoData => Some("wait-for-data"),
            Outcome::TooSlow => Some("min-rate"),
            Outcome::Evicted => Some("max-connections"),
            Outcome::NoHandshake(Reason::Time) => Some("tls-handshake-time"),
            Outcome::Exited(_)
            | Outcome::Signaled(_)
            | Outcome::Denied(_)
            | Outcome::OutOfMemory
            | Outcome::NoHandshake(_)
            | Outcome::Refused(_)
            | Outcome::Stopped(_) => None,
        }
    }

    pub(crate) fn denied(&self) -> Option<&Denied> {
        match self {
            Outcome::Denied(denied) => Some(denied),
            _ => None,
        }
    }

    /// The one line of `--status-fd`, its keys in the manual's order.
    pub(crate) fn status_line(&self) -> String {
        let failure = match self {
            Outcome::Refused(refusal) => refusal.failure,
            _ => None,
        };
        let line = StatusLine {
            outcome: self.name(),
            status: self.status(),
            signal: self.signal(),
            denied: self.denied().map(|d| DeniedCall { nr: d.number, name: d.name(), args: d.args }),
            step: failure.map(|failure| failure.step.name()),
            errno: failure.map(|failure| format!("{:?}", failure.errno)),
        };
        format!("{}\n", serde_json::to_string(&line).unwrap_or_default())
    }
}

#[derive(Serialize)]
struct StatusLine {
    outcome: &'static str,
    status: u8,
    signal: Option<i32>,
    denied: Option<DeniedCall>,
    step: Option<&'static str>,
    errno: Option<String>,
}

#[derive(Serialize)]
struct DeniedCall {
    nr: i32,
    name: String,
    args: [u64; 6],
}

impl From<Ending> for Outcome {
    fn from(ending: Ending) -> Outcome {
        match ending {
            Ending::Exited(status) => Outcome::Exited(status),
            Ending::Signaled(signal) => Outcome::Signaled(signal),
        }
    }
}

/// Bytes over a connection, as the kernel counts them; for sockets without counters, the bytes in its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Taken by the peer, and received from it.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Written by the handler and not taken by the peer yet.
    pub(crate) queued: u64,
}

impl Traffic {
    pub(crate) fn has_moved_since(&self, before: &Traffic) -> bool {
        (self.sent, self.received) != (before.sent, before.received)
    }
}

pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// One connection's record.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) conn: u64,
    pub(crate) peer: &'a str,
    pub(crate) service: &'a str,
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) outcome: Outcome,
    /// Times from the connection to its sandbox, from there until the handler ran, and from there to the end.
    pub(crate) wait_us: u64,
    pub(crate) setup_us: u64,
    pub(crate) run_us: u64,
    pub(crate) usage: Usage,
    /// Traffic as last measured, if the kernel counts.
    pub(crate) bytes: Option<Traffic>,
    /// How many calls the profile's default verdict has answered, and which.
    pub(crate) answered: Option<(u64, String)>,
    /// `dayfly learn`: the profile denied nothing.
    pub(crate) learning: bool,
    /// Result of the TLS handshake.
    pub(crate) tls: Option<&'a Facts>,
    /// The client's stream ended without a close_notify: something may be missing.
    pub(crate) tls_cut: bool,
}

impl<'a> Record<'a> {
    /// The record of a connection without a sandbox.
    pub(crate) fn unserved(
        conn: u64,
        peer: &'a str,
        service: &'a str,
        outcome: Outcome,
        waited: Duration,
    ) -> Record<'a> {
        Record {
            conn,
            peer,
            service,
            pid: 0,
            uid: 0,
            outcome,
            wait_us: micros(waited),
            setup_us: 0,
            run_us: 0,
            usage: Usage::default(),
            bytes: None,
            answered: None,
            learning: false,
            tls: None,
            tls_cut: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_reads_as_the_manual_shows_it() {
        let shown = r#"{"outcome":"exited","status":3,"signal":null,"denied":null,"step":null,"errno":null}"#;
        assert_eq!(Outcome::Exited(3).status_line(), format!("{shown}\n"));
    }

    #[test]
    fn the_status_line_has_its_six_keys_in_every_outcome() {
        let denied = Denied { number: 41, foreign: false, args: [2, 1, 0, 0, 0, u64::MAX] };
        for outcome in [Outcome::Exited(3), Outcome::Signaled(9), Outcome::WallTime, Outcome::Denied(denied)]
        {
            let line: serde_json::Value = serde_json::from_str(&outcome.status_line()).unwrap();
            let object = line.as_object().unwrap();
            for key in ["outcome", "status", "signal", "denied", "step", "errno"] {
                assert!(object.contains_key(key), "{key}");
            }
        }
    }

    #[test]
    fn a_denied_call_is_named_and_counts_as_killed() {
        let denied = Denied {
            number: i32::try_from(libc::SYS_socket).unwrap(),
            foreign: false,
            args: [2, 0, 0, 0, 0, 0],
        };
        assert_eq!(denied.to_string(), "socket(0x2, 0x0, 0x0, 0x0, 0x0, 0x0)");
        assert_eq!(Outcome::Denied(denied).status(), 137);
    }

    #[test]
    fn every_outcome_is_counted_from_the_start() {
        let refused = |status| Outcome::Refused(Refusal { failure: None, message: String::new(), status });
        let denied = Denied { number: 41, foreign: false, args: [0; 6] };
        let outcomes = [
            Outcome::Exited(0),
            Outcome::Signaled(9),
            Outcome::WallTime,
            Outcome::IdleTime,
            Outcome::NoData,
            Outcome::TooSlow,
            Outcome::Denied(denied),
            Outcome::OutOfMemory,
            Outcome::NoHandshake(Reason::Time),
            refused(125),
            refused(126),
            refused(127),
            Outcome::Stopped(15),
        ];
        let names: std::collections::BTreeSet<_> = outcomes.iter().map(Outcome::name).collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), report::counters::OUTCOMES);
    }
}
