//! The command line. Parsing only.

use crate::config::options::Options;
use crate::init::InitOptions;
use crate::stats::command::StatsOptions;
use crate::unit::UnitOptions;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Sandboxed launcher: one ephemeral sandbox per connection
#[derive(Debug, Parser)]
#[command(name = "dayfly", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Deferred, because defining the options of all commands would cost each `run` 0.1 ms.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Serve one connection, on descriptor 0 or from LISTEN_FDS, and exit with the handler's status
    #[command(after_help = RUN_STATUS)]
    Run(Box<LaunchOptions>),
    /// Listen, and serve each connection in a sandbox of its own
    #[command(after_help = "Exit status: 0 stopped by a signal, 1 failed, 2 wrong option or service file")]
    Serve(Box<LaunchOptions>),
    /// Learn a profile: run or serve with every layer but the profile's verdict, and write what the
    /// profile lacks
    ///
    /// Learning is no protection: calls that the profile denies are recorded and made. The guard stays in
    /// force: calls that it denies are reported, but no line allows them. With --listen or --connections,
    /// dayfly serves until SIGTERM or the last connection. Without them it serves one connection and ends.
    /// The report goes to stdout, or to stderr if stdout is the connection.
    #[command(after_help = LEARN_STATUS)]
    Learn(Box<LearnOptions>),
    /// Check whether a service would run on this host
    #[command(after_help = "Exit status: 0 it would run, 1 it would not, 2 wrong option or service file")]
    Check(Box<CheckOptions>),
    /// Describe the sandbox of a service: each layer, mount, right, system call and limit, with its reason
    #[command(after_help = "Exit status: 0 printed, 2 wrong option or service file")]
    Explain(Box<ExplainOptions>),
    /// Print statistics: connections, outcomes, times, peers
    #[command(
        after_help = "Exit status: 0 printed, 1 no supervisor and no records in the journal, 2 wrong option"
    )]
    Stats(Box<StatsOptions>),
    /// Show live sandboxes, with rates, outcomes and times
    #[command(disable_help_flag = true)]
    Top {
        /// `dayfly top --help` has them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORD")]
        words: Vec<OsString>,
    },
    /// Write the files that a new service begins with: its service file, its units and, with --handler,
    /// its template
    #[command(after_help = "Exit status: 0 written, 2 usage, or a file is there already")]
    Init(Box<InitOptions>),
    /// Print systemd units for a service
    #[command(after_help = "Exit status: 0 printed, 2 wrong option or service file")]
    Unit(Box<UnitOptions>),
    /// Make a template, the tree or image that a sandbox sees as its root
    #[command(disable_help_flag = true)]
    Template {
        /// `build --help` has them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORD")]
        words: Vec<OsString>,
    },
    /// Run a systemd-nspawn command line; also under the name systemd-nspawn
    #[command(disable_help_flag = true)]
    Nspawn {
        /// systemd-nspawn's options, then the command. They never reach clap, which does not read options as
        /// getopt(3) does
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORD")]
        words: Vec<OsString>,
    },
}

const RUN_STATUS: &str = "\
Exit status: the handler's own; 128+N if signal N killed it (137 for a denied call);
  124 over a time limit; 125 sandbox not set up; 126 handler not executable;
  127 handler not found; 2 wrong option or service file";

const LEARN_STATUS: &str = "\
Exit status: that of run or serve; 1 if FILE could not be written; 2 wrong option, service file or FILE";

#[derive(Debug, clap::Args)]
pub(crate) struct LearnOptions {
    /// Service NAME (/etc/dayfly/NAME.toml), or its FILE, as with --service
    #[arg(value_name = "SERVICE")]
    pub(crate) name: Option<String>,
    /// Profile to write. It includes the one of --profile; if FILE exists, it is used and added to
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Serve, and end after so many connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) connections: Option<u64>,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LaunchOptions {
    /// Service NAME (/etc/dayfly/NAME.toml), or its FILE, as with --service [serve: several]
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
    /// Check whether it would run, as `dayfly check` does, and serve nobody
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    options: Options,
}

impl LaunchOptions {
    /// The options, with the services that were named by words alone.
    pub(crate) fn into_options(self) -> Result<Options, String> {
        let LaunchOptions { names, mut options, .. } = self;
        let Some(first) = names.first() else { return Ok(options) };
        if options.template.is_some() && options.handler.is_none() && options.service.is_none() {
            return Err(format!(
                "'{first}' is taken as a service: write -- before the handler, as in -- {}",
                names.join(" ")
            ));
        }
        options.service.get_or_insert_default().extend(names);
        Ok(options)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckOptions {
    /// Service: NAME for /etc/dayfly/NAME.toml, or a FILE; without it and without options, check the host
    /// only
    pub(crate) name: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainOptions {
    /// Service, NAME for /etc/dayfly/NAME.toml or a FILE, and the sections to print, such as seccomp or limits
    ///
    /// Without a service and without --template, the profile alone is explained. A section can be a path: seccomp/profile/allowed
    #[arg(conflicts_with = "diff", value_name = "SERVICE or SECTION")]
    pub(crate) words: Vec<String>,
    /// Print the differences between two services, profiles or lists of options ('--memory 1M --template /srv/x')
    #[arg(long, num_args = 2, value_names = ["A", "B"], allow_hyphen_values = true)]
    pub(crate) diff: Option<Vec<String>>,
    /// Print one JSON object
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
