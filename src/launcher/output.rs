//! Standard output of the commands that print.

use std::io::Write;
use sys::Ignoring;

/// Prints one line.
pub(crate) fn stdout_line(line: &str) {
    writeln!(std::io::stdout(), "{line}").ignoring("a reader that has closed wants no more");
}
