//! Statistics as text for people.

use crate::log::escape;
use report::Report;
use report::histogram::Histogram;
use std::fmt::Write;

/// Names shown of each list.
const SHOWN: usize = 10;
const BAR: u64 = 40;

pub(super) fn page(reports: &[Report]) -> String {
    let mut page = String::new();
    for report in reports {
        if !page.is_empty() {
            page.push('\n');
        }
        push(&mut page, report);
    }
    page
}

fn push(page: &mut String, report: &Report) {
    let counters = &report.counters;
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line(format!("service {}: {} live, {} parked", report.service, report.live, report.parked));
    for (title, period) in [("today", &counters.today), ("overall", &counters.total)] {
        let mut text = format!("  {title:<9} {:>9} connections", period.connections);
        for (outcome, count) in &period.outcomes {
            _ = write!(text, ", {count} {}", escape(outcome.as_bytes()));
        }
        line(text);
    }
    for (limit, count) in &counters.rejected {
        line(format!("  rejected  {count:>9} by {}", escape(limit.as_bytes())));
    }
    if counters.gone > 0 {
        line(format!("  gone      {:>9} before they had a sandbox", counters.gone));
    }
    if counters.unkillable > 0 {
        line(format!("  unkillable {:>8} sandboxes that SIGKILL did not end", counters.unkillable));
    }
    if counters.suppressed > 0 {
        line(format!("  suppressed {:>8} lines of handlers, too many for the log", counters.suppressed));
    }
    for (title, times) in [("waited", &counters.wait), ("set up", &counters.setup), ("ran", &counters.run)] {
        if times.count > 0 {
            line(format!("  {title:<9} {}", percentiles(times)));
        }
    }
    let most = counters.hours.iter().copied().max().unwrap_or(0).max(1);
    if counters.total.connections > 0 {
        line("  by hour of the day (UTC)".to_owned());
    }
    for (hour, count) in counters.hours.iter().enumerate().filter(|(_, count)| **count > 0) {
        let columns = usize::try_from(u128::from(*count) * u128::from(BAR) / u128::from(most)).unwrap_or(0);
        line(format!("    {hour:02} {count:>9} {}", "#".repeat(columns.max(1))));
    }
    for (title, names) in [("asked for most", &counters.selectors), ("peers", &counters.peers)] {
        let names = names.sorted();
        if !names.is_empty() {
            line(format!("  {title}"));
        }
        for named in names.iter().take(SHOWN) {
            line(format!("    {:>9} {}", named.count, escape(named.name.as_bytes())));
        }
    }
}

fn percentiles(times: &Histogram) -> String {
    let shown = |percent| match times.percentile(percent) {
        Some(micros) if micros < 1_000 => format!("{micros} µs"),
        Some(micros) if micros < 1_000_000 => format!("{} ms", micros / 1_000),
        Some(micros) => format!("{} s", micros / 1_000_000),
        None => "longer".to_owned(),
    };
    format!("half within {}, 99 % within {}", shown(50), shown(99))
}
