//! dayfly: one ephemeral, sealed sandbox per connection. ARCHITECTURE.md follows a connection through
//! these files.

mod activation;
mod cgroup;
mod check;
mod cli;
mod command;
mod config;
mod connection;
mod diag;
#[cfg(test)]
mod documents;
mod explain;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod init;
mod kernel;
mod listener;
mod log;
mod notify;
mod nspawn;
mod outcome;
mod output;
mod privilege;
mod programs;
mod proxy_header;
mod stats;
mod supervisor;
mod unit;

use clap::Parser;
use cli::{Cli, Command, LaunchOptions};
use config::service::Purpose;
use std::process::ExitCode;

/// The whole program.
pub fn main() -> ExitCode {
    if let Some(words) = nspawn::words(std::env::args_os()) {
        return ExitCode::from(nspawn::main(words));
    }
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(message) => return command::usage(&message),
    };
    let status = match command {
        Command::Run(options) => launch(*options, Purpose::Run),
        Command::Serve(options) => launch(*options, Purpose::Serve),
        Command::Learn(options) => command::learn(*options),
        Command::Check(options) => check::main(*options),
        Command::Explain(options) => explain::main(*options),
        Command::Init(options) => init::main(&options),
        Command::Stats(options) => stats::command::main(&options),
        Command::Unit(options) => unit::main(&options),
        Command::Top { words } => programs::run("top", &words),
        Command::Template { words } => programs::run("template", &words),
        Command::Nspawn { words } => nspawn::main(words),
    };
    ExitCode::from(status)
}

/// `run` and `serve`, or a look whether they would.
fn launch(given: LaunchOptions, purpose: Purpose) -> u8 {
    let dry_run = given.dry_run;
    let options = match given.into_options() {
        Ok(options) => options,
        Err(message) => return command::misuse(&message),
    };
    match purpose {
        _ if dry_run => check::dry_run(options, purpose),
        Purpose::Run => command::run(options),
        Purpose::Serve => command::serve(options),
    }
}
