//! Draws the screen. All that comes from a supervisor is text of a name or a number; control characters are
//! not drawn.

use crate::app::App;
use crate::numbers::{bytes, micros, per_second, span};
use crate::sample::{Row, Sample, Service, Times};
use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Sparkline, Table, TableState};
use report::histogram::Histogram;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Lines above the table.
const HEAD: u16 = 5;
const WIDTH: u16 = 80;
/// Title before the curve.
const CURVE_TITLE: &str = "ran, 99 %  ";
const SOURCES_SHOWN: usize = 8;

pub(crate) fn draw(frame: &mut Frame<'_>, app: &App) {
    let [head, table, foot] =
        Layout::vertical([Constraint::Length(HEAD), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    draw_head(frame, head, app);
    draw_table(frame, table, app);
    let style = Style::new().add_modifier(Modifier::DIM);
    frame.render_widget(Paragraph::new(foot_line(app)).style(style), foot);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let lines = Layout::vertical([Constraint::Length(1); HEAD as usize]).split(area);
    let [title, rates, times, curve, sources] = lines.as_ref() else { return };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Paragraph::new(title_line(app)).style(bold), *title);
    frame.render_widget(Paragraph::new(rates_line(&app.sample)), *rates);
    frame.render_widget(Paragraph::new(times_line(&app.sample)), *times);
    let width = u16::try_from(CURVE_TITLE.len()).unwrap_or(0);
    let [name, curve] = Layout::horizontal([Constraint::Length(width), Constraint::Min(0)]).areas(*curve);
    frame.render_widget(Paragraph::new(CURVE_TITLE), name);
    let newest = app.history.len().saturating_sub(usize::from(curve.width));
    let heights = app.history.iter().skip(newest).map(|micros| height(*micros));
    frame.render_widget(Sparkline::default().data(heights).max(height(u64::MAX)), curve);
    frame.render_widget(Paragraph::new(sources_line(app)), *sources);
}

/// Times span seven powers of ten: a line that goes up by one is twice as long.
fn height(micros: u64) -> u64 {
    const LONGEST: u64 = 200_000_000;
    u64::from(micros.min(LONGEST).checked_ilog2().map_or(0, |log| log + 1))
}

fn title_line(app: &App) -> String {
    let services = &app.sample.services;
    let sum = |of: fn(&Service) -> u64| services.iter().map(of).fold(0, u64::saturating_add);
    let limit = |service: &Service| service.limits.map_or(0, |limits| limits.max_connections);
    let (live, waiting) = (sum(|service| service.live), sum(|service| service.waiting));
    let mut line = match services.as_slice() {
        [one] => format!("dayfly top: {}", plain(&one.service)),
        many => format!("dayfly top: {} services", many.len()),
    };
    let places = services.iter().map(limit).fold(0, u64::saturating_add);
    _ = write!(
        line,
        "  {live} live of {places}  {waiting} waiting  {} parked",
        sum(|service| service.parked)
    );
    if app.is_paused {
        line.push_str("  PAUSED");
    }
    line
}

fn rates_line(sample: &Sample) -> String {
    let mut outcomes: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
    for service in &sample.services {
        for (word, count) in &service.outcomes {
            let (rate, total) = outcomes.entry(word).or_default();
            *rate += service.outcomes_per_second.get(word).copied().unwrap_or(0.0);
            *total = total.saturating_add(*count);
        }
    }
    let sum = |of: fn(&Service) -> f64| sample.services.iter().map(of).sum::<f64>();
    let mut line = format!("ended {}", per_second(sum(|service| service.connections_per_second)));
    for (word, (rate, total)) in outcomes.into_iter().filter(|(_, (_, total))| *total > 0) {
        _ = write!(line, "  {} {total} ({})", plain(word), per_second(rate));
    }
    let rejected: u64 = sample.services.iter().flat_map(|service| service.rejected.values()).sum();
    if rejected > 0 {
        _ = write!(
            line,
            "  rejected {rejected} ({})",
            per_second(sum(|service| service.rejected_per_second))
        );
    }
    line
}

fn times_line(sample: &Sample) -> String {
    let of = |times: fn(&Service) -> &Times| {
        let mut all = Histogram::default();
        sample.services.iter().for_each(|service| all.merge(&times(service).histogram));
        format!("{}, {}", micros(all.percentile(50)), micros(all.percentile(99)))
    };
    let (waited, set_up, ran) = (of(|s| &s.waited), of(|s| &s.set_up), of(|s| &s.ran));
    format!("half, 99 % within  waited {waited}  set up {set_up}  ran {ran}")
}

/// The address of a peer without its port.
fn address(peer: &str) -> &str {
    match peer.rsplit_once(':') {
        Some((address, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            address.trim_start_matches('[').trim_end_matches(']')
        }
        _ => peer,
    }
}

fn sources_line(app: &App) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &app.sample.sandboxes {
        *counts.entry(address(&row.sandbox.peer)).or_default() += 1;
    }
    let all: u64 = app.sample.services.iter().map(|service| service.sources).sum();
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let shown = counts.iter().take(SOURCES_SHOWN).map(|(name, count)| format!("{} {count}", plain(name)));
    format!("{all} sources  {}", shown.collect::<Vec<_>>().join("  "))
}

fn foot_line(app: &App) -> String {
    if let Some(chosen) = &app.asks_about {
        return match app.row_of(chosen) {
            Some(row) => {
                format!("kill the sandbox of {}, pid {}? y kills", plain(&row.sandbox.peer), row.sandbox.pid)
            }
            None => "that sandbox has ended".to_owned(),
        };
    }
    if app.is_typing {
        return format!("filter: {}_  Enter ends, Escape clears", app.filter);
    }
    if let Some(message) = &app.message {
        return plain(message);
    }
    let filter = if app.filter.is_empty() { String::new() } else { format!(": {}", app.filter) };
    let order = app.sort.word();
    format!("q quit  s sort: {order}  r reverse  / filter{filter}  p pause  up down select  k kill")
}

/// Columns with their widths; with the gaps between them they are as wide as the narrowest terminal.
const COLUMNS: [(&str, u16); 9] = [
    ("SERVICE", 9),
    ("PEER", 21),
    ("PID", 7),
    ("AGE", 6),
    ("STATE", 8),
    ("CPU%", 5),
    ("MEM", 5),
    ("IN", 5),
    ("OUT", 5),
];

fn draw_table(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let rows = app.rows();
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let head = TableRow::new(COLUMNS.map(|(name, width)| cell(name, width, is_number(name)))).style(bold);
    let [service, peer, rest @ ..] = COLUMNS.map(|(_, width)| Constraint::Length(width));
    // Extra width of a terminal goes to the names.
    let (Constraint::Length(least_service), Constraint::Length(least_peer)) = (service, peer) else { return };
    let more = area.width.saturating_sub(WIDTH);
    let widths = [Constraint::Length(least_service + more / 2), Constraint::Length(least_peer + more / 2)];
    let lines = rows.iter().map(|row| TableRow::new(cells(row, more / 2)));
    let table = Table::new(lines, widths.into_iter().chain(rest))
        .header(head)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(app.place(&rows));
    frame.render_stateful_widget(table, area, &mut state);
}

fn is_number(column: &str) -> bool {
    !["SERVICE", "PEER", "STATE"].contains(&column)
}

fn cell(text: &str, width: u16, is_number: bool) -> Cell<'static> {
    let width = usize::from(width);
    Cell::from(Line::from(if is_number { format!("{text:>width$}") } else { cut(text, width) }))
}

