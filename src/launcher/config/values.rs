//! Values as people write them: sizes, times, ranges, `A:B` specifications. Parsing only, pure.
//!
//! Each type reads from an option's text and from a TOML string or integer, by the same `FromStr`.

use super::targets;
use sandbox::launch::stack;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

/// The error of a value: what is wrong, and what to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValueError(pub(crate) String);

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValueError {}

fn error<T>(message: impl Into<String>) -> Result<T, ValueError> {
    Err(ValueError(message.into()))
}

/// A number of bytes; K, M, G and T are powers of 1024. `infinity` is [`Size::INFINITE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    pub(crate) const INFINITE: Size = Size(u64::MAX);
}

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Size, ValueError> {
        if text == "infinity" {
            return Ok(Size::INFINITE);
        }
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        // Both ways in which people write a unit mean powers of 1024 here, as in systemd.
        let unit = &text[digits.len()..];
        let unit = unit.strip_suffix("iB").or_else(|| unit.strip_suffix('B')).unwrap_or(unit);
        let shift = match unit {
            "" => 0,
            "K" | "k" => 10,
            "M" | "m" => 20,
            "G" | "g" => 30,
            "T" | "t" => 40,
            _ => return no_size(text),
        };
        match digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)) {
            Some(0) => error("a size of 0 allows nothing: write infinity for no limit"),
            Some(bytes) if bytes < u64::MAX => Ok(Size(bytes)),
            _ => no_size(text),
        }
    }
}

fn no_size(text: &str) -> Result<Size, ValueError> {
    error(format!("invalid size '{text}': use a number of bytes, a number with K, M or G, or infinity"))
}

/// A span of time as in systemd.time(7): `1min 30s`, `500ms`; a bare number is seconds. None is `infinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Option<Duration>);

impl Span {
    const MAX: Duration = Duration::from_secs(366 * 86_400);
}

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Span, ValueError> {
        if text == "infinity" {
            return Ok(Span(None));
        }
        let mut rest = text.trim();
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let (number, after) = split_at_first_not(rest, |c| c.is_ascii_digit() || c == '.');
            let (unit, after) = split_at_first_not(after.trim_start(), |c| c.is_alphabetic());
            let part = span_part(number, unit).ok_or_else(|| no_span(text))?;
            total = total.checked_add(part).ok_or_else(|| no_span(text))?;
            rest = after.trim_start();
        }
        if total.is_zero() {
            return error("a time of 0 is over before it begins: write infinity for no limit");
        }
        if total > Span::MAX {
            return error(format!("'{text}' is longer than a year: write infinity for no limit"));
        }
        Ok(Span(Some(total)))
    }
}

fn no_span(text: &str) -> ValueError {
    ValueError(format!(
        "invalid time '{text}': use seconds, or a form of systemd.time(7): 500ms, 1min 30s, infinity"
    ))
}

fn split_at_first_not(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn span_part(number: &str, unit: &str) -> Option<Duration> {
    let seconds = match unit {
        "us" | "usec" | "µs" => 0.000_001,
        "ms" | "msec" => 0.001,
        "" | "s" | "sec" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        "M" | "month" | "months" => 2_629_800.0,
        "y" | "year" | "years" => 31_557_600.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// Bytes for the wire, with escapes `\r \n \t \\ \xHH`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl FromStr for Bytes {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Bytes, ValueError> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'\\' {
                bytes.push(byte);
                continue;
            }
            let escaped = match rest.next() {
                Some(b'r') => Some(b'\r'),
                Some(b'n') => Some(b'\n'),
                Some(b't') => Some(b'\t'),
                Some(b'\\') => Some(b'\\'),
                Some(b'x') => hex_byte(rest.next(), rest.next()),
                _ => None,
            };
            let Some(escaped) = escaped else {
                return error(format!("'{text}' has an unknown escape: there are \\r \\n \\t \\\\ \\xHH"));
            };
            bytes.push(escaped);
        }
        Ok(Bytes(bytes))
    }
}

fn hex_byte(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? * 16 + digit(low)?)
}

/// `BASE+SIZE`: the uids and gids of sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserRange {
    pub(crate) base: u32,
    pub(crate) size: u32,
}

impl UserRange {
    /// Above the ranges of systemd-nspawn and of Debian's subordinate ids, below the foreign-uid range.
    pub(crate) const DEFAULT: UserRange = UserRange { base: 1_879_048_192, size: 4_194_304 };
}

