//! A list of processors as people write it: `0-3,5`. Parsing only, pure.

use super::values::ValueError;
use serde::Deserialize;
use std::str::FromStr;
use sys::process::CpuSet;

/// Processors that a sandbox may run on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Cpus(pub(crate) CpuSet);

impl FromStr for Cpus {
    type Err = ValueError;

    /// Numbers and ranges, separated by commas or blanks.
    fn from_str(text: &str) -> Result<Cpus, ValueError> {
        let wrong = || ValueError(format!("invalid list of processors '{text}': use, for example, 0-3,5"));
        let mut set = CpuSet::default();
        let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
        for part in parts {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Ok(first), Ok(last)) = (first.parse(), last.parse()) else { return Err(wrong()) };
            if first > last || last >= CpuSet::ROOM {
                return Err(wrong());
            }
            (first..=last).for_each(|cpu| set.insert(cpu));
        }
        match set == CpuSet::default() {
            true => Err(wrong()),
            false => Ok(Cpus(set)),
        }
    }
}

impl TryFrom<String> for Cpus {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Cpus, ValueError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_numbers_and_ranges() {
        let mut expected = CpuSet::default();
        [0, 1, 2, 64, 1023].into_iter().for_each(|cpu| expected.insert(cpu));
        assert_eq!("0-2,64 1023".parse::<Cpus>().unwrap().0, expected);
        assert_eq!(expected.numbers().collect::<Vec<_>>(), [0, 1, 2, 64, 1023]);
        for wrong in ["", ",", "a", "3-1", "1024", "0-1024", "-1", "1-", "1,,x"] {
            assert!(wrong.parse::<Cpus>().is_err(), "{wrong}");
        }
    }
}