/// A name that is too long ends with a mark.
fn cut(text: &str, width: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn cells(row: &Row, more: u16) -> Vec<Cell<'static>> {
    let sandbox = &row.sandbox;
    let known = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), bytes);
    let texts = [
        row.service.clone(),
        sandbox.peer.clone(),
        sandbox.pid.to_string(),
        span(Duration::from_micros(sandbox.age_us)),
        row.state().to_owned(),
        row.cpu_percent.map_or_else(|| "-".to_owned(), |share| format!("{share:.1}")),
        known(row.memory_bytes),
        known(sandbox.bytes_in),
        known(sandbox.bytes_out),
    ];
    let widths = COLUMNS
        .iter()
        .enumerate()
        .map(|(index, (name, width))| (*name, if index < 2 { width.saturating_add(more) } else { *width }));
    texts.iter().zip(widths).map(|(text, (name, width))| cell(text, width, is_number(name))).collect()
}

/// Text without characters that would change the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The whole picture as text, as wide as the narrowest terminal, with all rows.
pub(crate) fn text(app: &App) -> Result<String, String> {
    let rows = u16::try_from(app.rows().len()).unwrap_or(u16::MAX - HEAD - 2);
    let backend = TestBackend::new(WIDTH, HEAD + 2 + rows);
    let mut terminal = Terminal::new(backend).map_err(|error| error.to_string())?;
    terminal.draw(|frame| draw(frame, app)).map_err(|error| error.to_string())?;
    let buffer = terminal.backend().buffer();
    let mut page = String::new();
    // The last line is of keys.
    for line in buffer.content.chunks(usize::from(WIDTH)).take(usize::from(HEAD + 1 + rows)) {
        let line: String = line.iter().map(|cell| cell.symbol()).collect();
        page.push_str(line.trim_end());
        page.push('\n');
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;
    use crate::app::Key;
    use crate::app::tests::{app, row};

    #[test]
    fn the_columns_fit_the_narrowest_terminal() {
        let gaps = u16::try_from(COLUMNS.len()).unwrap() - 1;
        assert!(COLUMNS.iter().map(|(_, width)| width).sum::<u16>() + gaps <= WIDTH);
    }

    #[test]
    fn a_row_shows_its_peer_share_and_memory_in_eighty_columns() {
        let app = app(vec![
            row(1, "[2001:db8:aaaa:bbbb:cccc::1]:40000", 12.34, 3 << 20),
            row(2, "192.0.2.1:5", 0.0, 1),
        ]);
        let page = text(&app).unwrap();
        let lines: Vec<&str> = page.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{page}");
        let shown: Vec<&str> = lines[6].split_whitespace().collect();
        assert_eq!(
            shown,
            ["gopher", "[2001:db8:aaaa:bbbb:…", "100", "0ms", "running", "12.3", "3.0M", "-", "-"]
        );
        assert!(lines[7].contains("192.0.2.1:5") && lines.len() == 8, "{page}");
        assert!(lines[4].contains("2001:db8:aaaa:bbbb:cccc::1 1"), "{page}");
    }

    #[test]
    fn the_head_is_whole_where_no_sandbox_is_live() {
        let page = text(&app(Vec::new())).unwrap();
        let begins: Vec<&str> = page.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(begins, ["dayfly", "ended", "half,", "ran,", "0", "SERVICE"], "{page}");
    }

    #[test]
    fn a_name_cannot_change_the_terminal() {
        let page = text(&app(vec![row(1, "a\x1b[2J\nb", 0.0, 0)])).unwrap();
        assert!(!page.contains('\x1b') && page.contains("a?[2J?b"), "{page}");
    }

    #[test]
    fn the_last_line_asks_before_it_kills() {
        let mut app = app(vec![row(1, "192.0.2.1:5", 0.0, 0)]);
        app.on_key(Key::Down);
        app.on_key(Key::Char('k'));
        assert_eq!(foot_line(&app), "kill the sandbox of 192.0.2.1:5, pid 100? y kills");
    }

    #[test]
    fn a_longer_time_is_a_higher_line() {
        assert_eq!(height(0), 0);
        assert!(height(100) < height(1_000) && height(1_000_000) < height(u64::MAX));
    }
}
