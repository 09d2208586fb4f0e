//! The injector around a launch: which calls it changes, and what it says of them.

use super::{PATIENCE, Site, sys, test_bin};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

/// Where the injector finds its report.
pub const REPORT_FD: i32 = 250;

/// The words before a command that run it under the injector, and the descriptor for [`REPORT_FD`].
#[derive(Debug)]
pub struct Injector {
    pub words: Vec<OsString>,
    pub report: OwnedFd,
}

/// The injector's report, complete when the last traced process has ended.
#[derive(Debug)]
pub struct Pending(Receiver<Vec<u8>>);

#[derive(Debug)]
pub struct Report {
    text: String,
}

/// One call of a trace, by which it can be found again in the next launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub role: String,
    pub name: String,
    /// Among the calls of this name of its process.
    pub nth: u64,
    pub text: String,
    pub answer: i64,
}

/// An injector with these rules (`tests/injector/rule.rs` explains them); the last argument are further
/// options.
pub fn injector(rules: &[String], options: &[&str]) -> (Injector, Pending) {
    let (reader, report) = sys::pipe().expect("a pipe");
    let mut words = vec![test_bin("injector").into_os_string(), "--report".into()];
    words.push(REPORT_FD.to_string().into());
    words.extend(options.iter().map(OsString::from));
    for rule in rules {
        words.extend(["--rule".into(), OsString::from(rule)]);
    }
    words.push("--".into());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _read_or_cut = File::from(reader).read_to_end(&mut bytes);
        let _nobody_waits_any_more = sender.send(bytes);
    });
    (Injector { words, report }, Pending(receiver))
}

/// For as long as the file is there, the rules hold.
pub fn valid_while(file: &Path) -> [&str; 2] {
    ["--while", file.to_str().expect("a path of ours")]
}

impl Pending {
    pub fn read(self) -> Report {
        let bytes = self.0.recv_timeout(PATIENCE).expect("the injector ends with what it follows");
        Report { text: String::from_utf8_lossy(&bytes).into_owned() }
    }
}

impl Report {
    /// How often a rule was applied.
    pub fn fired(&self) -> usize {
        self.text.lines().filter(|line| line.starts_with("fired ")).count()
    }

    /// Whether this rule was.
    pub fn fired_rule(&self, index: usize) -> bool {
        self.text.lines().any(|line| line.starts_with(&format!("fired {index} ")))
    }

    /// Whether a handler was executed.
    pub fn ran(&self) -> bool {
        self.text.lines().any(|line| line.starts_with("ran "))
    }

    /// How often processes of this role have made this call, in a whole trace.
    pub fn count(&self, role: &str, name: &str) -> usize {
        let begin = format!("call {role} {name} ");
        self.text.lines().filter(|line| line.starts_with(&begin)).count()
    }

    /// Every call up to the first handler. Texts have TAG in place of the site's own names.
    pub fn calls(&self, site: &Site) -> Vec<Call> {
        let text = self.text.replace(site.tag(), "TAG");
        let lines = text.lines().take_while(|line| !line.starts_with("ran "));
        // The holder of an id map is killed as soon as its namespace is open: how far it comes is chance, and
        // nothing depends on it.
        let mut calls: Vec<Call> =
            lines.filter_map(Call::parse).filter(|call| call.role != "launcher/user").collect();
        for call in &mut calls {
            call.forget_pid();
        }
        let calls = Call::count_reads(calls);
        // The launcher's part ends with its last word to the child: what it does while the exec is made comes
        // by chance.
        let last_word =
            |call: &Call| call.role == "launcher" && call.name == "write" && call.text == r#""socket""#;
        let end = calls.iter().rposition(last_word).unwrap_or(calls.len());
        let is_early = |(index, call): &(usize, Call)| *index <= end || call.role != "launcher";
        calls.into_iter().enumerate().filter(is_early).map(|(_, call)| call).collect()
    }
}

impl Call {
    /// `call ROLE CALL NTH TEXT = ANSWER`.
    fn parse(line: &str) -> Option<Call> {
        let (call, answer) = line.strip_prefix("call ")?.rsplit_once(" = ")?;
        let mut parts = call.splitn(4, ' ');
        Some(Call {
            role: parts.next()?.to_owned(),
            name: parts.next()?.to_owned(),
            nth: parts.next()?.parse().ok()?,
            text: parts.next().unwrap_or_default().to_owned(),
            answer: answer.parse().ok()?,
        })
    }

    /// A process has another number each time.
    fn forget_pid(&mut self) {
        if let Some(rest) = self.text.strip_prefix("\"/proc/")
            && let Some((number, end)) = rest.split_once('/')
            && number.bytes().all(|digit| digit.is_ascii_digit())
        {
            self.text = format!("\"/proc/TAG/{end}");
        }
    }

    /// A file of /proc is as long as the host makes it, and takes as many reads. So the launcher's reads are
    /// counted by file.
    fn count_reads(mut calls: Vec<Call>) -> Vec<Call> {
        let mut counts: HashMap<String, u64> = HashMap::new();
        for call in calls.iter_mut().filter(|call| call.is_read_by_file()) {
            let count = counts.entry(call.text.clone()).or_default();
            *count += 1;
            call.nth = *count;
        }
        calls
    }

    fn is_read_by_file(&self) -> bool {
        self.role == "launcher" && self.name == "read" && !self.text.contains(' ')
    }

    /// The rule that makes this call answer `answer` without being made.
    pub fn rule(&self, answer: i64) -> String {
        let Call { role, name, nth, text, .. } = self;
        let path = match self.is_read_by_file() {
            // Sites differ in what stands for TAG.
            true => match text.trim_matches('"').rsplit_once("TAG") {
                Some((_, end)) => format!(" path=*{end}"),
                None => format!(" path={}", text.trim_matches('"')),
            },
            false => String::new(),
        };
        format!("role={role} call={name} nth={nth}{path} : return={answer}")
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Call { role, name, nth, text, .. } = self;
        write!(f, "{role} {name} {text} #{nth}")
    }
}