impl FromStr for UserRange {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<UserRange, ValueError> {
        let numbers =
            text.split_once('+').and_then(|(base, size)| Some((base.parse().ok()?, size.parse().ok()?)));
        let Some((base, size)) = numbers else {
            return error(format!("invalid range '{text}': use BASE+SIZE, for example 1879048192+4194304"));
        };
        // 65534 and 65535 mean "nobody" and "no change"; u32::MAX means "no change" too.
        match u32::checked_add(base, size) {
            Some(end) if base > 65_535 && size > 0 && end < u32::MAX => Ok(UserRange { base, size }),
            _ => error(format!("'{text}' must lie between 65536 and 4294967294")),
        }
    }
}

/// `N` or `MIN..MAX`: sandboxes kept parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Warm {
    pub(crate) min: usize,
    pub(crate) max: usize,
}

impl Warm {
    pub(crate) const DEFAULT: Warm = Warm { min: 4, max: 64 };
}

impl FromStr for Warm {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Warm, ValueError> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        match (min.parse(), max.parse()) {
            (Ok(min), Ok(max)) if 1 <= min && min <= max && max <= 4096 => Ok(Warm { min, max }),
            _ => error(format!("invalid number of sandboxes '{text}': use N or MIN..MAX, from 1 to 4096")),
        }
    }
}

/// `N/TIME`: so many at once, and one more every N-th part of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) count: u32,
    pub(crate) time: Duration,
}

impl FromStr for Rate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Rate, ValueError> {
        let parts = text.split_once('/').and_then(|(count, time)| {
            // `30/min` is how it is said.
            let time =
                if time.starts_with(char::is_alphabetic) { format!("1{time}") } else { time.to_owned() };
            Some((count.parse().ok()?, time.parse::<Span>().ok()?.0?))
        });
        match parts {
            Some((count @ 1.., time)) if !(time / count).is_zero() => Ok(Rate { count, time }),
            _ => error(format!("invalid rate '{text}': use N/TIME, for example 30/min or 5/10s")),
        }
    }
}

/// A switch with a value: yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Switch(pub(crate) bool);

impl FromStr for Switch {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Switch, ValueError> {
        match text {
            "yes" | "true" => Ok(Switch(true)),
            "no" | "false" => Ok(Switch(false)),
            _ => error(format!("'{text}' is neither yes nor no")),
        }
    }
}

/// Splits at `:`, which `\:` writes literally, as nspawn's --bind does.
pub(super) fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, fields.last_mut()) {
            (':', _) => fields.push(String::new()),
            ('\\', Some(field)) => match chars.next() {
                Some(':') => field.push(':'),
                Some(other) => field.extend(['\\', other]),
                None => field.push('\\'),
            },
            (other, Some(field)) => field.push(other),
            (_, None) => {}
        }
    }
    fields
}

/// `SRC[:DST]`: a host path, and its path in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BindSpec {
    pub(crate) source: String,
    pub(crate) target: String,
    /// The launcher's own, not the operator's.
    pub(crate) is_ours: bool,
}

impl FromStr for BindSpec {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<BindSpec, ValueError> {
        let (source, target) = match fields(text).as_slice() {
            [source] => (source.clone(), source.clone()),
            [source, target] => (source.clone(), target.clone()),
            _ => {
                return error(format!(
                    "invalid bind '{text}': use SRC or SRC:DST, with \\: for a colon in a path"
                ));
            }
        };
        if source.is_empty() {
            return error(format!("'{text}' has no source: use SRC or SRC:DST"));
        }
        let target = targets::normal_below_root(&target)?;
        Ok(BindSpec { source, target, is_ours: false })
    }
}

/// `PATH:PATH[:PATH...]:DST`: host directories, the lowest first, and their common path in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StackSpec {
    pub(crate) layers: Vec<String>,
    pub(crate) target: String,
}

impl FromStr for StackSpec {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<StackSpec, ValueError> {
        match fields(text).as_slice() {
            [layers @ .., target] if layers.len() > 1 && !layers.contains(&String::new()) => {
                if layers.len() > stack::LAYERS_MAX {
                    return error(format!("'{text}' has more than {} directories", stack::LAYERS_MAX));
                }
                Ok(StackSpec { layers: layers.to_vec(), target: targets::normal_below_root(target)? })
            }
            _ => error(format!(
                "invalid overlay '{text}': use PATH:PATH:DST, the lowest directory first, with \\: for a colon in a path"
            )),
        }
    }
}

