//! OpenMetrics text (version 1.0.0 of its specification): families one after the other, each with its type,
//! `# EOF` at the end. For a node exporter's textfile directory or a timer that posts it; nothing here
//! listens to the network.

use report::counters::{OUTCOMES, REJECTIONS, Words};
use report::histogram::Histogram;
use report::{Limits, Report};
use std::fmt::Write;

/// A service's report, and what its samples are labelled with.
struct Labelled<'a> {
    report: &'a Report,
    labels: String,
}

/// By the service; where several supervisors serve one of that name, by the supervisor too: no two samples
/// may be labelled alike.
fn labelled<'a>(report: &'a Report, all: &[Report]) -> Labelled<'a> {
    let alike = all.iter().filter(|other| other.service == report.service).count();
    let mut labels = format!("service=\"{}\"", label(&report.service));
    if alike > 1 {
        _ = write!(labels, ",supervisor=\"{}\"", label(&report.supervisor));
    }
    Labelled { report, labels }
}

pub(super) fn page(reports: &[Report]) -> String {
    let mut page = String::new();
    let reports: Vec<_> = reports.iter().map(|report| labelled(report, reports)).collect();
    let reports = reports.as_slice();
    let ended = ["dayfly_connections", "Connections that have ended.", "outcome"];
    counter(&mut page, reports, ended, &OUTCOMES, |report| &report.counters.total.outcomes);
    let rejected = ["dayfly_rejected", "Connections over a limit.", "limit"];
    counter(&mut page, reports, rejected, &REJECTIONS, |report| &report.counters.rejected);
    head(&mut page, "dayfly_gone", "counter", "Connections reset before they had a sandbox.");
    for Labelled { report, labels } in reports {
        _ = writeln!(page, "dayfly_gone_total{{{labels}}} {}", report.counters.gone);
    }
    head(&mut page, "dayfly_unkillable", "counter", "Sandboxes that SIGKILL did not end.");
    for Labelled { report, labels } in reports {
        _ = writeln!(page, "dayfly_unkillable_total{{{labels}}} {}", report.counters.unkillable);
    }
    head(&mut page, "dayfly_suppressed_lines", "counter", "Lines of handlers that the log did not take.");
    for Labelled { report, labels } in reports {
        _ = writeln!(page, "dayfly_suppressed_lines_total{{{labels}}} {}", report.counters.suppressed);
    }
    histogram(&mut page, reports, "dayfly_wait_seconds", "Until there was a sandbox.", |r| &r.counters.wait);
    histogram(&mut page, reports, "dayfly_setup_seconds", "Until the handler ran.", |r| &r.counters.setup);
    histogram(&mut page, reports, "dayfly_run_seconds", "Until the end.", |r| &r.counters.run);
    head(&mut page, "dayfly_cpu_seconds", "counter", "CPU time of handlers.");
    for Labelled { report, labels } in reports {
        _ = writeln!(page, "dayfly_cpu_seconds_total{{{labels}}} {}", seconds(report.counters.cpu_us));
    }
    gauges(&mut page, reports);
    page.push_str("# EOF\n");
    page
}

fn head(page: &mut String, name: &str, kind: &str, help: &str) {
    _ = writeln!(page, "# TYPE {name} {kind}");
    if let Some(unit) = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(&format!("_{unit}"))) {
        _ = writeln!(page, "# UNIT {name} {unit}");
    }
    _ = writeln!(page, "# HELP {name} {help}");
}

