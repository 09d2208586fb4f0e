//! The bytes that a connection has moved, and what they say of its peer.

use super::live::{Live, Verdict};
use super::minimum_rate::window;
use crate::connection::{self, Kind};
use crate::diag::Diag;
use crate::outcome::Traffic;
use std::time::Instant;
use sys::Errno;

impl Live {
    /// The bytes that have moved, where that can be known.
    fn traffic(&self, diag: Option<&Diag>) -> Option<Result<Traffic, Errno>> {
        let served = self.served.as_ref()?;
        match (&served.connection, &served.question, diag) {
            (Some(connection), ..) => Some(connection::traffic(connection.ends().0, served.kind)),
            (None, Some(question), Some(diag)) => Some(diag.traffic(question)),
            (None, ..) => None,
        }
    }

    /// When its connection began, of which no byte has come so far. None for others, and where that cannot be
    /// known.
    pub(super) fn silent_since(&self, diag: Option<&Diag>) -> Option<Instant> {
        let served = self.served.as_ref().filter(|served| matches!(served.kind, Kind::Tcp(_)))?;
        if self.killed.is_some() || self.verdict.is_some() || served.traffic.is_some_and(|t| t.received > 0) {
            return None;
        }
        let traffic = self.traffic(diag)?.ok()?;
        (traffic.received == 0).then_some(served.began)
    }

    /// Looks at what has moved, and says what is too little of it. Where nothing can be known, nothing is too
    /// little.
    pub(super) fn look_at_traffic(&mut self, diag: Option<&Diag>, now: Instant) -> Option<Verdict> {
        let found = self.traffic(diag)?;
        let (rate, idle) = (self.service.min_rate, self.service.idle_time);
        let served = self.served.as_mut()?;
        // A connection that is gone moves no bytes.
        if let Ok(traffic) = found {
            if served.traffic.is_none_or(|before| traffic.has_moved_since(&before)) {
                served.traffic_seen = now;
            }
            served.traffic = Some(traffic);
            if let (Some(rate), Kind::Tcp(_)) = (rate, served.kind)
                && served.pace.is_below((rate, window(idle)), now, traffic.sent, traffic.queued)
            {
                return Some(Verdict::TooSlow);
            }
        }
        (now.duration_since(served.traffic_seen) >= idle?).then_some(Verdict::IdleTime)
    }
}
