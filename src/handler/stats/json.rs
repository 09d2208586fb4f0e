//! JSON, read by hand: enough for a file of counts and names.

const DEPTH_MAX: usize = 8;

/// A value. Numbers are counts: what has a sign, a fraction or an exponent is kept as none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Nothing,
    Count(u64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        self.members().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn count(&self) -> Option<u64> {
        match self {
            Json::Count(count) => Some(*count),
            Json::Nothing | Json::Text(_) | Json::List(_) | Json::Object(_) => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            Json::Nothing | Json::Count(_) | Json::List(_) | Json::Object(_) => None,
        }
    }

    pub(crate) fn entries(&self) -> &[Json] {
        match self {
            Json::List(list) => list,
            Json::Nothing | Json::Count(_) | Json::Text(_) | Json::Object(_) => &[],
        }
    }

    pub(crate) fn members(&self) -> &[(String, Json)] {
        match self {
            Json::Object(members) => members,
            Json::Nothing | Json::Count(_) | Json::Text(_) | Json::List(_) => &[],
        }
    }
}

/// The value that the text is, or `None` if it is not JSON.
pub(crate) fn parse(text: &[u8]) -> Option<Json> {
    let mut parser = Parser { rest: std::str::from_utf8(text).ok()? };
    let value = parser.value(DEPTH_MAX)?;
    parser.blank().is_empty().then_some(value)
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn blank(&mut self) -> &'a str {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.rest
    }

    fn take(&mut self, wanted: &str) -> Option<()> {
        self.rest = self.blank().strip_prefix(wanted)?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        let depth = depth.checked_sub(1)?;
        match self.blank().chars().next()? {
            '"' => self.string().map(Json::Text),
            '{' => self.object(depth),
            '[' => self.list(depth),
            't' => self.take("true").map(|()| Json::Nothing),
            'f' => self.take("false").map(|()| Json::Nothing),
            'n' => self.take("null").map(|()| Json::Nothing),
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Option<Json> {
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let length = self.rest.find(|c| !is_number(c)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(length);
        self.rest = rest;
        number.parse::<f64>().ok()?;
        Some(number.parse().map_or(Json::Nothing, Json::Count))
    }

    fn list(&mut self, depth: usize) -> Option<Json> {
        self.take("[")?;
        let mut list = Vec::new();
        if self.take("]").is_some() {
            return Some(Json::List(list));
        }
        loop {
            list.push(self.value(depth)?);
            if self.take("]").is_some() {
                return Some(Json::List(list));
            }
            self.take(",")?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.take("{")?;
        let mut members = Vec::new();
        if self.take("}").is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.blank();
            let key = self.string()?;
            self.take(":")?;
            members.push((key, self.value(depth)?));
            if self.take("}").is_some() {
                return Some(Json::Object(members));
            }
            self.take(",")?;
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut characters = self.rest.strip_prefix('"')?.chars();
        let mut text = String::new();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => text.push(escaped(&mut characters)?),
                control if control < ' ' => return None,
                other => text.push(other),
            }
        }
        self.rest = characters.as_str();
        Some(text)
    }
}

/// The character after a backslash. Half of a surrogate pair is shown as U+FFFD.
fn escaped(characters: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match characters.next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' | 'f' => ' ',
        'u' => {
            let digits: String = characters.by_ref().take(4).collect();
            let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4)?;
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        same @ ('"' | '\\' | '/') => same,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_kinds_are_read() {
        let json = parse(br#" {"a": [1, -2, 3.5, true, null], "b": "x\u00e9\"\n", "c": {}} "#).expect("JSON");
        assert_eq!(json.get("a").map(|a| a.entries()[0].count()), Some(Some(1)));
        assert_eq!(json.get("a").map(|a| a.entries().len()), Some(5));
        assert_eq!(json.get("b").and_then(Json::text), Some("x\u{e9}\"\n"));
    }

    #[test]
    fn what_is_no_json_is_none() {
        for text in
            ["", "{", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "\"a", "1 2", "x", "\"\\x\"", "\"\n\"", "--1"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert_eq!(parse("[".repeat(100_000).as_bytes()), None);
        assert_eq!(parse(format!("{}{}", "[".repeat(9), "]".repeat(9)).as_bytes()), None);
        assert!(parse(format!("{}{}", "[".repeat(8), "]".repeat(8)).as_bytes()).is_some());
    }
}
