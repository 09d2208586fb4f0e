//! Follows log files for one watcher: writes each new line to stdout, until the watcher closes.
//!
//! [`watch`] is the loop: it looks at the files twenty times a second, writes what the watcher takes, and ends
//! when the watcher does. [`log`] is one log over its rotations, each of its files a [`reader`]. [`lines`]
//! makes whole lines of bytes and escapes them, [`siblings`] finds the rotated files of a log.
//!
//! Nothing here waits for the watcher. One that reads slowly lags alone: its rotated files stay open until
//! they are read, up to a number; beyond it the lines of the oldest are counted and given up.

#![forbid(unsafe_code)]

mod cli;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod lines;
mod log;
mod output;
mod reader;
mod siblings;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use cli::Command;

/// The exit status for a wrong command line.
const USAGE: u8 = 2;

/// The whole program.
pub fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Watch(options)) => watch::watch(&options),
        Ok(Command::Help) => print(cli::HELP),
        Ok(Command::Version) => print(concat!("logwatch ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(wrong) => {
            diagnose(&format!("{wrong}; try --help"));
            ExitCode::from(USAGE)
        }
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Tells the operator; nothing fails because stderr does.
fn diagnose(text: &str) {
    std::io::stderr().write_all(format!("logwatch: {text}\n").as_bytes()).unwrap_or_default();
}
