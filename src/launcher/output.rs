//! Standard output of the commands that print.

use std::io::{IsTerminal, Write};
use sys::Ignoring;

/// Prints one line.
pub(crate) fn stdout_line(line: &str) {
    writeln!(std::io::stdout(), "{line}").ignoring("a reader that has closed wants no more");
}

/// How lines are shown: to a person at a terminal, or as they are to a file or another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Longer lines are continued on the next one.
    pub(crate) width: Option<usize>,
    pub(crate) colour: bool,
}

/// Columns of a line for a person.
const WIDTH: usize = 100;

/// Escape sequences of ECMA-48 that every terminal with colours knows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Paint {
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
}

impl Look {
    pub(crate) const PLAIN: Look = Look { width: None, colour: false };

    /// By what standard output is, and by NO_COLOR (no-color.org) and TERM.
    pub(crate) fn of_stdout() -> Look {
        if !std::io::stdout().is_terminal() {
            return Look::PLAIN;
        }
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
        Look { width: Some(WIDTH), colour: !no_colour && !dumb }
    }

    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        let number = match paint {
            Paint::Bold => 1,
            Paint::Dim => 2,
            Paint::Red => 31,
            Paint::Green => 32,
            Paint::Yellow => 33,
        };
        if self.colour && !text.is_empty() { format!("\x1b[{number}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The text in lines that fit behind `first` columns, and behind `rest` on those after the first. A word that is too long
    /// for a line stays whole.
    pub(crate) fn wrapped(self, text: &str, first: usize, rest: usize) -> Vec<String> {
        let Some(width) = self.width else { return vec![text.to_owned()] };
        let (mut lines, mut line) = (Vec::new(), String::new());
        for word in text.split(' ') {
            let taken = if lines.is_empty() { first } else { rest };
            let is_first = line.is_empty();
            if !is_first && taken + line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            } else if !is_first {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        lines
    }
}

/// A number of bytes as people write it: 64M, if that is exact.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u32, char); 4] = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    let unit = UNITS.iter().find(|(bits, _)| bytes >> bits > 0 && (bytes >> bits) << bits == bytes);
    unit.map_or_else(|| bytes.to_string(), |(bits, unit)| format!("{}{unit}", bytes >> bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_its_unit_where_that_is_exact() {
        let shown = [0, 1000, 1024, 1536, 64 << 20, 1 << 30, (1 << 30) + 1].map(size);
        assert_eq!(shown, ["0", "1000", "1K", "1536", "64M", "1G", "1073741825"]);
    }

    #[test]
    fn a_line_for_a_person_is_continued_and_one_for_a_program_is_not() {
        let look = Look { width: Some(20), colour: true };
        assert_eq!(look.wrapped("one two three four five", 4, 10), ["one two three", "four five"]);
        assert_eq!(
            look.wrapped("a-word-that-is-longer-than-a-line x", 0, 0),
            ["a-word-that-is-longer-than-a-line", "x"]
        );
        assert_eq!(Look::PLAIN.wrapped("one two three four five", 4, 10), ["one two three four five"]);
        assert_eq!(look.paint(Paint::Bold, "x"), "\x1b[1mx\x1b[0m");
        assert_eq!(Look::PLAIN.paint(Paint::Bold, "x"), "x");
    }
}
