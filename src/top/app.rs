//! The state of the screen, and the effect of keys on it. No drawing, no input and no output.

use crate::options::{Column, Options};
use crate::sample::{Row, Sample};
use report::histogram::Histogram;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::path::PathBuf;

/// Looks that the curve of times goes back.
const HISTORY_MAX: usize = 120;

/// A sandbox, by its supervisor's socket and the number of its connection.
pub(crate) type Chosen = (PathBuf, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Enter,
    Escape,
    Backspace,
    Interrupt,
}

/// Action of the loop for a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    Quit,
    Kill(Chosen),
}

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) sample: Sample,
    /// Within which time 99 % of the connections ran, in microseconds, by look; 0 without any.
    pub(crate) history: VecDeque<u64>,
    pub(crate) sort: Column,
    pub(crate) reverse: bool,
    pub(crate) filter: String,
    pub(crate) is_typing: bool,
    pub(crate) is_paused: bool,
    /// To be killed, if the next key says so.
    pub(crate) asks_about: Option<Chosen>,
    pub(crate) selected: Option<Chosen>,
    /// Shown until the next key.
    pub(crate) message: Option<String>,
}

impl App {
    pub(crate) fn new(options: &Options) -> App {
        App {
            sample: Sample::default(),
            history: VecDeque::new(),
            sort: options.sort,
            reverse: false,
            filter: options.filter.clone(),
            is_typing: false,
            is_paused: false,
            asks_about: None,
            selected: None,
            message: None,
        }
    }

    pub(crate) fn update(&mut self, sample: Sample) {
        let mut ran = Histogram::default();
        sample.services.iter().for_each(|service| ran.merge(&service.ran.histogram));
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        // Beyond the last bound it is longer than that.
        let longest = if ran.count == 0 { 0 } else { ran.percentile(99).unwrap_or(u64::MAX) };
        self.history.push_back(longest);
        self.sample = sample;
    }

    /// The rows in their order, without those that the filter hides.
    pub(crate) fn rows(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.sample.sandboxes.iter().filter(|row| self.shows(row)).collect();
        rows.sort_by(|a, b| {
            let order = compare(self.sort, a, b);
            let order = if self.reverse { order.reverse() } else { order };
            order.then_with(|| identity(a).cmp(&identity(b)))
        });
        rows
    }

    fn shows(&self, row: &Row) -> bool {
        let has = |text: &str| text.contains(&self.filter);
        has(&row.service) || has(&row.sandbox.peer) || has(row.state()) || has(&row.sandbox.pid.to_string())
    }

    /// The place of the selected row.
    pub(crate) fn place(&self, rows: &[&Row]) -> Option<usize> {
        let chosen = self.selected.as_ref()?;
        rows.iter().position(|row| is_of(row, chosen))
    }

    pub(crate) fn on_key(&mut self, key: Key) -> Action {
        self.message = None;
        if key == Key::Interrupt {
            return Action::Quit;
        }
        if let Some(chosen) = self.asks_about.take() {
            if key == Key::Char('y') {
                return Action::Kill(chosen);
            }
            self.message = Some("nothing was killed".to_owned());
            return Action::Nothing;
        }
        if self.is_typing {
            self.type_filter(key);
            return Action::Nothing;
        }
        match key {
            Key::Char('q') => return Action::Quit,
            Key::Char('s') => self.sort = self.sort.next(),
            Key::Char('r') => self.reverse = !self.reverse,
            Key::Char('p') => self.is_paused = !self.is_paused,
            Key::Char('/') => self.is_typing = true,
            Key::Char('k') => self.ask_to_kill(),
            Key::Escape => self.filter.clear(),
            Key::Up => self.step(-1),
            Key::Down => self.step(1),
            Key::PageUp => self.step(-10),
            Key::PageDown => self.step(10),
            Key::Char(_) | Key::Enter | Key::Backspace | Key::Interrupt => {}
        }
        Action::Nothing
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(c) => self.filter.push(c),
            Key::Backspace => drop(self.filter.pop()),
            Key::Escape => {
                self.filter.clear();
                self.is_typing = false;
            }
            Key::Enter => self.is_typing = false,
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Interrupt => {}
        }
    }

    fn ask_to_kill(&mut self) {
        let rows = self.rows();
        match self.place(&rows).and_then(|place| rows.get(place)) {
            Some(row) => self.asks_about = Some(identity(row)),
            None => self.message = Some("select a sandbox first, with up and down".to_owned()),
        }
    }

    fn step(&mut self, by: isize) {
        let rows = self.rows();
        let Some(last) = rows.len().checked_sub(1) else { return };
        let place = self.place(&rows).map_or(0, |place| place.saturating_add_signed(by).min(last));
        self.selected = rows.get(place).map(|row| identity(row));
    }

    /// The row of a sandbox, if it still is there.
    pub(crate) fn row_of(&self, chosen: &Chosen) -> Option<&Row> {
        self.sample.sandboxes.iter().find(|row| is_of(row, chosen))
    }
}

