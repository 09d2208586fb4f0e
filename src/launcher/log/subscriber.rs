//! A tracing subscriber without spans: an event becomes one line, one JSON object or one journal entry.

use super::sentence;
use super::sink::{self, Destination};
use super::time;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use sys::Ignoring;
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

#[derive(Debug)]
pub(super) struct Records {
    level: Level,
    destination: Destination,
    /// Records that could not be written since the last that was.
    lost: AtomicU64,
}

/// A record that is too long is cut before its end of line.
fn cut(mut record: String) -> String {
    if record.len() > sink::RECORD_MAX {
        record.truncate(record.floor_char_boundary(sink::RECORD_MAX - 1));
        record.push('\n');
    }
    record
}

impl Records {
    pub(super) fn new(level: Level, destination: Destination) -> Records {
        Records { level, destination, lost: AtomicU64::new(0) }
    }

    /// False if the sink does not accept it now; the record is lost and counted.
    fn write(&self, level: Level, fields: &Fields) -> bool {
        match &self.destination {
            Destination::Text => sink::write_stderr(&cut(time::prefix() + &text(level, fields))),
            Destination::Json => sink::write_stderr(&cut_json(json(&time::now(), level, fields))),
            Destination::Journal(socket) => sink::send(socket, journal(level, fields).as_bytes()),
            Destination::Syslog(socket) => sink::send(socket, syslog(level, fields).as_bytes()),
            Destination::Nowhere => true,
        }
    }
}

impl Subscriber for Records {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    // No spans are made here.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            fields.rest.push(("records_lost_before", Value::Number(lost.into())));
        }
        if self.write(level, &fields) {
            self.lost.store(0, Ordering::Relaxed);
        } else {
            self.lost.store(lost + 1, Ordering::Relaxed);
        }
    }
}

/// A field's value: numbers stay numbers in JSON.
#[derive(Debug)]
enum Value {
    Number(i128),
    Text(String),
}

/// The fields of one event in the order of the call; the message apart.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, Value)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.rest.push((field.name(), Value::Text(value.to_owned())));
        }
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.rest.push((field.name(), Value::Number(value.into())));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.rest.push((field.name(), Value::Number(value.into())));
    }
}

/// Makes bytes one printable line: control bytes, what is not UTF-8 and the backslash become escapes.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut line = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => line.push_str("\\\\"),
                c if c.is_control() || is_format(c) => escape_char(&mut line, c),
                c => line.push(c),
            }
        }
        for byte in chunk.invalid() {
            escape_byte(&mut line, *byte);
        }
    }
    line
}

/// Line and paragraph separators, and the format characters of Unicode (category Cf): they turn the writing
/// direction of a terminal, or change what is shown without being seen.
fn is_format(c: char) -> bool {
    matches!(u32::from(c),
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2 | 0x180e | 0x200b..=0x200f
        | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0x1_10bd | 0x1_10cd
        | 0x1_3430..=0x1_343f | 0x1_bca0..=0x1_bca3 | 0x1_d173..=0x1_d17a | 0xe_0000..=0xe_007f)
}

fn escape_char(line: &mut String, c: char) {
    let mut buffer = [0; 4];
    for byte in c.encode_utf8(&mut buffer).bytes() {
        escape_byte(line, byte);
    }
}

const STRING: &str = "writing to a String cannot fail";

fn escape_byte(line: &mut String, byte: u8) {
    write!(line, "\\x{byte:02x}").ignoring(STRING);
}

/// Always one line; quoted if a reader could mistake it for two fields.
fn push_text(line: &mut String, text: &str) {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_./:[]+,%@".contains(c));
    if plain {
        line.push_str(text);
        return;
    }
    line.push('"');
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            c if c.is_control() => escape_char(line, c),
            c => line.push(c),
        }
    }
    line.push('"');
}

fn message_and_fields(fields: &Fields) -> String {
    let mut line = String::new();
    for c in fields.message.chars() {
        if c.is_control() { escape_char(&mut line, c) } else { line.push(c) }
    }
    for (name, value) in &fields.rest {
        line.push(' ');
        line.push_str(name);
        line.push('=');
        match value {
            Value::Number(number) => write!(line, "{number}").ignoring(STRING),
            Value::Text(text) => push_text(&mut line, text),
        }
    }
    line
}

fn text(level: Level, fields: &Fields) -> String {
    let prefix = match level {
        Level::ERROR => "dayfly: ",
        Level::WARN => "dayfly: warning: ",
        _ => "dayfly: ",
    };
    format!("{prefix}{}\n", message_and_fields(fields))
}

fn json(time: &str, level: Level, fields: &Fields) -> serde_json::Map<String, serde_json::Value> {
    let mut object = serde_json::Map::new();
    object.insert("time".to_owned(), time.into());
    object.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
    object.insert("message".to_owned(), fields.message.clone().into());
    for (name, value) in &fields.rest {
        let value = match value {
            Value::Number(number) => i64::try_from(*number).map_or(serde_json::Value::Null, Into::into),
            Value::Text(text) => text.clone().into(),
        };
        object.insert((*name).to_owned(), value);
    }
    object
}

