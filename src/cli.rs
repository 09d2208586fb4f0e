//! The command line: exactly what was typed. Parsing only.

use crate::config::options::Options;
use crate::stats::command::StatsOptions;
use crate::unit::UnitOptions;
use clap::{Parser, Subcommand};
use std::ffi::OsString;

/// One ephemeral, sealed sandbox per connection.
#[derive(Debug, Parser)]
#[command(name = "dayfly", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Deferred: to define the options of commands that were not typed costs a short life 0.1 ms.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Serve one connection, the one on descriptor 0 or in LISTEN_FDS, and exit with the handler's status
    #[command(after_help = RUN_STATUS)]
    Run(Box<Options>),
    /// Stay resident: accept on listening sockets and launch a sandbox per connection
    #[command(
        after_help = "Exit status: 0 drained, 1 failed at run time or at start, 2 usage or configuration"
    )]
    Serve(Box<Options>),
    /// Tell whether a service would run on this host
    #[command(after_help = "Exit status: 0 it would run, 1 it would not, 2 usage or configuration")]
    Check(Box<CheckOptions>),
    /// Print what a sandbox would be: every layer, wall, mount, right, system call and limit, with its reason
    #[command(after_help = "Exit status: 0 printed, 2 usage or configuration")]
    Explain(Box<ExplainOptions>),
    /// Print what happened: connections, outcomes, times, peers
    #[command(
        after_help = "Exit status: 0 printed, 1 neither a supervisor nor records in the journal, 2 usage"
    )]
    Stats(Box<StatsOptions>),
    /// Print a socket and a service unit for a service, as shipped for gopher
    #[command(after_help = "Exit status: 0 printed, 2 usage or configuration")]
    Unit(Box<UnitOptions>),
    /// Run a line of systemd-nspawn's as `run` would; also by the name systemd-nspawn
    #[command(disable_help_flag = true)]
    Nspawn {
        /// systemd-nspawn's options, then the command. They are read before clap sees them: nspawn's are getopt's
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORD")]
        words: Vec<OsString>,
    },
}

const RUN_STATUS: &str = "\
Exit status: the handler's own; 128+N if signal N killed it (137 for a denied call);
  124 wall or idle time over; 125 the sandbox could not be set up; 126 handler not executable here;
  127 handler not found; 2 wrong option or service file";

#[derive(Debug, clap::Args)]
pub(crate) struct CheckOptions {
    /// Service NAME (/etc/dayfly/NAME.toml), or its FILE; without it and without options, only the host is looked at
    pub(crate) name: Option<String>,
    /// One JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainOptions {
    /// Service NAME (/etc/dayfly/NAME.toml), or its FILE; without it and without --template, only the profile is explained
    #[arg(conflicts_with = "diff")]
    pub(crate) name: Option<String>,
    /// What the second service has otherwise than the first
    #[arg(long, num_args = 2, value_names = ["SERVICE_A", "SERVICE_B"])]
    pub(crate) diff: Option<Vec<String>>,
    /// One JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
