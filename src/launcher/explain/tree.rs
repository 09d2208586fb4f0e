//! The explanation as a tree, which can be printed as text or JSON, or compared with another tree.

use crate::output::{Look, Paint, size};
use serde_json::{Map, Value, json};

/// One fact: a name, what it is, why it is so, and what it is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    name: String,
    value: String,
    /// The value as people read it, if they read it otherwise.
    shown: Option<String>,
    /// The value as a number.
    amount: Option<u64>,
    /// It is what its parts are, also where it has none.
    is_group: bool,
    why: String,
    children: Vec<Node>,
}

/// A blank at which no line ends.
const TIED: &str = "\u{a0}";

impl Node {
    pub(crate) fn new(name: impl Into<String>, value: impl Into<String>) -> Node {
        Node { name: name.into(), value: value.into(), ..Node::default() }
    }

    /// The value as people read it.
    pub(crate) fn shown(mut self, shown: impl Into<String>) -> Node {
        self.shown = Some(shown.into());
        self
    }

    fn for_people(&self) -> &str {
        self.shown.as_ref().unwrap_or(&self.value)
    }

    /// A heading: what it is stands below it.
    pub(crate) fn group(name: impl Into<String>) -> Node {
        Node { is_group: true, ..Node::new(name, "") }
    }

    /// A number.
    pub(crate) fn number(name: impl Into<String>, amount: u64) -> Node {
        Node { amount: Some(amount), ..Node::new(name, amount.to_string()) }
    }

    /// A number of bytes.
    pub(crate) fn bytes(name: impl Into<String>, bytes: u64) -> Node {
        Node::number(name, bytes).shown(size(bytes))
    }

    /// A list, which may be empty.
    pub(crate) fn list(name: impl Into<String>, children: impl IntoIterator<Item = Node>) -> Node {
        let node = Node::group(name).with(children);
        if node.children.is_empty() { Node { value: "none".to_owned(), ..node } } else { node }
    }

    pub(crate) fn why(mut self, why: impl Into<String>) -> Node {
        self.why = why.into();
        self
    }

    pub(crate) fn with(mut self, children: impl IntoIterator<Item = Node>) -> Node {
        self.children.extend(children);
        self
    }

    /// The tree as lines, the root first.
    pub(crate) fn lines(&self, look: Look) -> Vec<String> {
        let mut lines = self.own_lines("", "", look);
        self.add_children("", &mut lines, look);
        lines
    }

    fn add_children(&self, indent: &str, lines: &mut Vec<String>, look: Look) {
        for (index, child) in self.children.iter().enumerate() {
            let last = index + 1 == self.children.len();
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let (first, rest) = (format!("{indent}{branch}"), format!("{indent}{below}"));
            lines.extend(child.own_lines(&first, &rest, look));
            child.add_children(&rest, lines, look);
        }
    }

    /// Name, value and reason, behind `first`; what does not fit on the line comes behind `rest`, a column further in.
    fn own_lines(&self, first: &str, rest: &str, look: Look) -> Vec<String> {
        let value = self.for_people();
        let value = if value.is_empty() { String::new() } else { format!(": {value}") };
        let why = if self.why.is_empty() { String::new() } else { format!("  #{TIED}{}", self.why) };
        // Children stand between a line and what continues it.
        let bar = if self.children.is_empty() { "    " } else { "│   " };
        let columns = |text: &str| text.chars().count();
        let text = format!("{}{value}{why}", self.name);
        let plain = look.wrapped(&text, columns(first), columns(rest) + columns(bar));
        let (mut is_why, mut lines) = (false, Vec::new());
        for (index, line) in plain.iter().map(|line| line.replace(TIED, " ")).enumerate() {
            let lead = if index == 0 { first.to_owned() } else { format!("{rest}{bar}") };
            lines.push(format!("{lead}{}", self.painted(line.trim_end(), index == 0, &mut is_why, look)));
        }
        lines
    }

