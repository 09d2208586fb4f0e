//! The status line of systemctl: live numbers, sent when they change, at a limited rate.

use super::Supervisor;
use super::deadlines::Deadline;
use crate::outcome::{Outcome, Record};
use std::time::{Duration, Instant};

const TELL_EVERY: Duration = Duration::from_secs(2);

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Tally {
    served: u64,
    refused: u64,
    rejected: u64,
    /// The counts have changed, and a deadline to report them is set.
    untold: bool,
}

impl Tally {
    pub(super) fn ended(&mut self, record: &Record<'_>) {
        match record.outcome {
            Outcome::Refused(_) => self.refused += 1,
            _ => self.served += 1,
        }
    }

    pub(super) fn rejected(&mut self) {
        self.rejected += 1;
    }
}

impl Supervisor<'_> {
    pub(super) fn status(&self) -> String {
        let live = self.services.connections();
        let parked: usize = self.services.all().map(|(_, state)| state.pool.parked.len()).sum();
        let Tally { served, refused, rejected, .. } = self.tally;
        format!(
            "serving: {live} live, {parked} parked; {served} served, {refused} refused, {rejected} rejected"
        )
    }

    /// Something of it is different now.
    pub(super) fn on_status_change(&mut self) {
        if self.notifier.is_some() && !self.is_leaving() && !self.tally.untold {
            self.tally.untold = true;
            self.deadlines.set(Instant::now() + TELL_EVERY, Deadline::Status);
        }
    }

    pub(super) fn tell_status(&mut self) {
        self.tally.untold = false;
        let status = self.status();
        self.tell(|notifier| notifier.status(&status));
    }
}
