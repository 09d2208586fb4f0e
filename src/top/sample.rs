//! One look at all supervisors and at /proc, and what has changed since the one before.

use crate::options::Options;
use crate::processes::{Processes, Use};
use report::histogram::Histogram;
use report::{Limits, Report, Sandbox, State, place};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A sample: all that is shown.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Sample {
    /// The time that rates are of, in seconds; 0 at the first look, which has no rates.
    pub(crate) over_seconds: f64,
    pub(crate) services: Vec<Service>,
    /// Sandboxes with a connection. Of very many, a supervisor lists the oldest.
    pub(crate) sandboxes: Vec<Row>,
}

#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Service {
    pub(crate) service: String,
    pub(crate) supervisor: String,
    pub(crate) live: u64,
    pub(crate) parked: u64,
    pub(crate) waiting: u64,
    pub(crate) sources: u64,
    pub(crate) limits: Option<Limits>,
    /// Since the supervisor counts.
    pub(crate) connections: u64,
    pub(crate) outcomes: BTreeMap<String, u64>,
    pub(crate) rejected: BTreeMap<String, u64>,
    pub(crate) gone: u64,
    /// Since the look before, each second.
    pub(crate) connections_per_second: f64,
    pub(crate) outcomes_per_second: BTreeMap<String, f64>,
    pub(crate) rejected_per_second: f64,
    /// Numbers of the connections that have ended since the previous sample.
    pub(crate) waited: Times,
    pub(crate) set_up: Times,
    pub(crate) ran: Times,
}

/// The bounds within which the half and 99 % lie, in microseconds; None: no connection has ended, or beyond
/// all bounds.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Times {
    pub(crate) half_us: Option<u64>,
    pub(crate) most_us: Option<u64>,
    #[serde(skip)]
    pub(crate) histogram: Histogram,
}

impl Times {
    pub(crate) fn of(histogram: Histogram) -> Times {
        Times { half_us: histogram.percentile(50), most_us: histogram.percentile(99), histogram }
    }
}

/// One live sandbox.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) service: String,
    #[serde(flatten)]
    pub(crate) sandbox: Sandbox,
    /// Numbers of all its processes. None: it has ended meanwhile, or /proc may not be read.
    pub(crate) cpu_ms: Option<u64>,
    /// Share of one processor, since the previous sample.
    pub(crate) cpu_percent: Option<f64>,
    pub(crate) memory_bytes: Option<u64>,
    #[serde(skip)]
    pub(crate) process_state: Option<char>,
    /// The supervisor's socket.
    #[serde(skip)]
    pub(crate) socket: PathBuf,
}

impl Row {
    /// One word: what the supervisor says, or of a running one what the kernel says.
    pub(crate) fn state(&self) -> &'static str {
        match (self.sandbox.state, self.process_state) {
            (State::Running, Some('S' | 'I')) => "sleeping",
            (State::Running, Some('D')) => "blocked",
            (State::Running, Some('T' | 't')) => "stopped",
            (State::Running, Some('Z' | 'X')) => "ending",
            (state, _) => state.word(),
        }
    }
}

/// A connection, wherever it is served.
type Key = (PathBuf, u64);

#[derive(Debug)]
pub(crate) struct Sampler {
    service: Option<String>,
    socket: Option<PathBuf>,
    processes: Processes,
    before: Option<Before>,
}

#[derive(Debug)]
struct Before {
    at: Instant,
    reports: Vec<(PathBuf, Report)>,
    used: HashMap<Key, Use>,
}

impl Sampler {
    pub(crate) fn new(options: &Options) -> Sampler {
        let (service, socket) = (options.service.clone(), options.socket.clone());
        Sampler { service, socket, processes: Processes::default(), before: None }
    }

    /// Asks everybody. Err: nobody answers.
    pub(crate) fn look(&mut self) -> Result<Sample, String> {
        let reports = self.ask()?;
        let at = Instant::now();
        let over = self.before.as_ref().map_or(Duration::ZERO, |before| at.duration_since(before.at));
        let mut used = HashMap::new();
        let mut sample = Sample { over_seconds: over.as_secs_f64(), ..Sample::default() };
        for (path, report) in &reports {
            let before = self.before.as_ref().and_then(|before| before.report(path, &report.service));
            sample.services.push(service(report, before, over));
            for sandbox in &report.sandboxes {
                let key = (path.clone(), sandbox.conn);
                let now = self.processes.of(sandbox.pid);
                let earlier = self.before.as_ref().and_then(|before| before.used.get(&key));
                sample.sandboxes.push(row(&report.service, path, sandbox, now, earlier, over));
                used.extend(now.map(|now| (key, now)));
            }
        }
        let pids: std::collections::HashSet<u32> =
            sample.sandboxes.iter().map(|row| row.sandbox.pid).collect();
        self.processes.keep(|pid| pids.contains(&pid));
        self.before = Some(Before { at, reports, used });
        Ok(sample)
    }