/// A row of each word from the start: a series that begins at 1 has no rise that could be seen.
fn counter(
    page: &mut String,
    reports: &[Labelled<'_>],
    [name, help, by]: [&str; 3],
    known: &[&str],
    words: impl Fn(&Report) -> &Words,
) {
    head(page, name, "counter", help);
    for Labelled { report, labels } in reports {
        let counted = words(report);
        let mut all: Vec<&str> = counted.keys().map(String::as_str).chain(known.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        for word in all {
            let count = counted.get(word).copied().unwrap_or(0);
            _ = writeln!(page, "{name}_total{{{labels},{by}=\"{}\"}} {count}", label(word));
        }
    }
}

/// Places in use, and the limits that they come up against.
fn gauges(page: &mut String, reports: &[Labelled<'_>]) {
    let count = |number: u64| Some(number.to_string());
    gauge(page, reports, "dayfly_live", "Connections now.", |report| count(report.live));
    gauge(page, reports, "dayfly_waiting", "Connections without a sandbox yet.", |report| {
        count(report.waiting)
    });
    gauge(page, reports, "dayfly_parked", "Sandboxes that wait.", |report| count(report.parked));
    gauge(page, reports, "dayfly_sources", "Different sources of the connections.", |report| {
        count(report.sources)
    });
    let limit = |page: &mut String, name: &str, help: &str, of: fn(&Limits) -> String| {
        gauge(page, reports, name, help, |report| report.limits.as_ref().map(of));
    };
    limit(page, "dayfly_max_connections", "Limit on connections at a time.", |limits| {
        limits.max_connections.to_string()
    });
    limit(page, "dayfly_max_per_source", "Limit on connections of one source.", |limits| {
        limits.max_per_source.to_string()
    });
    limit(page, "dayfly_memory_limit_bytes", "Limit on the memory of a sandbox.", |limits| {
        limits.memory_bytes.map_or_else(none, |bytes| bytes.to_string())
    });
    limit(page, "dayfly_wall_time_limit_seconds", "Limit on the time of a connection.", |limits| {
        limits.wall_time_us.map_or_else(none, seconds)
    });
    limit(page, "dayfly_idle_time_limit_seconds", "Limit on the time without a byte.", |limits| {
        limits.idle_time_us.map_or_else(none, seconds)
    });
}

/// No limit.
fn none() -> String {
    "+Inf".to_owned()
}

fn gauge(
    page: &mut String,
    reports: &[Labelled<'_>],
    name: &str,
    help: &str,
    value: impl Fn(&Report) -> Option<String>,
) {
    head(page, name, "gauge", help);
    for Labelled { report, labels } in reports {
        if let Some(value) = value(report) {
            _ = writeln!(page, "{name}{{{labels}}} {value}");
        }
    }
}

fn histogram(
    page: &mut String,
    reports: &[Labelled<'_>],
    name: &str,
    help: &str,
    times: impl Fn(&Report) -> &Histogram,
) {
    head(page, name, "histogram", help);
    for Labelled { report, labels } in reports {
        let times = times(report);
        for (bound, count) in times.cumulative() {
            let bound = seconds(bound);
            _ = writeln!(page, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        _ = writeln!(page, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", times.count);
        _ = writeln!(page, "{name}_count{{{labels}}} {}", times.count);
        _ = writeln!(page, "{name}_sum{{{labels}}} {}", seconds(times.sum_us));
    }
}

/// A decimal number with a point, as the specification wants bounds written.
fn seconds(micros: u64) -> String {
    let fraction = format!("{:06}", micros % 1_000_000);
    let fraction = fraction.trim_end_matches('0');
    format!("{}.{}", micros / 1_000_000, if fraction.is_empty() { "0" } else { fraction })
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::counters::{Counters, Ended};

    #[test]
    fn a_page_is_families_with_their_type_and_ends_with_eof() {
        let mut counters = Counters::default();
        counters.ended(&Ended { at: 5, outcome: "exited", launched: true, wait_us: 7, ..Ended::default() });
        let page = page(&[Report { service: "a\"b".to_owned(), counters, ..Report::default() }]);
        assert!(
            page.contains("dayfly_connections_total{service=\"a\\\"b\",outcome=\"exited\"} 1\n"),
            "{page}"
        );
        assert!(page.contains("dayfly_wait_seconds_bucket{service=\"a\\\"b\",le=\"0.00001\"} 1\n"), "{page}");
        assert!(page.contains("dayfly_wait_seconds_sum{service=\"a\\\"b\"} 0.000007\n"), "{page}");
        assert!(page.ends_with("# EOF\n"));
        // Each sample belongs to the family named last.
        let mut family = "";
        for line in page.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["#", "TYPE", name, _] => family = name,
                ["#", ..] => {}
                _ => assert!(line.starts_with(family), "{line} after {family}"),
            }
        }
    }

    /// Names of samples by the type of their family, as the specification has them.
    #[test]
    fn each_sample_has_the_name_that_its_type_asks_for() {
        let mut counters = Counters::default();
        counters.ended(&Ended { at: 5, outcome: "exited", launched: true, ..Ended::default() });
        counters.rejected("rate");
        counters.gone();
        let limits = Some(Limits { max_connections: 7, ..Limits::default() });
        let page = page(&[Report { service: "a".to_owned(), counters, limits, ..Report::default() }]);
        let (mut family, mut kind, mut samples) = ("", "", std::collections::BTreeMap::new());
        for line in page.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["#", "TYPE", name, of] => (family, kind) = (name, of),
                ["#", ..] => {}
                _ => {
                    let name = line.split(['{', ' ']).next().unwrap();
                    let suffixes: &[&str] = match kind {
                        "counter" => &["_total"],
                        "gauge" => &[""],
                        "histogram" => &["_bucket", "_count", "_sum"],
                        other => panic!("{other} is no type of ours"),
                    };
                    let suffix = name.strip_prefix(family).unwrap_or("of another family");
                    assert!(suffixes.contains(&suffix), "{line} in {kind} {family}");
                    *samples.entry(family).or_insert(0) += 1;
                }
            }
        }
        for family in [
            "connections",
            "rejected",
            "gone",
            "cpu_seconds",
            "wait_seconds",
            "live",
            "waiting",
            "parked",
            "sources",
            "max_connections",
            "max_per_source",
            "memory_limit_bytes",
            "wall_time_limit_seconds",
            "idle_time_limit_seconds",
        ] {
            assert!(samples.contains_key(format!("dayfly_{family}").as_str()), "{family}: {samples:?}");
        }
    }

    #[test]
    fn every_outcome_and_every_limit_has_a_sample_before_the_first_connection() {
        let limits = Some(Limits { max_connections: 7, wall_time_us: Some(1_500_000), ..Limits::default() });
        let page = page(&[Report { service: "a".to_owned(), live: 3, limits, ..Report::default() }]);
        for outcome in OUTCOMES {
            let line = format!("dayfly_connections_total{{service=\"a\",outcome=\"{outcome}\"}} 0\n");
            assert!(page.contains(&line), "{line}{page}");
        }
        for line in [
            "dayfly_rejected_total{service=\"a\",limit=\"max-per-source\"} 0\n",
            "dayfly_live{service=\"a\"} 3\n",
            "dayfly_max_connections{service=\"a\"} 7\n",
            "dayfly_wall_time_limit_seconds{service=\"a\"} 1.5\n",
            "dayfly_memory_limit_bytes{service=\"a\"} +Inf\n",
        ] {
            assert!(page.contains(line), "{line}{page}");
        }
    }

    #[test]
    fn no_two_samples_have_the_same_labels() {
        let of = |supervisor: &str| Report {
            service: "-".to_owned(),
            supervisor: supervisor.to_owned(),
            ..Report::default()
        };
        let page = page(&[of("dayfly/stats-7"), of("dayfly/stats-8")]);
        let mut samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        samples.iter_mut().for_each(|line| *line = line.rsplit_once(' ').map_or(*line, |(labels, _)| labels));
        let all = samples.len();
        samples.sort_unstable();
        samples.dedup();
        assert!(all > 0 && samples.len() == all, "{page}");
    }
}
