//! Numbers as people read them, in few columns.

use std::time::Duration;

/// At most five columns: 999, 1.2K, 34M.
#[allow(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if count < 1024 {
        return count.to_string();
    }
    let mut scaled = count as f64;
    let mut unit = ' ';
    for next in UNITS {
        if scaled < 1000.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    if scaled < 9.95 { format!("{scaled:.1}{unit}") } else { format!("{scaled:.0}{unit}") }
}

/// At most six columns: 850ms, 12s, 5m03s, 2h10m, 3d04h.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{}ms", time.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

pub(crate) fn micros(time: Option<u64>) -> String {
    match time {
        None => "-".to_owned(),
        Some(micros) if micros < 1_000 => format!("{micros} µs"),
        Some(micros) if micros < 1_000_000 => format!("{} ms", micros / 1_000),
        Some(micros) => format!("{} s", micros / 1_000_000),
    }
}

pub(crate) fn per_second(rate: f64) -> String {
    if rate < 99.95 { format!("{rate:.1}/s") } else { format!("{rate:.0}/s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_at_most_five_columns() {
        let shown = [0, 999, 1023, 1024, 10_240, 1_047_552, 1 << 20, 5 << 30, u64::MAX].map(bytes);
        assert_eq!(shown, ["0", "999", "1023", "1.0K", "10K", "1.0M", "1.0M", "5.0G", "16E"]);
    }

    #[test]
    fn a_span_has_two_units_at_the_most() {
        let shown = [999, 12_000, 303_000, 7_800_000, 273_600_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(shown, ["999ms", "12s", "5m03s", "2h10m", "3d04h"]);
    }
}