/// Makes one line. If it is too long, its longest texts are cut, because half an object cannot be parsed, and
/// a write larger than a pipe's atomic size would block.
fn cut_json(mut object: serde_json::Map<String, serde_json::Value>) -> String {
    loop {
        let line = format!("{}\n", serde_json::json!(object));
        let texts = object.values_mut().filter_map(|value| match value {
            serde_json::Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        });
        let excess = line.len().saturating_sub(sink::RECORD_MAX);
        match texts.max_by_key(|text| text.len()) {
            Some(longest) if excess > 0 => {
                // No byte of a text takes less than one of the line.
                longest.truncate(longest.floor_char_boundary(longest.len().saturating_sub(excess)));
            }
            _ => return line,
        }
    }
}

/// Priorities of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// The message is for people; of a record, its numbers are fields alone. It stays one line, escaped as in text.
fn message(fields: &Fields) -> String {
    let field = |name: &str| {
        fields.rest.iter().find(|(known, _)| *known == name).map(|(_, value)| match value {
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text.clone(),
        })
    };
    match sentence::of_record(&fields.message, field) {
        Some(sentence) => message_and_fields(&Fields { message: sentence, rest: Vec::new() }),
        None => message_and_fields(fields),
    }
}

/// `KEY=value` lines; a value with a line feed would need the binary form.
fn journal(level: Level, fields: &Fields) -> String {
    let mut entry =
        format!("PRIORITY={}\nSYSLOG_IDENTIFIER=dayfly\nMESSAGE={}\n", priority(level), message(fields));
    for (name, value) in &fields.rest {
        let name = name.to_ascii_uppercase();
        match value {
            Value::Number(number) => writeln!(entry, "DAYFLY_{name}={number}").ignoring(STRING),
            Value::Text(text) => {
                let one_line: String = text.chars().map(|c| if c == '\n' { ' ' } else { c }).collect();
                writeln!(entry, "DAYFLY_{name}={one_line}").ignoring(STRING);
            }
        }
    }
    entry
}

/// RFC 3164 as /dev/log takes it: facility daemon.
fn syslog(level: Level, fields: &Fields) -> String {
    const DAEMON: u8 = 3 << 3;
    format!("<{}>dayfly[{}]: {}", DAEMON | priority(level), std::process::id(), message_and_fields(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(escape(b"a\nb\x1b[31m\xff\\"), "a\\x0ab\\x1b[31m\\xff\\\\");
        assert_eq!(escape("grün\u{202e}".as_bytes()), "grün\\xe2\\x80\\xae");
    }

    #[test]
    fn no_character_that_turns_or_hides_text_reaches_the_log() {
        // UAX #9, table 4: all explicit marks of writing direction; then the separators.
        let turning = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}";
        // Soft hyphen, spaces and joiners without width, invisible operators, marks of annotations, tags.
        let hidden = "\u{ad}\u{180e}\u{200b}\u{200c}\u{200d}\u{2060}\u{2064}\u{206a}\u{206f}\u{feff}\u{fff9}\u{fffb}\u{e0001}\u{e0041}\u{e007f}";
        let controls = (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32);
        for c in turning.chars().chain(hidden.chars()).chain(controls) {
            let line = escape(format!("a{c}b").as_bytes());
            let escapes: String = c.to_string().bytes().map(|byte| format!("\\x{byte:02x}")).collect();
            assert_eq!(line, format!("a{escapes}b"), "{:?}", c.escape_unicode().to_string());
        }
        let plain = "größe Ωμέγα עברית العربية 漢字 😀 e\u{301} \u{a0}";
        assert_eq!(escape(plain.as_bytes()), plain);
    }

    #[test]
    fn a_value_cannot_forge_a_field() {
        let mut line = String::new();
        push_text(&mut line, "x outcome=exited\n\"");
        assert_eq!(line, "\"x outcome=exited\\x0a\\\"\"");
    }

    #[test]
    fn a_long_json_record_is_cut_and_still_an_object() {
        for text in [escape(&[1; 1024]), "\"".repeat(9000), "ü".repeat(5000), "\u{1}".repeat(5000)] {
            let rest = vec![("line", Value::Text(text)), ("other", Value::Text("x".repeat(3000)))];
            let line = cut_json(json("2026", Level::INFO, &Fields { message: "y".repeat(5000), rest }));
            assert!(line.len() <= sink::RECORD_MAX && line.ends_with("}\n"), "{}", line.len());
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!((object["level"].as_str(), object.as_object().unwrap().len()), (Some("info"), 5));
        }
    }

    #[test]
    fn a_journal_entry_has_no_field_that_a_value_brought() {
        let fields = Fields {
            message: "a\nPRIORITY=0".to_owned(),
            rest: vec![("line", Value::Text("x\nPRIORITY=0".to_owned()))],
        };
        let entry = journal(Level::INFO, &fields);
        assert_eq!(entry.lines().filter(|line| line.starts_with("PRIORITY=")).count(), 1);
    }
}
