//! A gopher server for one request: it reads a selector on stdin, answers on stdout, logs one line on stderr
//! and exits.
//!
//! In the order of a request: [`connection`] is the whole life of one. [`receive`] and [`request`] turn bytes
//! into a request, [`place`], [`path`] and [`tree`] turn a selector into an open file, and [`answer`] decides
//! what is sent. [`page`] makes menus, from a [`gophermap`], a [`gph`] or a [`gemtext`] file or a
//! [`listing`]; [`link`] completes their links. [`document`] sends files, [`fixed`] and [`web`] have answers
//! that are in no tree, and [`search`], [`latest`], [`feed`] and [`stats`] have pages of their own. [`clean`]
//! is the only way for bytes of a file name, a map or a request to reach a menu or the log. [`lint`] tells an
//! author what a reader would trip over. [`gemini`] is a second program: it serves the same tree over Gemini.
//!
//! This program checks everything itself and does not rely on the sandbox around it: started by hand or by
//! any inetd, it gives the same answers and the same refusals.

#![forbid(unsafe_code)]

mod answer;
mod attributes;
mod charset;
mod clean;
mod cli;
mod codepage;
mod command;
mod config;
mod connection;
mod crawl;
mod document;
mod feed;
mod filetype;
mod fixed;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gemini;
mod gemtext;
mod gophermap;
mod gph;
mod latest;
mod link;
mod lint;
mod listing;
mod log;
mod mapfile;
mod menu;
mod names;
mod natural;
mod output;
mod page;
mod path;
mod place;
mod problem;
mod receive;
mod request;
mod search;
mod settings;
mod site;
mod skeleton;
mod stats;
mod tree;
mod users;
mod vhost;
mod web;

use std::io::Write as _;
use std::process::ExitCode;

use cli::{Command, Options};
pub use gemini::main as gemini_main;
use settings::Settings;

/// The exit status for a wrong command line or configuration.
pub(crate) const USAGE: u8 = 2;

/// The whole program.
pub fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve(options)) => connection::serve(Settings::load(&options)),
        Ok(Command::Render(options, selector)) => {
            with_settings(&options, |settings| connection::render(settings, &selector))
        }
        Ok(Command::Lint(options, directory)) => {
            with_settings(&options, |settings| lint::tree(settings, &directory))
        }
        Ok(Command::Help) => print(cli::HELP),
        Ok(Command::Version) => print(concat!("gopher-handler ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(wrong) => {
            log::diagnose(&format!("{wrong}; try --help"));
            ExitCode::from(USAGE)
        }
    }
}

fn with_settings(options: &Options, then: impl FnOnce(&Settings) -> ExitCode) -> ExitCode {
    match Settings::load(options) {
        Ok(settings) => then(&settings),
        Err(wrong) => {
            log::diagnose(&wrong);
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