    fn ask(&self) -> Result<Vec<(PathBuf, Report)>, String> {
        let paths = self.socket.clone().map_or_else(place::candidates, |path| vec![path]);
        let mut reports = Vec::new();
        let mut last = None;
        for path in paths {
            match place::ask(&path) {
                Ok(of_path) => reports.extend(of_path.into_iter().map(|report| (path.clone(), report))),
                Err(error) => last = Some((path, error)),
            }
        }
        if reports.is_empty() {
            return Err(nobody(last));
        }
        if let Some(name) = &self.service {
            reports.retain(|(_, report)| report.service == *name);
            if reports.is_empty() {
                return Err(format!("no supervisor serves '{name}'; dayfly stats lists the services"));
            }
        }
        Ok(reports)
    }
}

fn nobody(last: Option<(PathBuf, io::Error)>) -> String {
    match last {
        Some((path, error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            format!(
                "cannot ask the supervisor at {}: {error}: run dayfly top as root, or as its user",
                path.display()
            )
        }
        Some((path, error)) => format!("no supervisor answers at {}: {error}", path.display()),
        None => {
            "no supervisor answers below /run/dayfly; start `dayfly serve`, or give --socket PATH".to_owned()
        }
    }
}

impl Before {
    fn report(&self, path: &PathBuf, service: &str) -> Option<&Report> {
        self.reports
            .iter()
            .find(|(of, report)| of == path && report.service == service)
            .map(|(_, report)| report)
    }
}

/// How many of them came each second.
#[allow(clippy::cast_precision_loss, reason = "no count is that large")]
fn rate(now: u64, before: u64, over: Duration) -> f64 {
    let seconds = over.as_secs_f64();
    if seconds > 0.0 { now.saturating_sub(before) as f64 / seconds } else { 0.0 }
}

fn service(report: &Report, before: Option<&Report>, over: Duration) -> Service {
    let counters = &report.counters;
    let nothing = Report::default();
    // Without an earlier look nothing is known of what came since.
    let old = &before.map_or(if over.is_zero() { report } else { &nothing }, |before| before).counters;
    let outcomes_per_second = counters.total.outcomes.iter().map(|(word, count)| {
        let earlier = old.total.outcomes.get(word).copied().unwrap_or(0);
        (word.clone(), rate(*count, earlier, over))
    });
    let sum = |words: &BTreeMap<String, u64>| words.values().copied().fold(0, u64::saturating_add);
    Service {
        service: report.service.clone(),
        supervisor: report.supervisor.clone(),
        live: report.live,
        parked: report.parked,
        waiting: report.waiting,
        sources: report.sources,
        limits: report.limits,
        connections: counters.total.connections,
        outcomes: counters.total.outcomes.clone(),
        rejected: counters.rejected.clone(),
        gone: counters.gone,
        connections_per_second: rate(counters.total.connections, old.total.connections, over),
        outcomes_per_second: outcomes_per_second.collect(),
        rejected_per_second: rate(sum(&counters.rejected), sum(&old.rejected), over),
        waited: Times::of(counters.wait.since(&old.wait)),
        set_up: Times::of(counters.setup.since(&old.setup)),
        ran: Times::of(counters.run.since(&old.run)),
    }
}

fn row(
    service: &str,
    socket: &std::path::Path,
    sandbox: &Sandbox,
    now: Option<Use>,
    before: Option<&Use>,
    over: Duration,
) -> Row {
    let percent = now
        .zip(before)
        .filter(|_| !over.is_zero())
        .map(|(now, before)| 100.0 * now.cpu.saturating_sub(before.cpu).as_secs_f64() / over.as_secs_f64());
    Row {
        service: service.to_owned(),
        sandbox: sandbox.clone(),
        cpu_ms: now.map(|now| u64::try_from(now.cpu.as_millis()).unwrap_or(u64::MAX)),
        cpu_percent: percent,
        memory_bytes: now.map(|now| now.memory),
        process_state: now.map(|now| now.state),
        socket: socket.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::counters::Ended;

    #[test]
    fn rates_are_of_the_time_since_the_look_before() {
        let mut before = Report { service: "a".to_owned(), ..Report::default() };
        let ended = |outcome| Ended { at: 5, outcome, launched: true, run_us: 900, ..Ended::default() };
        before.counters.ended(&ended("exited"));
        let mut after = before.clone();
        for _ in 0..4 {
            after.counters.ended(&ended("denied"));
        }
        after.counters.rejected("rate");
        let shown = service(&after, Some(&before), Duration::from_secs(2));
        assert_eq!((shown.connections, shown.connections_per_second.round()), (5, 2.0));
        assert_eq!(shown.outcomes_per_second["denied"].round(), 2.0);
        assert_eq!(shown.outcomes_per_second["exited"].round(), 0.0);
        assert_eq!((shown.rejected_per_second * 2.0).round(), 1.0);
        assert_eq!((shown.ran.histogram.count, shown.ran.most_us), (4, Some(1000)));
        // The first look has no rates.
        assert_eq!(service(&after, None, Duration::ZERO).ran.histogram.count, 0);
    }

    #[test]
    fn processor_time_is_a_share_of_one_processor() {
        let used = |millis| Use { cpu: Duration::from_millis(millis), memory: 4096, state: 'R' };
        let path = std::path::Path::new("/x");
        let row =
            row("a", path, &Sandbox::default(), Some(used(500)), Some(&used(0)), Duration::from_secs(2));
        assert_eq!((row.cpu_ms, row.cpu_percent.map(f64::round)), (Some(500), Some(25.0)));
        assert_eq!(row.state(), "running");
    }
}
