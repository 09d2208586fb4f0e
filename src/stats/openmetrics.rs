//! OpenMetrics text (version 1.0.0 of its specification): families one after the other, each with its type, `# EOF` at the
//! end. For a node exporter's textfile directory or a timer that posts it; nothing here listens to the network.

use super::Report;
use super::counters::Words;
use super::histogram::Histogram;
use std::fmt::Write;

pub(super) fn page(reports: &[Report]) -> String {
    let mut page = String::new();
    counter(&mut page, reports, "dayfly_connections", "Connections that have ended.", "outcome", |report| {
        &report.counters.total.outcomes
    });
    counter(&mut page, reports, "dayfly_rejected", "Connections over a limit.", "limit", |report| {
        &report.counters.rejected
    });
    head(&mut page, "dayfly_gone", "counter", "Connections reset before they had a sandbox.");
    for report in reports {
        _ = writeln!(
            page,
            "dayfly_gone_total{{service=\"{}\"}} {}",
            label(&report.service),
            report.counters.gone
        );
    }
    histogram(&mut page, reports, "dayfly_wait_seconds", "Until there was a sandbox.", |r| &r.counters.wait);
    histogram(&mut page, reports, "dayfly_setup_seconds", "Until the handler ran.", |r| &r.counters.setup);
    histogram(&mut page, reports, "dayfly_run_seconds", "Until the end.", |r| &r.counters.run);
    head(&mut page, "dayfly_cpu_seconds", "counter", "CPU time of handlers.");
    for report in reports {
        let (service, cpu) = (label(&report.service), seconds(report.counters.cpu_us));
        _ = writeln!(page, "dayfly_cpu_seconds_total{{service=\"{service}\"}} {cpu}");
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
    reports: &[Report],
    name: &str,
    help: &str,
    by: &str,
    words: impl Fn(&Report) -> &Words,
) {
    head(page, name, "counter", help);
    for report in reports {
        let service = label(&report.service);
        for (word, count) in words(report) {
            _ = writeln!(page, "{name}_total{{service=\"{service}\",{by}=\"{}\"}} {count}", label(word));
        }
    }
}

fn gauge(page: &mut String, reports: &[Report], name: &str, help: &str, value: impl Fn(&Report) -> u64) {
    head(page, name, "gauge", help);
    for report in reports {
        _ = writeln!(page, "{name}{{service=\"{}\"}} {}", label(&report.service), value(report));
    }
}

fn histogram(
    page: &mut String,
    reports: &[Report],
    name: &str,
    help: &str,
    times: impl Fn(&Report) -> &Histogram,
) {
    head(page, name, "histogram", help);
    for report in reports {
        let (service, times) = (label(&report.service), times(report));
        for (bound, count) in times.cumulative() {
            let bound = seconds(bound);
            _ = writeln!(page, "{name}_bucket{{service=\"{service}\",le=\"{bound}\"}} {count}");
        }
        _ = writeln!(page, "{name}_bucket{{service=\"{service}\",le=\"+Inf\"}} {}", times.count);
        _ = writeln!(page, "{name}_count{{service=\"{service}\"}} {}", times.count);
        _ = writeln!(page, "{name}_sum{{service=\"{service}\"}} {}", seconds(times.sum_us));
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
}
