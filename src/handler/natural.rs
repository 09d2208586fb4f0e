//! The order of names a reader expects, and dates and sizes as they read them.

use std::cmp::Ordering;

/// Compares names so that `part2` comes before `part10` and capitals do not come first; the bytes decide
/// between names that differ in nothing else, so the order is total.
pub(crate) fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let (mut a, mut b) = (left, right);
    while let ([first, a_rest @ ..], [second, b_rest @ ..]) = (a, b) {
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            let (x, y) = (digits(a), digits(b));
            (a, b) = (&a[x.len()..], &b[y.len()..]);
            magnitude(x, y)
        } else {
            (a, b) = (a_rest, b_rest);
            first.to_ascii_lowercase().cmp(&second.to_ascii_lowercase())
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len()).then_with(|| left.cmp(right))
}

fn digits(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    &bytes[..end]
}

/// Numbers of any length, compared without being made numbers.
fn magnitude(left: &[u8], right: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len());
    let (left, right) = (&left[significant(left)..], &right[significant(right)..]);
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// The date that a name begins with, `2026-11-20`, `2026_11_20` or `20261120`, as YYYY-MM-DD.
pub(crate) fn leading_date(name: &[u8]) -> Option<String> {
    let mut rest = name;
    let mut parts = [""; 3];
    for (part, length) in parts.iter_mut().zip([4, 2, 2]) {
        let (digits, after) = rest.split_at_checked(length)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        *part = std::str::from_utf8(digits).ok()?;
        rest = after.strip_prefix(b"-").or(after.strip_prefix(b"_")).unwrap_or(after);
    }
    let [year, month, day] = parts;
    let real = ("01"..="12").contains(&month) && ("01"..="31").contains(&day);
    real.then(|| format!("{year}-{month}-{day}"))
}

/// The time that a directory's whole name is, `2026` or `2026-11`, for archives by year and month.
pub(crate) fn period(name: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(name).ok()?;
    let (year, month) = text.split_once(['-', '_']).map_or((text, None), |(year, month)| (year, Some(month)));
    let digits =
        |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    let real = month.is_none_or(|month| digits(month, 2) && ("01"..="12").contains(&month));
    (digits(year, 4) && real).then(|| text.replace('_', "-"))
}

/// The UTC date of a time in seconds since 1970, as YYYY-MM-DD. A sandbox has no time zone to ask for.
///
/// Days are counted in eras of 400 years that begin on a first of March, so that the leap day is the last of
/// a year (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub(crate) fn date(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400).saturating_add(719_468);
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time in seconds since 1970 as RFC 3339 has it, in UTC.
pub(crate) fn timestamp(seconds: i64) -> String {
    let of_day = seconds.rem_euclid(86_400);
    format!("{}T{:02}:{:02}:{:02}Z", date(seconds), of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// A time in seconds since 1970 as web servers log it, in UTC.
pub(crate) fn log_time(seconds: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date = date(seconds);
    let mut parts = date.rsplitn(3, '-');
    let (day, month, year) = (parts.next(), parts.next(), parts.next());
    let month = month.and_then(|month| month.parse::<usize>().ok()).and_then(|month| MONTHS.get(month - 1));
    let of_day = seconds.rem_euclid(86_400);
    format!(
        "{}/{}/{}:{:02}:{:02}:{:02} +0000",
        day.unwrap_or_default(),
        month.unwrap_or(&""),
        year.unwrap_or_default(),
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// A size in at most eight columns, in units of 1024.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10_240 {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}B", tenths / 10, tenths % 10, ["K", "M", "G", "T", "P", "E"][unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_at_the_start_of_a_name_is_seen() {
        for name in ["2026-11-20-one.txt", "20261120.txt", "2026_11_20", "2026-11-20T10"] {
            assert_eq!(leading_date(name.as_bytes()).as_deref(), Some("2026-11-20"), "{name}");
        }
        for name in ["", "2026", "2026-13-01", "2026-11-xx", "part2.txt", "99999999"] {
            assert_eq!(leading_date(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn a_year_or_a_month_is_a_period() {
        assert_eq!(period(b"2026").as_deref(), Some("2026"));
        assert_eq!(period(b"2026_11").as_deref(), Some("2026-11"));
        for name in [&b"2026-13"[..], b"20261", b"2026-1", b"year", b"2026-11-20", b"\xff"] {
            assert_eq!(period(name), None, "{name:?}");
        }
    }

    #[test]
    fn numbers_in_names_are_ordered_as_numbers() {
        let mut names = ["b", "part10.txt", "Part2.txt", "part1.txt", "a", "part01.txt", "part"];
        names.sort_by(|a, b| compare(a.as_bytes(), b.as_bytes()));
        assert_eq!(names, ["a", "b", "part", "part01.txt", "part1.txt", "Part2.txt", "part10.txt"]);
    }

    #[test]
    fn dates_are_utc_and_iso() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_795_132_800, "2026-11-20"),
            (-1, "1969-12-31"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn no_time_is_out_of_range() {
        assert!(date(i64::MAX).len() > 10 && date(i64::MIN).len() > 10);
    }

    #[test]
    fn sizes_have_one_decimal() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KB"),
            (1_536, "1.5 KB"),
            (10 << 20, "10.0 MB"),
            (u64::MAX, "15.9 EB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
