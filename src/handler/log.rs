//! The log: one line on stderr for a request, whatever the request was. Time and unit are added by whoever reads stderr.

use std::io::Write as _;
use std::time::Duration;

use crate::clean;

/// What is known at the end of a request.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) peer: &'a str,
    pub(crate) selector: &'a [u8],
    pub(crate) item_type: char,
    pub(crate) bytes: u64,
    pub(crate) status: &'a str,
    pub(crate) took: Duration,
}

impl Entry<'_> {
    fn line(&self) -> String {
        format!(
            "peer={} selector=\"{}\" type={} bytes={} status={} ms={}\n",
            clean::logged(self.peer.as_bytes()).replace(' ', "\\x20"),
            clean::logged(self.selector),
            self.item_type,
            self.bytes,
            self.status,
            self.took.as_millis()
        )
    }

    /// Writes the line in one call, so that lines of several handlers on one pipe do not mix.
    pub(crate) fn write(&self) {
        emit(self.line().as_bytes());
    }
}

/// Something the operator must mend, said before there is a request.
pub(crate) fn diagnose(text: &str) {
    emit(format!("gopher-handler: {text}\n").as_bytes());
}

/// A log that cannot be written is no reason to fail a request, and there is nobody left to tell.
fn emit(line: &[u8]) {
    std::io::stderr().write_all(line).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_from_the_environment_cannot_forge_a_field() {
        let entry = Entry {
            peer: "1.2.3.4 status=ok\n",
            selector: b"",
            item_type: '-',
            bytes: 0,
            status: "x",
            took: Duration::ZERO,
        };
        assert_eq!(
            entry.line(),
            "peer=1.2.3.4\\x20status=ok\\x0A selector=\"\" type=- bytes=0 status=x ms=0\n"
        );
    }
}
