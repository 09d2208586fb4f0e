//! The command line.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Show live sandboxes, with rates, outcomes and times
///
/// dayfly top asks every supervisor that `dayfly stats` finds, and reads processor time and memory from
/// /proc. It needs to be root, or the user that the supervisor runs as.
#[derive(Debug, Parser)]
#[command(name = "dayfly top", bin_name = "dayfly top", version, max_term_width = 100, after_help = KEYS)]
pub(crate) struct Options {
    /// Show this service only
    #[arg(value_name = "SERVICE")]
    pub(crate) service: Option<String>,
    /// Time between two looks: 500ms, 2s, 1min
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_interval)]
    pub(crate) interval: Duration,
    /// Order of the sandboxes
    #[arg(long, value_name = "COLUMN", default_value = "cpu")]
    pub(crate) sort: Column,
    /// Show only sandboxes with this text in their service, peer, state or pid
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) filter: String,
    /// Look twice, print once as text, and exit
    #[arg(long)]
    pub(crate) once: bool,
    /// Look twice, print one JSON object, and exit
    #[arg(long)]
    pub(crate) json: bool,
    /// Socket of the supervisor [default: $RUNTIME_DIRECTORY/stats and all below /run/dayfly]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

const KEYS: &str = "\
Keys:
  up, down   select a sandbox       k   kill it (y confirms)
  s          sort by the next column  r   reverse the order
  /          filter (Enter ends)    p   pause
  q          quit

Examples:
  dayfly top
  dayfly top gopher --sort memory
  dayfly top --json | jq '.sandboxes[] | select(.cpu_percent > 50) | .peer'

Exit status: 0 ended or printed, 1 no supervisor answers or the terminal failed, 2 wrong option

See also: dayfly-stats(1)";

/// Columns that rows can be sorted by, in the order of the key `s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    Cpu,
    Memory,
    Age,
    In,
    Out,
    Peer,
    Service,
}

impl Column {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Column::Cpu => "cpu",
            Column::Memory => "memory",
            Column::Age => "age",
            Column::In => "in",
            Column::Out => "out",
            Column::Peer => "peer",
            Column::Service => "service",
        }
    }

    pub(crate) fn next(self) -> Column {
        let all = Column::value_variants();
        let place = all.iter().position(|column| *column == self).unwrap_or(0);
        all.get(place + 1).copied().unwrap_or(Column::Cpu)
    }
}

const SHORTEST: Duration = Duration::from_millis(100);

fn parse_interval(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 =
        number.parse().map_err(|_error| "use a number with ms, s or min, as in 2s".to_owned())?;
    let time = match unit {
        "ms" => Duration::from_millis(number),
        "s" | "" => Duration::from_secs(number),
        "min" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err("use a number with ms, s or min, as in 2s".to_owned()),
    };
    if time < SHORTEST { Err("use at least 100ms".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn an_interval_is_a_number_with_a_unit_and_not_too_short() {
        for (text, millis) in [
            ("500ms", Some(500)),
            ("2", Some(2000)),
            ("1min", Some(60_000)),
            ("0s", None),
            ("2h", None),
            ("s", None),
        ] {
            assert_eq!(parse_interval(text).ok().map(|time| time.as_millis()), millis, "{text}");
        }
    }

    #[test]
    fn the_key_to_sort_goes_round_all_columns() {
        let mut column = Column::Cpu;
        for _ in Column::value_variants() {
            column = column.next();
        }
        assert_eq!(column, Column::Cpu);
    }
}
