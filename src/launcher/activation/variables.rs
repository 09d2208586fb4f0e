//! The environment of socket activation (sd_listen_fds(3)): reading only.

/// The variables of the environment; one that is not UTF-8 counts as missing.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// LISTEN_PID: who is meant.
    pub(crate) pid: Option<String>,
    /// LISTEN_PIDFDID: the same by the inode of a pidfd, which is never used again (systemd 259).
    pub(crate) pidfd_id: Option<String>,
    /// LISTEN_FDS: how many.
    pub(crate) count: Option<String>,
    /// LISTEN_FDNAMES: separated by colons.
    pub(crate) names: Option<String>,
}

/// More would be no use: each is a listening socket or the one connection.
const PASSED_MAX: usize = 1024;

/// sd_listen_fds_with_names(3).
const NO_NAME: &str = "unknown";

impl Variables {
    pub(crate) fn from_environment() -> Variables {
        let variable = |name: &str| std::env::var(name).ok();
        Variables {
            pid: variable("LISTEN_PID"),
            pidfd_id: variable("LISTEN_PIDFDID"),
            count: variable("LISTEN_FDS"),
            names: variable("LISTEN_FDNAMES"),
        }
    }

    /// Number of descriptors passed to the process with this pid; 0 if the variables are for another process.
    /// `own_id` asks for its pidfd's inode, only if needed.
    pub(crate) fn count(&self, pid: u32, own_id: impl FnOnce() -> Option<u64>) -> Result<usize, String> {
        let (Some(meant), Some(count)) = (&self.pid, &self.count) else { return Ok(0) };
        if meant.parse() != Ok(pid) {
            return Ok(0);
        }
        if let Some(id) = &self.pidfd_id
            && own_id().is_some_and(|own| id.parse() != Ok(own))
        {
            return Ok(0);
        }
        match count.parse() {
            Ok(count @ 0..=PASSED_MAX) => Ok(count),
            _ => Err(format!("invalid LISTEN_FDS={count}: it must be a number of descriptors")),
        }
    }

    /// A name for each of that many.
    pub(crate) fn names(&self, count: usize) -> Vec<String> {
        let names = self.names.as_deref().unwrap_or_default().split(':');
        let names = names.map(|name| if name.is_empty() { NO_NAME } else { name }.to_owned());
        names.chain(std::iter::repeat(NO_NAME.to_owned())).take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(pid: &str, pidfd_id: Option<&str>, count: &str) -> Result<usize, String> {
        let own = |text: &str| Some(text.to_owned());
        let variables =
            Variables { pid: own(pid), pidfd_id: pidfd_id.and_then(own), count: own(count), names: None };
        variables.count(7, || Some(70))
    }

    #[test]
    fn what_is_meant_for_another_process_is_not_taken() {
        assert_eq!(passed("7", None, "2"), Ok(2));
        assert_eq!(passed("8", None, "2"), Ok(0));
        assert_eq!(passed("7", Some("71"), "2"), Ok(0));
        assert_eq!(passed("7", Some("70"), "2"), Ok(2));
    }

    #[test]
    fn a_count_that_makes_no_sense_is_an_error() {
        for count in ["-1", "", "two", "1025", "99999999999999999999"] {
            assert!(passed("7", None, count).is_err(), "{count}");
        }
    }

    #[test]
    fn missing_names_are_unknown() {
        let variables = Variables { names: Some("a::c".to_owned()), ..Variables::default() };
        assert_eq!(variables.names(4), ["a", "unknown", "c", "unknown"]);
        assert_eq!(variables.names(1), ["a"]);
    }
}
