//! Statistics as a page: what the launcher counted, which it leaves in a file that this program can read.
//!
//! It is off unless the configuration gives its selector. The file may be missing, older or newer than this
//! program: the page shows the members that are known.

mod json;

use std::fs::File;
use std::io::{self, Read as _};

use crate::menu::{self, Menu};
use crate::output::Output;
use crate::site::Site;
use json::Json;

/// The longest file that is read, and how many selectors are shown of it.
const STATS_BYTES_MAX: u64 = 256 * 1024;
const SELECTORS_MAX: usize = 50;

/// How long the bar of the busiest hour is.
const BAR_COLUMNS: u64 = 48;

pub(crate) fn is_asked_for(site: &Site<'_>, selector: &[u8]) -> bool {
    let ours = site.settings.stats.as_deref();
    ours.is_some_and(|ours| selector == ours || ours.strip_prefix(b"/") == Some(selector))
}

pub(crate) fn answer(site: &Site<'_>, output: &mut Output<'_>) -> io::Result<()> {
    let mut menu = Menu::new(output, site);
    menu.title(b"Statistics")?;
    menu.info(b"")?;
    for line in lines(read(site).as_ref()) {
        menu.info(line.as_bytes())?;
    }
    menu::end(output)
}

/// The file is the operator's and no part of the tree, so it is opened by its name.
fn read(site: &Site<'_>) -> Option<Json> {
    let mut text = Vec::new();
    let file = File::open(&site.settings.stats_file).ok()?;
    file.take(STATS_BYTES_MAX).read_to_end(&mut text).ok()?;
    json::parse(&text)
}

fn lines(stats: Option<&Json>) -> Vec<String> {
    let Some(stats) = stats else { return vec!["There are no statistics yet.".to_owned()] };
    let mut lines = Vec::new();
    for (key, title) in [("today", "Today"), ("total", "Overall")] {
        let Some(period) = stats.get(key) else { continue };
        let connections = period.get("connections").and_then(Json::count).unwrap_or(0);
        lines.push(format!("{title}: {connections} connections"));
        for (outcome, count) in period.get("outcomes").map_or(&[][..], Json::members) {
            lines.push(format!("  {outcome:<24} {:>12}", count.count().unwrap_or(0)));
        }
        lines.push(String::new());
    }
    let hours: Vec<u64> =
        stats.get("hours").map_or(&[][..], Json::entries).iter().filter_map(Json::count).collect();
    if hours.len() == 24 {
        lines.push("By hour of the day (UTC)".to_owned());
        lines.extend(bars(&hours));
        lines.push(String::new());
    }
    let selectors = stats.get("selectors").map_or(&[][..], Json::entries);
    if !selectors.is_empty() {
        lines.push("Asked for most".to_owned());
    }
    for entry in selectors.iter().take(SELECTORS_MAX) {
        if let (Some(selector), Some(count)) =
            (entry.get("selector").and_then(Json::text), entry.get("count").and_then(Json::count))
        {
            let shown = if selector.is_empty() { "/" } else { selector };
            lines.push(format!("  {count:>8}  {}", shown.chars().take(56).collect::<String>()));
        }
    }
    lines
}

/// A bar for each hour, the busiest as long as the page is wide, and none without at least a mark where there
/// was anybody.
fn bars(hours: &[u64]) -> Vec<String> {
    let most = hours.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: u64| {
        let columns = u128::from(count) * u128::from(BAR_COLUMNS) / u128::from(most);
        "#".repeat(usize::try_from(columns).unwrap_or(0).max(usize::from(count > 0)))
    };
    let rows = hours.iter().enumerate();
    rows.map(|(hour, &count)| format!("  {hour:02}  {count:>8}  {}", bar(count)).trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_hour_has_the_longest_bar_and_a_visit_is_never_nothing() {
        let rows = bars(&[0, 1, 1_000, u64::MAX]);
        assert_eq!(rows[0], "  00         0");
        assert!(rows[1].ends_with("1  #") && rows[3].ends_with(&"#".repeat(48)), "{rows:?}");
        assert!(!rows[3].ends_with(&"#".repeat(49)));
    }

    #[test]
    fn a_file_with_other_things_in_it_shows_what_is_understood() {
        let json = json::parse(br#"{"x":[1],"today":{"connections":"many","outcomes":[]},"hours":[1,2]}"#);
        assert_eq!(lines(json.as_ref()), ["Today: 0 connections", ""]);
    }
}
