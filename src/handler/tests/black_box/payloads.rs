//! Every payload of the list: nothing outside comes back, each is answered or closed in time, no line of the
//! log is forged.

use std::time::{Duration, Instant};

use crate::harness::{Tree, run};

const PAYLOADS: &str = include_str!("../payloads.txt");

/// The content of the files outside, and of those inside that are not published.
const SECRET: &str = "NOT-FOR-READERS";

fn tree() -> Tree {
    let tree = Tree::new();
    let secret = format!("{SECRET}\n");
    tree.file_beside("outside", &secret).file_beside("root/.hidden", &secret);
    tree.file("t.txt", "text\n")
        .file("d/x", "x\n")
        .file("d/.hidden", &secret)
        .file("gophermap", format!("!T\n# {SECRET}\n"));
    tree.file("private", &secret)
        .mode("private", 0o600)
        .file("cgi-bin/x", &secret)
        .file("d/cgi-bin/x", &secret);
    tree.file(".git/config", &secret).file(".names", format!("!T\n# {SECRET}\n")).file("closed/x", &secret);
    tree.mode("closed", 0o700).fifo("fifo");
    tree.link("link-out", "../outside").link("link-up", "..").link("link-proc", "/proc/self");
    tree.link("link-absolute", "/etc/passwd");
    tree
}

/// A line of the list as bytes.
fn payload(line: &str) -> Vec<u8> {
    let line = match (line.find('{'), line.find('*'), line.find('}')) {
        (Some(open), Some(star), Some(close)) if open < star && star < close => {
            match line[open + 1..star].parse::<usize>() {
                Ok(times) => {
                    [&line[..open], &line[star + 1..close].repeat(times), &line[close + 1..]].concat()
                }
                Err(_) => line.to_owned(),
            }
        }
        _ => line.to_owned(),
    };
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, used) = match (first, after) {
            (b'\\', [b'\\', ..]) => (b'\\', 1),
            (b'\\', [b'x', high, low, ..]) => {
                let digits = [*high, *low];
                (u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap(), 3)
            }
            _ => (*first, 0),
        };
        bytes.push(byte);
        rest = &after[used..];
    }
    bytes
}

fn leaks(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains(SECRET) || text.contains("root:x:0") || text.contains("PATH=")
}

#[test]
fn no_payload_reads_what_is_not_published_or_forges_a_line() {
    let tree = tree();
    let lines: Vec<&str> = PAYLOADS.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.len() > 200, "{} payloads", lines.len());
    for line in lines {
        for end in ["\r\n", ""] {
            let started = Instant::now();
            let answer = tree.ask([&payload(line), end.as_bytes()].concat());
            assert!(started.elapsed() < Duration::from_secs(4), "{line}: {:?}", started.elapsed());
            assert_eq!(answer.status, Some(0), "{line}: {}", answer.log);
            assert!(!leaks(&answer.bytes), "{line}: {}", String::from_utf8_lossy(&answer.bytes));
            assert!(!answer.bytes.contains(&0x1B) && !answer.bytes.contains(&0), "{line}");
            one_true_line(line, &answer.log);
        }
    }
}

/// The log of a request is one line of printable ASCII, with each field once outside the quotes.
fn one_true_line(payload: &str, log: &str) {
    assert_eq!(log.matches('\n').count(), 1, "{payload}: {log}");
    assert!(log.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{payload}: {log}");
    let (before, rest) = log.split_once(" selector=\"").unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    assert_eq!(before, "peer=-", "{payload}");
    assert!(after.starts_with(" type=") && after.matches("status=").count() == 1, "{payload}: {log}");
}

/// The same with every feature on that looks at selectors.
#[test]
fn no_payload_gets_further_where_users_and_hosts_are_on() {
    let tree = tree();
    tree.file_beside("home/alice/public_gopher/t.txt", "alice\n");
    tree.file_beside("home/alice/.profile", SECRET).file_beside("a/t.txt", "a\n");
    let config = "users = 'TOP/home/%s/public_gopher'\nvhosts = ['- localhost TOP/a', '- a.example TOP/a']\n\
                  stats = '/stats'\ncharset = 'ascii'\nstrict_rfc1436 = true\n";
    let prefixes = ["", "/~alice", "/;a.example", "/;a.example/~alice", "/~alice/d", "/;localhost/"];
    let traversals = PAYLOADS.lines().filter(|line| !line.starts_with('#') && line.contains("outside"));
    for line in traversals {
        for prefix in prefixes {
            let request = [prefix.as_bytes(), &payload(line), b"\r\n"].concat();
            let answer = run(&mut tree.configured(config), &request);
            assert_eq!(answer.status, Some(0), "{prefix}{line}");
            assert!(!leaks(&answer.bytes), "{prefix}{line}: {}", String::from_utf8_lossy(&answer.bytes));
        }
    }
}

#[test]
fn the_list_is_read_as_it_says() {
    assert_eq!(payload("/a\\x00\\\\b{3*xy}"), b"/a\0\\bxyxyxy");
    assert_eq!(payload("{t,x}"), b"{t,x}");
    assert!(leaks(SECRET.as_bytes()) && !leaks(b"text"));
}
