//! OpenMetrics text (version 1.0.0 of its specification): families one after the other, each with its type,
//! `# EOF` at the end. For a node exporter's textfile directory or a timer that posts it; nothing here
//! listens to the network.

use super::Report;
use super::counters::Words;
use super::histogram::Histogram;
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
    counter(&mut page, reports, "dayfly_connections", "Connections that have ended.", "outcome", |report| {
        &report.counters.total.outcomes
    });
    counter(&mut page, reports, "dayfly_rejected", "Connections over a limit.", "limit", |report| {
        &report.counters.rejected
    });
    head(&mut page, "dayfly_gone", "counter", "Connections reset before they had a sandbox.");
    for Labelled { report, labels } in reports {
        _ = writeln!(page, "dayfly_gone_total{{{labels}}} {}", report.counters.gone);
    }
    histogram(&mut page, reports, "dayfly_wait_seconds", "Until there was a sandbox.", |r| &r.counters.wait);
    histogram(&mut page, reports, "dayfly_setup_seconds", "Until the handler ran.", |r| &r.counters.setup);
    histogram(&mut page, reports, "dayfly_run_seconds", "Until the end.", |r| &r.counters.run);
    head(&mut page, "dayfly_cpu_seconds", "counter", "CPU time of handlers.");
    for Labelled { report, labels } in reports {
        _ = writeln!(page, "dayfly_cpu_seconds_total{{{labels}}} {}", seconds(report.counters.cpu_us));
    }
    gauge(&mut page, reports, "dayfly_live", "Connections now.", |report| report.live);
    gauge(&mut page, reports, "dayfly_parked", "Sandboxes that wait.", |report| report.parked);
    page.push_str("# EOF\n");
    page
}

fn head(page: &mut String, name: &str, kind: &str, help: &str) {
    _ = writeln!(page, "# TYPE {name} {kind}");
    if name.ends_with("_seconds") {
        _ = writeln!(page, "# UNIT {name} seconds");
    }
    _ = writeln!(page, "# HELP {name} {help}");
}

fn counter(
    page: &mut String,
    reports: &[Labelled<'_>],
    name: &str,
    help: &str,
    by: &str,
    words: impl Fn(&Report) -> &Words,
) {
    head(page, name, "counter", help);
    for Labelled { report, labels } in reports {
        for (word, count) in words(report) {
            _ = writeln!(page, "{name}_total{{{labels},{by}=\"{}\"}} {count}", label(word));
        }
    }
}

fn gauge(
    page: &mut String,
    reports: &[Labelled<'_>],
    name: &str,
    help: &str,
    value: impl Fn(&Report) -> u64,
) {
    head(page, name, "gauge", help);
    for Labelled { report, labels } in reports {
        _ = writeln!(page, "{name}{{{labels}}} {}", value(report));
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
    use crate::stats::counters::{Counters, Ended};

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
        let page = page(&[Report { service: "a".to_owned(), counters, ..Report::default() }]);
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
        for family in ["connections", "rejected", "gone", "cpu_seconds", "wait_seconds", "live", "parked"] {
            assert!(samples.contains_key(format!("dayfly_{family}").as_str()), "{family}: {samples:?}");
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
