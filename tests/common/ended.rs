//! The result of a launch, with common assertions.

use serde_json::Value;

/// The result of a launch.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub out: Vec<u8>,
    pub err: String,
    pub record: Value,
}

impl Ended {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub fn outcome(&self) -> &str {
        self.record["outcome"].as_str().unwrap_or("no record")
    }

    /// Fails with everything there is to know unless the launch ended like this.
    #[track_caller]
    pub fn expect(&self, status: i32, outcome: &str) -> &Self {
        let same = self.status == status && self.outcome() == outcome;
        assert!(same, "wanted {status} {outcome}, got {} {}\n{self}", self.status, self.outcome());
        let recorded = self.record["status"].as_i64();
        assert_eq!(recorded, Some(i64::from(status)), "the record's own status\n{self}");
        self
    }

    /// The operator's mistake: 2, one line that names it, and nothing of it for the client.
    #[track_caller]
    pub fn is_usage_error(&self, named: &str) {
        assert_eq!(self.status, 2, "naming {named:?}\n{self}");
        let lines: Vec<&str> = self.err.lines().filter(|line| !line.trim().is_empty()).collect();
        assert_eq!(lines.len(), 1, "one line of diagnosis, naming {named:?}\n{self}");
        assert!(lines[0].contains(named), "it names {named:?}\n{self}");
        assert_eq!(self.text(), "", "the client sees no diagnostic");
    }

    /// The value of the probe's line `key value`.
    #[track_caller]
    pub fn value(&self, key: &str) -> String {
        let values = self.values(key);
        assert_eq!(values.len(), 1, "one line {key:?}\n{self}");
        values[0].clone()
    }

    pub fn values(&self, key: &str) -> Vec<String> {
        let mark = format!("{key} ");
        self.text().lines().filter_map(|line| line.strip_prefix(&mark)).map(String::from).collect()
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let out = String::from_utf8_lossy(&self.out[..self.out.len().min(2000)]);
        write!(f, "status {}\nrecord {}\nanswer {out:?}\nlog {}", self.status, self.record, self.err)
    }
}
