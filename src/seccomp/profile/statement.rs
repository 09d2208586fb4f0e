//! A profile's text as statements: words with their places, and the reason that stands behind `#`.

use std::fmt;

/// An error in a profile, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError {
    pub file: String,
    pub place: Place,
    pub message: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.place.line, self.place.column, self.message)
    }
}

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub(super) const START: Place = Place { line: 1, column: 1 };
}

/// An error without the file's name, which the reader of the file adds.
pub(super) type Flaw = (Place, String);

pub(super) fn flaw<T>(place: Place, message: impl Into<String>) -> Result<T, Flaw> {
    Err((place, message.into()))
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    pub(super) place: Place,
}

/// One statement: a line, and the indented lines below it.
#[derive(Debug)]
pub(super) struct Statement<'t> {
    pub(super) words: Vec<Word<'t>>,
    /// The text after `#` on its lines, joined.
    pub(super) reason: String,
}

/// Much more than a profile needs; a bound, so that no text costs much.
const STATEMENTS_MAX: usize = 1024;

/// Splits a text. A line that begins with `#` is a comment; an indented one belongs to the statement above
/// it.
pub(super) fn statements(text: &str) -> Result<Vec<Statement<'_>>, Flaw> {
    let mut statements: Vec<Statement<'_>> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let (code, reason) = line.split_once('#').map_or((line, ""), |(code, reason)| (code, reason.trim()));
        let words = words(code, number);
        let indented = line.starts_with([' ', '\t']);
        let Some(first) = words.first().map(|word| word.place) else {
            // A reason may continue below its statement, until an empty line or a separate comment.
            match statements.last_mut().filter(|_| open && indented && !reason.is_empty()) {
                Some(statement) => statement.add(Vec::new(), reason),
                None => open = false,
            }
            continue;
        };
        if statements.len() == STATEMENTS_MAX {
            return flaw(first, "a profile this long is a mistake");
        }
        match statements.last_mut().filter(|_| open && indented) {
            Some(statement) => statement.add(words, reason),
            None if indented => return flaw(first, "an indented line belongs to a statement right above it"),
            None => statements.push(Statement { words, reason: reason.to_owned() }),
        }
        open = true;
    }
    Ok(statements)
}

impl<'t> Statement<'t> {
    fn add(&mut self, words: Vec<Word<'t>>, reason: &str) {
        self.words.extend(words);
        if !self.reason.is_empty() && !reason.is_empty() {
            self.reason.push(' ');
        }
        self.reason.push_str(reason);
    }
}

fn words(code: &str, line: usize) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut column = 1;
    for part in code.split_inclusive(char::is_whitespace) {
        let text = part.trim_end();
        if !text.is_empty() {
            words.push(Word { text, place: Place { line, column } });
        }
        column += part.chars().count();
    }
    words
}