/// `PATH[:SIZE[,INODES]]`: a tmpfs in the sandbox. PATH `/` bounds the overlay's writable layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TmpfsSpec {
    pub(crate) target: String,
    pub(crate) size: Size,
    pub(crate) inodes: u64,
}

impl TmpfsSpec {
    pub(crate) const SIZE: Size = Size(16 << 20);
    pub(crate) const INODES: u64 = 1024;
}

impl FromStr for TmpfsSpec {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<TmpfsSpec, ValueError> {
        let (target, bounds) = match fields(text).as_slice() {
            [target] => (target.clone(), String::new()),
            [target, bounds] => (target.clone(), bounds.clone()),
            _ => return error(format!("invalid tmpfs '{text}': use PATH, PATH:SIZE or PATH:SIZE,INODES")),
        };
        let target = targets::normal(&target)?;
        let (size, inodes) = match bounds.split_once(',') {
            Some((size, inodes)) => (size, Some(inodes)),
            None => (bounds.as_str(), None),
        };
        let size = if size.is_empty() { TmpfsSpec::SIZE } else { size.parse()? };
        let inodes = match inodes {
            None => TmpfsSpec::INODES,
            Some(text) => match text.parse() {
                Ok(number) if number > 1 => number,
                _ => return error(format!("invalid number of inodes '{text}': use 2 or more")),
            },
        };
        if size == Size::INFINITE {
            return error("a tmpfs must have a size: it is memory");
        }
        Ok(TmpfsSpec { target, size, inodes })
    }
}

/// `NAME=V` or `NAME=SOFT:HARD`, names as in setrlimit(2) without RLIMIT_; sizes may carry K, M, G; 0 is a
/// limit here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RlimitSpec {
    pub(crate) name: String,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

impl FromStr for RlimitSpec {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<RlimitSpec, ValueError> {
        let Some((name, value)) = text.split_once('=') else {
            return error(format!("invalid limit '{text}': use NAME=V, for example nofile=32"));
        };
        let (soft, hard) = value.split_once(':').unwrap_or((value, value));
        let number = |text: &str| if text == "0" { Ok(0) } else { text.parse::<Size>().map(|size| size.0) };
        let (soft, hard) = (number(soft)?, number(hard)?);
        if soft > hard {
            return error(format!("'{text}': the soft limit is above the hard one"));
        }
        let name = name.to_ascii_lowercase();
        Ok(RlimitSpec { name: name.strip_prefix("rlimit_").unwrap_or(&name).to_owned(), soft, hard })
    }
}

/// `K=V` for the handler's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Variable {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Variable, ValueError> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
                Ok(Variable { name: name.to_owned(), value: value.to_owned() })
            }
            _ => error(format!("invalid variable '{text}': use NAME=VALUE")),
        }
    }
}

/// Implements `Deserialize` by `FromStr`, from a TOML string, integer or boolean.
macro_rules! deserialize_by_text {
    ($($type:ty, $expecting:literal;)*) => { $(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                deserializer.deserialize_any(TextVisitor($expecting, PhantomData))
            }
        }
    )* };
}

struct TextVisitor<T>(&'static str, PhantomData<T>);

impl<T: FromStr<Err = ValueError>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_bool<E: de::Error>(self, switch: bool) -> Result<T, E> {
        switch.to_string().parse().map_err(E::custom)
    }
}

deserialize_by_text! {
    Size, "a size such as 16M";
    Span, "a time such as \"30s\"";
    UserRange, "a range BASE+SIZE";
    Warm, "N or \"MIN..MAX\"";
    Rate, "\"N/TIME\"";
    Switch, "true or false";
    BindSpec, "SRC or SRC:DST";
    StackSpec, "PATH:PATH:DST, the lowest directory first";
    TmpfsSpec, "PATH, PATH:SIZE or PATH:SIZE,INODES";
    RlimitSpec, "NAME=V";
    Variable, "NAME=VALUE";
}

/// TOML has its own escapes, so the bytes are used unchanged.
impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        String::deserialize(deserializer).map(|text| Bytes(text.into_bytes()))
    }
}

#[cfg(test)]
mod tests;
