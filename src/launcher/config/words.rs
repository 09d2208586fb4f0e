//! Mistakes in a service file, in the words of that file; and suggestions for an unknown name.

use std::ops::Range;

/// One line about a mistake in a service file, with what is right. `message` and `span` are the parser's.
pub(super) fn explain(text: &str, message: &str, span: Option<Range<usize>>) -> String {
    let message = message.replace('\n', ", ");
    let start = span.map_or(0, |span| span.start);
    let line = line_at(text, start);
    let (key, value) =
        line.split_once('=').map_or((line.trim(), ""), |(key, value)| (key.trim(), value.trim()));
    let quoted = quoted(&message);
    if let Some(("unknown field", name)) = message
        .split_once(" `")
        .map(|(what, _)| (what, quoted.first()))
        .and_then(|(what, name)| Some((what, *name?)))
    {
        let known = quoted.get(1..).unwrap_or_default();
        let is_section = line.trim_start().starts_with('[');
        let meant = match nearest(name, known).filter(|_| !is_section) {
            Some(meant) => format!("did you mean '{meant}'?"),
            None if is_section => {
                "a service file has no sections; write each key on a line of its own".to_owned()
            }
            None => "dayfly.toml(5) lists the keys".to_owned(),
        };
        return format!("unknown key '{name}': {meant}");
    }
    if message.starts_with("unknown variant") {
        let (name, known) = quoted.split_first().map_or(("", &quoted[..]), |(name, known)| (*name, known));
        let meant = nearest(name, known).map(|meant| format!("did you mean '{meant}'? ")).unwrap_or_default();
        return format!("'{key}' cannot be '{name}': {meant}use {}", known.join(", "));
    }
    if message.starts_with("duplicate key") {
        return format!("the key '{key}' is there twice: put both into one line, or remove one");
    }
    if message.ends_with("expected a sequence") {
        return format!("'{key}' wants a list: {key} = [{value}]");
    }
    if message.starts_with("invalid type: sequence") {
        return format!("'{key}' takes one value, not a list: write it without the brackets");
    }
    if message.contains("expected u32") || message.contains("expected u16") || message.contains("expected u8")
    {
        return format!("'{key}' wants a number, without quotes: {key} = 16");
    }
    if message.starts_with("invalid type") || key.is_empty() || message.contains(key) {
        return message;
    }
    format!("{key}: {message}")
}

fn line_at(text: &str, offset: usize) -> &str {
    let offset = text.floor_char_boundary(offset);
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// The words between backquotes.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// The name that is most like a word, if one is like it.
pub(crate) fn nearest<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    let plain = |text: &str| text.trim_start_matches('-').replace('-', "_").to_lowercase();
    let word = plain(word);
    let most = (word.len() / 3).max(1);
    let distances = names.iter().map(|name| (distance(&word, &plain(name)), *name));
    distances
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Insertions, deletions, replacements and exchanges of neighbours that make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(from != to);
            let mut best = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::parse_service_file;
    use super::*;

    fn said(text: &str) -> String {
        let error = parse_service_file(text).unwrap_err();
        explain(text, error.message(), error.span())
    }

    #[test]
    fn a_mistake_is_told_in_the_words_of_the_file() {
        for (text, words) in [
            ("listen = \":17970\"", "'listen' wants a list: listen = [\":17970\"]"),
            ("template = \"a\"\ntemplate = \"b\"", "the key 'template' is there twice"),
            ("max-per-source = 3", "unknown key 'max-per-source': did you mean 'max_per_source'?"),
            ("wal_time = \"3s\"", "did you mean 'wall_time'?"),
            ("nonsense_beyond_all = 1", "unknown key 'nonsense_beyond_all': dayfly.toml(5) lists the keys"),
            ("[service]\ntemplate = \"a\"", "has no sections"),
            ("template = [\"a\"]", "'template' takes one value, not a list"),
            (
                "snapshot = \"overlai\"",
                "'snapshot' cannot be 'overlai': did you mean 'overlay'? use overlay, readonly, btrfs",
            ),
            ("max_connections = \"many\"", "'max_connections' wants a number"),
            ("memory = \"32XB\"", "memory: invalid size '32XB'"),
        ] {
            assert!(said(text).contains(words), "{text}: {}", said(text));
        }
    }

    #[test]
    fn only_what_is_like_a_name_is_taken_for_it() {
        let names = ["gopher", "finger", "gemini"];
        assert_eq!(nearest("gophr", &names), Some("gopher"));
        assert_eq!(nearest("fniger", &names), Some("finger"));
        assert_eq!(nearest("http", &names), None);
        assert_eq!(nearest("x", &names), None);
    }
}
