//! The log: one line on stderr for each request. The reader of stderr adds time and unit.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clean;
use crate::natural;
use crate::settings::LogFormat;
use crate::site::Site;

/// The facts that are known at the end of a request.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) peer: &'a str,
    pub(crate) site: &'a Site<'a>,
    pub(crate) selector: &'a [u8],
    pub(crate) item_type: char,
    pub(crate) bytes: u64,
    pub(crate) status: &'a str,
    pub(crate) took: Duration,
}

impl Entry<'_> {
    /// Our own format. It has the host if there is more than one.
    fn fields(&self) -> String {
        let host = match self.site.settings.vhosts.is_empty() {
            true => String::new(),
            false => format!("host={} ", field(&self.site.host)),
        };
        format!(
            "peer={} {host}selector=\"{}\" type={} bytes={} status={} ms={}\n",
            field(self.peer),
            clean::logged(self.selector),
            self.item_type,
            self.bytes,
            self.status,
            self.took.as_millis()
        )
    }

    /// The combined format of web servers in the shape that gophernicus gives it, for programs that read such
    /// logs. What they count as a request is `GET` with the item type before the selector.
    fn combined(&self, now: Duration) -> String {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(0);
        let selector = String::from_utf8_lossy(&clean::url(self.selector)).into_owned();
        format!(
            "{} {}:{} - [{}] \"GET {}{selector} HTTP/1.0\" {} {} \"-\" \"-\"\n",
            field(self.peer),
            field(&self.site.host),
            self.site.port,
            natural::log_time(seconds),
            self.item_type,
            self.http_status(),
            self.bytes,
        )
    }

    fn http_status(&self) -> u16 {
        match self.status {
            "ok" => 200,
            "not-found" => 404,
            "timeout" => 408,
            "too-long" => 414,
            "broken-off" => 499,
            "no-root" | "no-openat2" | "misconfigured" => 503,
            "http" | "tls" | "proxy-v2" | "no-request" => 400,
            _ => 403,
        }
    }

    /// Writes the line in one call, so that lines of several handlers on one pipe do not mix.
    pub(crate) fn write(&self, format: LogFormat) {
        let line = match format {
            LogFormat::Fields => self.fields(),
            // A clock before 1970 is not set; the line is worth more than its time.
            LogFormat::Combined => {
                self.combined(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
            }
        };
        emit(line.as_bytes());
    }
}

/// Text that others chose, as one word.
fn field(text: &str) -> String {
    clean::logged(text.as_bytes()).replace(' ', "\\x20")
}

/// A problem that the operator must solve, reported before there is a request.
pub(crate) fn diagnose(text: &str) {
    emit(format!("gopher-handler: {text}\n").as_bytes());
}

/// An error is ignored: a request does not fail because its log line cannot be written.
pub(crate) fn emit(line: &[u8]) {
    std::io::stderr().write_all(line).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn entry<'a>(peer: &'a str, selector: &'a [u8], site: &'a Site<'a>) -> Entry<'a> {
        Entry { peer, site, selector, item_type: '0', bytes: 6, status: "ok", took: Duration::ZERO }
    }

    #[test]
    fn a_peer_from_the_environment_cannot_forge_a_field() {
        let settings = Settings { host: Some("h".to_owned()), port: Some(70), ..Settings::default() };
        let site = Site::find(&settings, std::io::stdin());
        assert_eq!(
            entry("1.2.3.4 status=ok\n", b"", &site).fields(),
            "peer=1.2.3.4\\x20status=ok\\x0A selector=\"\" type=0 bytes=6 status=ok ms=0\n"
        );
    }

    #[test]
    fn the_combined_format_is_what_programs_for_web_logs_read() {
        let settings = Settings { host: Some("h".to_owned()), port: Some(70), ..Settings::default() };
        let site = Site::find(&settings, std::io::stdin());
        let line = entry("192.0.2.1", b"/a \"b\"\n", &site).combined(Duration::from_secs(1_795_215_723));
        assert_eq!(
            line,
            "192.0.2.1 h:70 - [20/Nov/2026:23:02:03 +0000] \"GET 0/a%20%22b%22%0A HTTP/1.0\" 200 6 \"-\" \"-\"\n"
        );
    }
}