    /// The name of something with parts stands out, the reason does not.
    fn painted(&self, line: &str, has_name: bool, is_why: &mut bool, look: Look) -> String {
        let begins = line.find("  # ").or_else(|| line.starts_with("# ").then_some(0));
        let (said, why) = match begins {
            _ if *is_why => ("", line),
            Some(at) => line.split_at(at),
            None => (line, ""),
        };
        *is_why |= !why.is_empty();
        let (name, value) = match has_name && !self.children.is_empty() {
            true => said.split_at(self.name.len().min(said.len())),
            false => ("", said),
        };
        format!("{}{value}{}", look.paint(Paint::Bold, name), look.paint(Paint::Dim, why))
    }

    /// The parts with these names, each with all below it. Err: a name that is none of them.
    pub(crate) fn sections<'w>(&self, wanted: &'w [String]) -> Result<Vec<&Node>, &'w str> {
        let find = |word: &'w String| {
            let mut place = self;
            for name in word.split('/') {
                place =
                    place.children.iter().find(|child| is_called(&child.name, name)).ok_or(word.as_str())?;
            }
            Ok(place)
        };
        wanted.iter().map(find).collect()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.children.iter().map(|child| child.name.to_lowercase().replace(' ', "-")).collect()
    }

    /// An object with a key for each part, an array if the parts are numbered. Reasons are apart: [`Node::reasons`].
    pub(crate) fn json(&self) -> Value {
        let numbered = |(index, child): (usize, &Node)| child.name == index.to_string();
        match (self.amount, self.children.as_slice()) {
            (Some(amount), []) => json!(amount),
            (None, []) if self.is_group && self.value.is_empty() => json!({}),
            (None, []) if self.is_group => json!([]),
            (None, []) if self.value.is_empty() => json!(true),
            (None, []) => json!(self.value),
            (_, children) if children.iter().enumerate().all(numbered) => {
                children.iter().map(Node::json).collect()
            }
            (_, children) => {
                let mut object: Map<String, Value> =
                    children.iter().map(|child| (key(&child.name), child.json())).collect();
                if !self.value.is_empty() {
                    object.insert("value".to_owned(), json!(self.value));
                }
                Value::Object(object)
            }
        }
    }

    /// The reason of each part, by the keys that lead to it.
    pub(crate) fn reasons(&self) -> Map<String, Value> {
        let mut reasons = Map::new();
        self.add_reasons("", &mut reasons);
        reasons
    }

    fn add_reasons(&self, above: &str, reasons: &mut Map<String, Value>) {
        for child in &self.children {
            let path = format!("{above}{}", key(&child.name));
            if !child.why.is_empty() {
                reasons.insert(path.clone(), json!(child.why));
            }
            child.add_reasons(&format!("{path}."), reasons);
        }
    }

    /// Every fact below this one by its path of names, in order.
    fn facts(&self, read: Read) -> Vec<(String, &str)> {
        let mut facts = Vec::new();
        for child in &self.children {
            let value = if read == Read::ByPeople { child.for_people() } else { &child.value };
            facts.push((child.name.clone(), value));
            let below = child.facts(read).into_iter();
            facts.extend(below.map(|(path, value)| (format!("{}/{path}", child.name), value)));
        }
        facts
    }
}

/// A name as jq(1) takes it without quotes, where it is one of words. Of a call, its name alone.
fn key(name: &str) -> String {
    name.trim_end_matches(" (some)").to_lowercase().replace([' ', '-'], "_").replace('\'', "")
}

/// Names are typed without capitals, and with a hyphen for a blank.
fn is_called(name: &str, word: &str) -> bool {
    name.to_lowercase().replace(' ', "-") == word.to_lowercase().replace([' ', '_'], "-")
}

/// The reader of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    ByPeople,
    ByPrograms,
}

/// Differences between two trees. Reasons do not count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    path: String,
    a: Option<String>,
    b: Option<String>,
}

