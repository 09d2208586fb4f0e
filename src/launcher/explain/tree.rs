//! The explanation as a tree, which can be printed as text or JSON, or compared with another tree.

use serde_json::{Value, json};

/// One fact: a name, what it is, why it is so, and what it is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    name: String,
    value: String,
    why: String,
    children: Vec<Node>,
}

impl Node {
    pub(crate) fn new(name: impl Into<String>, value: impl Into<String>) -> Node {
        Node { name: name.into(), value: value.into(), ..Node::default() }
    }

    /// A heading: what it is stands below it.
    pub(crate) fn group(name: impl Into<String>) -> Node {
        Node::new(name, "")
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
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.line()];
        self.add_children("", &mut lines);
        lines
    }

    fn add_children(&self, indent: &str, lines: &mut Vec<String>) {
        for (index, child) in self.children.iter().enumerate() {
            let last = index + 1 == self.children.len();
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            lines.push(format!("{indent}{branch}{}", child.line()));
            child.add_children(&format!("{indent}{below}"), lines);
        }
    }

    fn line(&self) -> String {
        let value = if self.value.is_empty() { String::new() } else { format!(": {}", self.value) };
        let why = if self.why.is_empty() { String::new() } else { format!("  # {}", self.why) };
        format!("{}{value}{why}", self.name)
    }

    pub(crate) fn json(&self) -> Value {
        let mut object = json!({"name": self.name, "value": self.value, "why": self.why});
        if !self.children.is_empty() {
            object["children"] = self.children.iter().map(Node::json).collect();
        }
        object
    }

    /// Every fact below this one by its path of names, in order.
    fn facts(&self) -> Vec<(String, &str)> {
        let mut facts = Vec::new();
        for child in &self.children {
            facts.push((child.name.clone(), child.value.as_str()));
            let below = child.facts().into_iter();
            facts.extend(below.map(|(path, value)| (format!("{}/{path}", child.name), value)));
        }
        facts
    }
}

/// Differences between two trees. Reasons do not count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    path: String,
    a: Option<String>,
    b: Option<String>,
}

/// Compares two trees, in the order of `a`; what only `b` has comes last.
pub(crate) fn compare(a: &Node, b: &Node) -> Vec<Difference> {
    let (of_a, of_b) = (a.facts(), b.facts());
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
        assert_eq!(tree("1").lines(), expected);
    }

    #[test]
    fn a_difference_is_found_by_its_path() {
        let other = tree("2").with([Node::new("more", "")]);
        let lines: Vec<_> = compare(&tree("1"), &other).iter().flat_map(Difference::lines).collect();
        assert_eq!(lines, ["- calls/x: 1", "+ calls/x: 2", "- last: 1", "+ last: 2", "+ more"]);
        assert_eq!(compare(&tree("1"), &tree("1")), []);
    }
}
