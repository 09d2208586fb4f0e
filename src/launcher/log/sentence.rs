//! The message of a journal entry, for people: its numbers are fields beside it.

/// A sentence for the record of a connection; None for any other event. `field` gives a field's text.
pub(super) fn of_record(message: &str, field: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (service, peer, outcome) = (field("service")?, field("peer")?, field("outcome")?);
    let text = |name: &str| field(name).unwrap_or_default();
    let what = match outcome.as_str() {
        "exited" => format!("exited with status {}", text("status")),
        "signaled" => format!("ended by signal {}", text("signal")),
        "oom" => "killed because it ran out of memory".to_owned(),
        "wall" | "idle" => format!("ended by the limit {}", text("limit")),
        "denied" => format!("killed for a denied call, {}", text("denied")),
        // The message says what was wrong.
        _ => return Some(format!("{service}: {peer}: {message}")),
    };
    let ran = field("run_us").and_then(|time| time.parse().ok()).map(time).unwrap_or_default();
    let bytes = match (field("bytes_in"), field("bytes_out")) {
        (Some(received), Some(sent)) => format!(", {received} bytes in, {sent} out"),
        _ => String::new(),
    };
    let advice = field("advice").map(|advice| format!("; hint: {advice}")).unwrap_or_default();
    Some(format!("{service}: {peer}: handler {what}{ran}{bytes}{advice}"))
}

/// A time as people say it.
fn time(micros: u64) -> String {
    match micros {
        0..1_000_000 => format!(" after {} ms", micros.div_ceil(1000)),
        _ => format!(" after {}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(fields: &[(&str, &str)]) -> Option<String> {
        of_record("ended", |name| {
            fields.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const OF: [(&str, &str); 3] = [("service", "gopher"), ("peer", "192.0.2.7:5"), ("run_us", "1250000")];

    #[test]
    fn a_record_is_a_sentence() {
        for (fields, wanted) in [
            (
                &[("outcome", "exited"), ("status", "0"), ("bytes_in", "2"), ("bytes_out", "90")][..],
                "gopher: 192.0.2.7:5: handler exited with status 0 after 1.2 s, 2 bytes in, 90 out",
            ),
            (
                &[("outcome", "denied"), ("denied", "fork()"), ("advice", "allow fork")],
                "gopher: 192.0.2.7:5: handler killed for a denied call, fork() after 1.2 s; hint: allow fork",
            ),
            (
                &[("outcome", "wall"), ("limit", "wall-time")],
                "gopher: 192.0.2.7:5: handler ended by the limit wall-time after 1.2 s",
            ),
            (&[("outcome", "refused")], "gopher: 192.0.2.7:5: ended"),
        ] {
            assert_eq!(sentence(&[&OF, fields].concat()).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn what_is_no_record_is_none() {
        assert_eq!(sentence(&OF), None);
        assert_eq!(sentence(&[("outcome", "denied"), ("denied", "fork()")]), None);
    }
}
