//! Keys and values of the configuration file, as they are written.

/// A value as it is written; what it must be is decided by its key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(u32),
    Truth(bool),
    List(Vec<String>),
}

impl Value {
    pub(crate) fn text(self) -> Result<String, String> {
        match self {
            Value::Text(text) => Ok(text),
            Value::Number(_) | Value::Truth(_) | Value::List(_) => Err("wants a \"string\"".to_owned()),
        }
    }

    pub(crate) fn truth(self) -> Result<bool, String> {
        match self {
            Value::Truth(truth) => Ok(truth),
            Value::Number(_) | Value::Text(_) | Value::List(_) => Err("wants true or false".to_owned()),
        }
    }

    pub(crate) fn list(self) -> Result<Vec<String>, String> {
        match self {
            Value::List(list) => Ok(list),
            Value::Number(_) | Value::Text(_) | Value::Truth(_) => {
                Err("wants a list: [\"one\", \"two\"]".to_owned())
            }
        }
    }

    pub(crate) fn count(self, max: u32) -> Result<usize, String> {
        match self {
            Value::Number(number) if (1..=max).contains(&number) => {
                usize::try_from(number).map_err(|wrong| wrong.to_string())
            }
            _ => Err(format!("wants a number from 1 to {max}")),
        }
    }

    pub(crate) fn port(self) -> Result<u16, String> {
        match self {
            Value::Number(number @ 1..=65_535) => u16::try_from(number).map_err(|wrong| wrong.to_string()),
            _ => Err("wants a number from 1 to 65535".to_owned()),
        }
    }
}

/// Reads a file from its start, one key and value after the other.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Reader<'a> {
        Reader { rest: text, line: 1 }
    }

    /// The next key with the number of its line, or `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, String, Value)>, String> {
        self.skip(true);
        if self.rest.is_empty() {
            return Ok(None);
        }
        let line = self.line;
        let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let length = self.rest.find(|c| !is_key(c)).unwrap_or(self.rest.len());
        let (key, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.skip(false);
        if key.is_empty() || !self.take('=') {
            return Err(format!("{line}: wants key = value"));
        }
        self.skip(false);
        let value = self.value().map_err(|wrong| format!("{}: {key}: {wrong}", self.line))?;
        self.skip(false);
        if !self.rest.is_empty() && !self.rest.starts_with('\n') {
            return Err(format!("{}: {key}: more after the value", self.line));
        }
        Ok(Some((line, key.to_owned(), value)))
    }

    fn value(&mut self) -> Result<Value, String> {
        if self.take('[') {
            return self.list();
        }
        if self.rest.starts_with(['"', '\'']) {
            return self.string().map(Value::Text);
        }
        let length = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        match word {
            "true" => Ok(Value::Truth(true)),
            "false" => Ok(Value::Truth(false)),
            digits => match digits.parse() {
                Ok(number) => Ok(Value::Number(number)),
                Err(_) => Err("wants a value; text is in \"quotes\"".to_owned()),
            },
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut list = Vec::new();
        loop {
            self.skip(true);
            if self.take(']') {
                return Ok(Value::List(list));
            }
            list.push(self.string()?);
            self.skip(true);
            if !self.take(',') && !self.rest.starts_with(']') {
                return Err("wants , or ] after an entry".to_owned());
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut characters = self.rest.chars();
        let quote = characters.next().filter(|quote| matches!(quote, '"' | '\''));
        let Some(quote) = quote else { return Err("wants a \"string\"".to_owned()) };
        loop {
            match characters.next() {
                Some(end) if end == quote => break,
                None | Some('\n') => return Err("the string does not end".to_owned()),
                Some('\\') if quote == '"' => match characters.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(same @ ('"' | '\\')) => text.push(same),
                    _ => return Err("of escapes only \\\" \\\\ \\n and \\t are known".to_owned()),
                },
                Some(other) => text.push(other),
            }
        }
        self.rest = characters.as_str();
        Ok(text)
    }

    fn take(&mut self, wanted: char) -> bool {
        let taken = self.rest.strip_prefix(wanted);
        self.rest = taken.unwrap_or(self.rest);
        taken.is_some()
    }

    /// Skips blanks and comments, and line ends if `lines`.
    fn skip(&mut self, lines: bool) {
        loop {
            let trimmed = self.rest.trim_start_matches([' ', '\t', '\r']);
            self.rest = if trimmed.starts_with('#') {
                &trimmed[trimmed.find('\n').unwrap_or(trimmed.len())..]
            } else {
                trimmed
            };
            if !lines || !self.take('\n') {
                return;
            }
            self.line += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        Reader::new(text).next().map(|entry| entry.expect("an entry").2)
    }

    #[test]
    fn every_kind_of_value_is_read() {
        assert_eq!(read("k=7"), Ok(Value::Number(7)));
        assert_eq!(read("k = true"), Ok(Value::Truth(true)));
        assert_eq!(read("k = \"a \\\"b\\\" # no\" # yes"), Ok(Value::Text("a \"b\" # no".to_owned())));
        assert_eq!(read("k = 'a\\b'"), Ok(Value::Text("a\\b".to_owned())));
        let list = ["a".to_owned(), "b".to_owned()];
        assert_eq!(read("k = [ # one\n 'a',\n\n 'b' # two\n]"), Ok(Value::List(list.to_vec())));
        assert_eq!(read("k = []"), Ok(Value::List(Vec::new())));
    }

    #[test]
    fn what_is_no_value_is_an_error() {
        for text in [
            "k",
            "k =",
            "= 1",
            "k = x",
            "k = \"a",
            "k = 'a\nb'",
            "k = 1 2",
            "k = ['a' 'b']",
            "k = ['a'",
            "k = [1]",
            "[table]",
            "k.l = 1",
            "k = \"\\x\"",
            "k = 99999999999",
        ] {
            assert!(Reader::new(text).next().is_err(), "{text}");
        }
    }
}