fn identity(row: &Row) -> Chosen {
    (row.socket.clone(), row.sandbox.conn)
}

fn is_of(row: &Row, chosen: &Chosen) -> bool {
    row.sandbox.conn == chosen.1 && row.socket == chosen.0
}

/// The largest number, or the first name, comes first.
fn compare(column: Column, a: &Row, b: &Row) -> Ordering {
    match column {
        Column::Cpu => {
            let share = |row: &Row| row.cpu_percent.unwrap_or(-1.0);
            share(b).total_cmp(&share(a)).then_with(|| b.cpu_ms.cmp(&a.cpu_ms))
        }
        Column::Memory => b.memory_bytes.cmp(&a.memory_bytes),
        Column::Age => b.sandbox.age_us.cmp(&a.sandbox.age_us),
        Column::In => b.sandbox.bytes_in.cmp(&a.sandbox.bytes_in),
        Column::Out => b.sandbox.bytes_out.cmp(&a.sandbox.bytes_out),
        Column::Peer => a.sandbox.peer.cmp(&b.sandbox.peer),
        Column::Service => a.service.cmp(&b.service),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;
    use clap::Parser;
    use report::Sandbox;

    pub(crate) fn row(conn: u64, peer: &str, cpu: f64, memory: u64) -> Row {
        let sandbox = Sandbox { conn, peer: peer.to_owned(), pid: 100, ..Sandbox::default() };
        Row {
            service: "gopher".to_owned(),
            sandbox,
            cpu_percent: Some(cpu),
            memory_bytes: Some(memory),
            ..Row::default()
        }
    }

    pub(crate) fn app(rows: Vec<Row>) -> App {
        let mut app = App::new(&Options::parse_from(["top"]));
        app.update(Sample { sandboxes: rows, ..Sample::default() });
        app
    }

    fn order(app: &App) -> Vec<u64> {
        app.rows().iter().map(|row| row.sandbox.conn).collect()
    }

    #[test]
    fn rows_are_sorted_by_the_column_and_reversed() {
        let mut app = app(vec![row(1, "b", 1.0, 30), row(2, "a", 9.0, 20), row(3, "c", 5.0, 10)]);
        assert_eq!(order(&app), [2, 3, 1]);
        app.on_key(Key::Char('s'));
        assert_eq!((app.sort, order(&app)), (Column::Memory, vec![1, 2, 3]));
        app.on_key(Key::Char('r'));
        assert_eq!(order(&app), [3, 2, 1]);
    }

    #[test]
    fn a_filter_is_typed_and_hides_what_it_does_not_match() {
        let mut app = app(vec![row(1, "192.0.2.1:5", 1.0, 1), row(2, "192.0.2.9:5", 1.0, 1)]);
        for key in "/2.9q".chars() {
            app.on_key(Key::Char(key));
        }
        assert!(app.is_typing && app.rows().is_empty(), "q is a letter here");
        app.on_key(Key::Backspace);
        app.on_key(Key::Enter);
        assert_eq!(order(&app), [2]);
        app.on_key(Key::Escape);
        assert_eq!(order(&app), [1, 2]);
    }

    #[test]
    fn only_y_kills_and_only_the_selected_one() {
        let mut app = app(vec![row(1, "a", 1.0, 1), row(2, "b", 2.0, 1)]);
        app.on_key(Key::Char('k'));
        assert!(app.asks_about.is_none() && app.message.is_some(), "nothing is selected");
        app.on_key(Key::Down);
        app.on_key(Key::Down);
        // The order changes; the selection stays with its sandbox.
        app.update(Sample { sandboxes: vec![row(1, "a", 5.0, 1), row(2, "b", 2.0, 1)], ..Sample::default() });
        app.on_key(Key::Char('k'));
        assert_eq!(app.on_key(Key::Char('n')), Action::Nothing);
        app.on_key(Key::Char('k'));
        assert_eq!(app.on_key(Key::Char('y')), Action::Kill((PathBuf::new(), 1)));
        assert_eq!(app.on_key(Key::Char('y')), Action::Nothing);
    }

    #[test]
    fn the_selection_stops_at_both_ends() {
        let mut app = app(vec![row(1, "a", 2.0, 1), row(2, "b", 1.0, 1)]);
        for (key, place) in [(Key::Up, 0), (Key::Up, 0), (Key::PageDown, 1), (Key::Down, 1), (Key::Up, 0)] {
            app.on_key(key);
            assert_eq!(app.place(&app.rows()), Some(place), "{key:?}");
        }
    }
}