/// Compares two trees, in the order of `a`; what only `b` has comes last.
pub(crate) fn compare(a: &Node, b: &Node, read: Read) -> Vec<Difference> {
    let (of_a, of_b) = (a.facts(read), b.facts(read));
    let find = |facts: &[(String, &str)], path: &str| {
        facts.iter().find(|(known, _)| known == path).map(|(_, value)| (*value).to_owned())
    };
    let changed = of_a.iter().map(|(path, value)| Difference {
        path: path.clone(),
        a: Some((*value).to_owned()),
        b: find(&of_b, path),
    });
    let added = of_b.iter().filter(|(path, _)| find(&of_a, path).is_none()).map(|(path, value)| Difference {
        path: path.clone(),
        a: None,
        b: Some((*value).to_owned()),
    });
    changed.chain(added).filter(|difference| difference.a != difference.b).collect()
}

impl Difference {
    /// The differences as diff(1) shows them: lines of the first tree with `-`, of the second with `+`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |sign: char, value: &Option<String>| {
            let value = value.as_ref()?;
            let value = if value.is_empty() { String::new() } else { format!(": {value}") };
            Some(format!("{sign} {}{value}", self.path))
        };
        line('-', &self.a).into_iter().chain(line('+', &self.b)).collect()
    }

    pub(crate) fn json(&self) -> Value {
        json!({"path": self.path, "a": self.a, "b": self.b})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(value: &str) -> Node {
        let calls =
            Node::group("calls").with([Node::new("read", "allowed").why("reads"), Node::new("x", value)]);
        Node::new("sandbox", "of a test").with([calls, Node::new("last", value)])
    }

    #[test]
    fn lines_show_the_tree_with_its_reasons() {
        let expected =
            ["sandbox: of a test", "├─ calls", "│  ├─ read: allowed  # reads", "│  └─ x: 1", "└─ last: 1"];
        assert_eq!(tree("1").lines(Look::PLAIN), expected);
    }

    #[test]
    fn for_a_person_lines_are_continued_and_what_has_parts_stands_out() {
        let look = Look { width: Some(25), colour: true };
        let leaf = Node::new("read", "allowed").why("reads the request");
        let lines = Node::new("calls", "1").with([leaf]).lines(look);
        let expected = [
            "\x1b[1mcalls\x1b[0m: 1",
            "└─ read: allowed\x1b[2m  # reads\x1b[0m",
            "       \x1b[2mthe request\x1b[0m",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn json_has_a_key_for_each_part_and_reasons_apart() {
        let arguments = Node::group("arguments").with([Node::new("0", "/bin/x"), Node::new("1", "80")]);
        let limits = Node::group("Limits").with([Node::bytes("memory", 64 << 20).why("--memory")]);
        let call = Node::new("mmap (some)", "if x").why("malloc");
        let empty = [Node::list("missing walls", []), Node::group("environment")];
        let tree = Node::new("sandbox", "of a test").with([arguments, limits, call]).with(empty);
        let expected = json!({
            "value": "of a test",
            "arguments": ["/bin/x", "80"],
            "limits": {"memory": 67_108_864},
            "mmap": "if x",
            "missing_walls": [],
            "environment": {},
        });
        assert_eq!(tree.json(), expected);
        let reasons = tree.reasons();
        assert_eq!((&reasons["limits.memory"], &reasons["mmap"]), (&json!("--memory"), &json!("malloc")));
    }

    #[test]
    fn a_section_is_found_by_its_name_or_its_path() {
        let tree = tree("1").with([Node::new("Root file system", "")]);
        let found = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            tree.sections(&words).map(|nodes| nodes.len()).map_err(str::to_owned)
        };
        assert_eq!(found(&["root-file-system", "calls/read"]), Ok(2));
        assert_eq!(found(&["calls", "nonesuch"]), Err("nonesuch".to_owned()));
    }

    #[test]
    fn a_difference_is_found_by_its_path() {
        let other = tree("2").with([Node::new("more", "")]);
        let lines: Vec<_> =
            compare(&tree("1"), &other, Read::ByPeople).iter().flat_map(Difference::lines).collect();
        assert_eq!(lines, ["- calls/x: 1", "+ calls/x: 2", "- last: 1", "+ last: 2", "+ more"]);
        assert_eq!(compare(&tree("1"), &tree("1"), Read::ByPeople), []);
    }
}
