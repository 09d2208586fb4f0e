//! The counts of services that have no supervisor (`Accept=yes`), from what each `run` has left in the
//! journal. journalctl reads it, as one JSON object a line: the journal's files have no other stable
//! interface but libsystemd.

use report::Report;
use report::counters::{Counters, Ended, selector_of};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};

/// The handler's line comes before the record of the connection's end; those of connections that have not
/// ended are few.
const PENDING_MAX: usize = 4096;

/// Every service that has records since then (any time journalctl understands).
pub(super) fn read(since: Option<&str>) -> io::Result<Vec<Report>> {
    let mut command = Command::new("journalctl");
    command.args(words(since, nix::unistd::geteuid().as_raw()));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let Some(output) = child.stdout.take() else { return Ok(Vec::new()) };
    let reports = aggregate(BufReader::new(output));
    let status = child.wait()?;
    if status.success() { reports } else { Err(io::Error::other(format!("journalctl ended with {status}"))) }
}

/// Any user may write to the journal under any name, but journald itself records the writer's uid
/// (systemd.journal-fields(7)). Only the launchers of root and of the calling user count.
fn words(since: Option<&str>, own_uid: u32) -> Vec<String> {
    let fixed = ["--output=json", "--no-pager", "--quiet", "SYSLOG_IDENTIFIER=dayfly", "_UID=0"];
    let mut words: Vec<String> = fixed.map(str::to_owned).into();
    words.extend((own_uid != 0).then(|| format!("_UID={own_uid}")));
    words.extend(since.map(|since| format!("--since={since}")));
    words
}

/// A connection, as far as records name it: the process that wrote, and its number there.
type Key = (String, String);

fn aggregate(lines: impl BufRead) -> io::Result<Vec<Report>> {
    let mut services: BTreeMap<String, Counters> = BTreeMap::new();
    let mut pending: BTreeMap<Key, String> = BTreeMap::new();
    for line in lines.split(b'\n') {
        let Ok(entry) = serde_json::from_slice::<Value>(&line?) else { continue };
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let number = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok());
        let Some(conn) = text("DAYFLY_CONN") else { continue };
        let key = (text("_PID").unwrap_or_default().to_owned(), conn.to_owned());
        if let Some(selector) = text("DAYFLY_LINE").and_then(selector_of) {
            if pending.len() < PENDING_MAX {
                pending.entry(key).or_insert_with(|| selector.to_owned());
            }
            continue;
        }
        let Some(outcome) = text("DAYFLY_OUTCOME") else { continue };
        let selector = pending.remove(&key);
        let service = text("DAYFLY_SERVICE").unwrap_or("-").to_owned();
        services.entry(service).or_default().ended(&Ended {
            at: number("__REALTIME_TIMESTAMP").unwrap_or(0) / 1_000_000,
            outcome,
            peer: text("DAYFLY_PEER").unwrap_or("-"),
            launched: number("DAYFLY_PID").is_some_and(|pid| pid != 0),
            wait_us: number("DAYFLY_WAIT_US").unwrap_or(0),
            setup_us: number("DAYFLY_SETUP_US").unwrap_or(0),
            run_us: number("DAYFLY_RUN_US").unwrap_or(0),
            cpu_us: number("DAYFLY_CPU_US").unwrap_or(0),
            selector: selector.as_deref(),
        });
    }
    let report = |(service, counters)| Report { service, counters, ..Report::default() };
    Ok(services.into_iter().map(report).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_user_has_written_to_the_journal_does_not_count() {
        let whose = |uid| -> Vec<String> {
            words(Some("yesterday"), uid).into_iter().filter(|word| word.starts_with("_UID=")).collect()
        };
        assert_eq!(whose(0), ["_UID=0"]);
        assert_eq!(whose(1000), ["_UID=0", "_UID=1000"]);
    }

    #[test]
    fn records_of_a_connection_are_put_together_and_others_are_passed_over() {
        let journal = concat!(
            r#"{"MESSAGE":"something else"}"#,
            "\nno json\n",
            r#"{"_PID":"7","DAYFLY_CONN":"1","DAYFLY_LINE":"peer=x selector=\"/a\" type=0 bytes=1 status=ok ms=0"}"#,
            "\n",
            r#"{"_PID":"7","DAYFLY_CONN":"1","DAYFLY_SERVICE":"g","DAYFLY_OUTCOME":"exited","DAYFLY_PEER":"192.0.2.1:5","DAYFLY_PID":"8","DAYFLY_RUN_US":"1200","__REALTIME_TIMESTAMP":"86400000001"}"#,
            "\n",
            r#"{"_PID":"9","DAYFLY_CONN":"1","DAYFLY_SERVICE":"g","DAYFLY_OUTCOME":"refused","DAYFLY_PEER":"-","__REALTIME_TIMESTAMP":"86400000002"}"#,
        );
        let reports = aggregate(journal.as_bytes()).unwrap();
        let [report] = reports.as_slice() else { panic!("{reports:?}") };
        let counters = &report.counters;
        assert_eq!((report.service.as_str(), counters.total.connections, counters.run.count), ("g", 2, 1));
        assert_eq!(counters.selectors.sorted()[0].name, "/a");
    }
}
