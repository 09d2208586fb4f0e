//! A signal by its name or number, as in signal(7). Parsing only, pure.

use super::values::ValueError;
use nix::sys::signal::Signal;
use serde::Deserialize;
use std::str::FromStr;

/// The number of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SignalName(pub(crate) i32);

/// SIGRTMIN as glibc counts, and so everybody who writes SIGRTMIN+3; musl keeps one more for itself.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl FromStr for SignalName {
    type Err = ValueError;

    /// `SIGINT`, `INT`, `2`, `SIGRTMIN+3`.
    fn from_str(text: &str) -> Result<SignalName, ValueError> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let real_time = |base: i32, offset: &str| match offset {
            "" => Some(base),
            offset => base.checked_add(offset.parse().ok()?),
        };
        let number = if let Some(offset) = name.strip_prefix("RTMIN") {
            real_time(RTMIN, offset)
        } else if let Some(offset) = name.strip_prefix("RTMAX") {
            real_time(RTMAX, offset)
        } else {
            let known = Signal::from_str(&format!("SIG{name}")).ok().map(|signal| signal as i32);
            known.or_else(|| name.parse().ok())
        };
        match number {
            Some(number) if (1..=RTMAX).contains(&number) => Ok(SignalName(number)),
            _ => Err(ValueError(format!("invalid signal '{text}': use, for example, SIGINT or SIGRTMIN+3"))),
        }
    }
}

impl TryFrom<String> for SignalName {
    type Error = ValueError;

    fn try_from(text: String) -> Result<SignalName, ValueError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_a_name_or_a_number() {
        for (text, number) in [
            ("SIGINT", libc::SIGINT),
            ("int", libc::SIGINT),
            ("2", 2),
            ("SIGRTMIN", RTMIN),
            ("SIGRTMIN+3", RTMIN + 3),
            ("RTMAX-1", RTMAX - 1),
        ] {
            assert_eq!(text.parse(), Ok(SignalName(number)), "{text}");
        }
        for wrong in ["", "0", "-1", "65", "SIGNOSUCH", "SIGRTMIN+100", "SIGRTMAX+1", "RTMIN+x", "SIG"] {
            assert!(wrong.parse::<SignalName>().is_err(), "{wrong}");
        }
    }
}
