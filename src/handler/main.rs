//! A gopher server for one request: it reads a selector on stdin, answers on stdout, logs one line on stderr and exits.
//!
//! Read in the order of a request: [`connection`] is the whole life of one, [`receive`] and [`request`] turn bytes into a
//! request, [`path`] and [`tree`] turn a selector into an open file, [`answer`] decides what is sent, [`page`],
//! [`gophermap`] and [`listing`] make menus, [`document`] sends files, [`fixed`] and [`web`] have what is in no tree. [`clean`] is the only way for bytes of a file name,
//! a map or a request to reach a menu or the log.
//!
//! The sandbox around this program is the second wall. The first is here: the same answers, and the same refusals, come
//! from it when it is started by hand or by any inetd.

#![forbid(unsafe_code)]

mod answer;
mod clean;
mod cli;
mod connection;
mod document;
mod filetype;
mod fixed;
mod gophermap;
mod listing;
mod log;
mod menu;
mod natural;
mod output;
mod page;
mod path;
mod problem;
mod receive;
mod request;
mod site;
mod tree;
mod web;

use std::io::Write as _;
use std::process::ExitCode;

use cli::Command;

/// The exit status for a command line that says nothing this program understands.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve(options)) => connection::serve(&options),
        Ok(Command::Render(options, selector)) => connection::render(&options, &selector),
        Ok(Command::Help) => print(cli::HELP),
        Ok(Command::Version) => print(concat!("gopher-handler ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(wrong) => {
            log::diagnose(&format!("{wrong}; try --help"));
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
