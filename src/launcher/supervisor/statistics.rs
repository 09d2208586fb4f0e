//! Counting what ends, and telling it: to who asks at the socket, and to the service's own sandboxes.

use super::deadlines::Deadline;
use super::{Origin, Supervisor};
use crate::config::service::ServiceId;
use crate::log;
use crate::outcome::Record;
use crate::stats::counters::{Counters, Ended};
use crate::stats::public::PublicDirectory;
use crate::stats::socket::StatsSocket;
use crate::stats::{self, Report};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::Errno;

/// How often `stats.json` is written, at the most.
const WRITE_EVERY: Duration = Duration::from_secs(2);

/// Descriptors opened before the supervisor left the host's mounts.
#[derive(Debug, Default)]
pub(crate) struct StatsTargets {
    pub(crate) socket: Option<StatsSocket>,
    /// One for each service.
    pub(crate) public: Vec<Option<PublicDirectory>>,
}

/// The counts of one service.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    pub(super) counters: Counters,
    public: Option<PublicDirectory>,
    /// Counted and not written yet.
    unwritten: bool,
}

impl Statistics {
    /// Counting goes on from what an earlier supervisor has written.
    fn publish(&mut self, directory: Option<PublicDirectory>) {
        if let Some(before) = directory.as_ref().and_then(PublicDirectory::restore) {
            self.counters = before;
        }
        self.unwritten = true;
        self.public = directory;
    }

    fn count(&mut self, record: &Record<'_>, selector: Option<&str>) {
        self.counters.ended(&Ended {
            at: stats::now(),
            outcome: record.outcome.name(),
            peer: record.peer,
            launched: record.pid != 0,
            wait_us: record.wait_us,
            setup_us: record.setup_us,
            run_us: record.run_us,
            cpu_us: record.usage.cpu_us,
            selector,
        });
        self.unwritten = true;
    }
}

impl Supervisor<'_> {
    pub(super) fn begin_telling(&mut self, targets: StatsTargets) -> Result<(), Errno> {
        if let Some(socket) = &targets.socket {
            self.watch(socket.as_fd(), Origin::Stats, 0)?;
        }
        self.stats = targets.socket;
        for (state, directory) in self.services.all_mut().zip(targets.public) {
            state.statistics.publish(directory);
        }
        self.write_stats();
        Ok(())
    }

    /// Every end of a connection: logged and counted.
    pub(super) fn record(&mut self, service: ServiceId, record: &Record<'_>, selector: Option<&str>) {
        log::ended(record);
        self.tally.ended(record);
        self.on_status_change();
        self.services[service].statistics.count(record, selector);
    }

    pub(super) fn answer_stats(&self) {
        let reports: Vec<Report> = self
            .services
            .all()
            .map(|(_, state)| Report {
                service: state.service.name.clone(),
                supervisor: String::new(),
                live: state.admission.count() as u64,
                parked: state.pool.parked.len() as u64,
                counters: state.statistics.counters.clone(),
            })
            .collect();
        if let Some(socket) = &self.stats {
            socket.answer(&reports);
        }
    }

    /// Writes changed statistics. A failure is logged once, and retried.
    pub(super) fn write_stats(&mut self) {
        for state in self.services.all_mut() {
            let statistics = &mut state.statistics;
            let Some(directory) = statistics.public.as_ref().filter(|_| statistics.unwritten) else {
                continue;
            };
            statistics.unwritten = false;
            statistics.counters.turn_to(stats::now());
            if let Err(error) = directory.write(&statistics.counters) {
                log::detail(&format!("cannot write the statistics of {}: {error}", state.service.name));
            }
        }
        if self.services.all().any(|(_, state)| state.statistics.public.is_some()) {
            self.deadlines.set(Instant::now() + WRITE_EVERY, Deadline::WriteStats);
        }
    }
}
