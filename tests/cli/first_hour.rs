//! Command lines of newcomers: plain words are understood, and a mistake is told with its correction.

use common::site::Beside;
use common::{a_site, dayfly, test_bin};
use std::process::{Command, Output, Stdio};

fn say(words: &[&str]) -> Output {
    Command::new(dayfly()).args(words).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// It is the operator's mistake, told in one line with these words.
#[track_caller]
fn is_told(words: &[&str], said: &[&str]) {
    let output = say(words);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {text}");
    assert!(text.lines().count() == 1 && said.iter().all(|word| text.contains(word)), "{words:?}: {text}");
}

#[test]
fn a_service_is_named_by_a_word_and_tried_without_serving() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let template = site.template();
    let file = format!(
        "template = {:?}\nhandler = [\"/bin/probe\", \"env\"]\nlisten = [\"0\"]\n",
        template.display().to_string()
    );
    let (file, other) = (beside.file("one.toml", &file, 0o644), beside.file("two.toml", &file, 0o644));
    let (file, other) = (file.to_str().unwrap(), other.to_str().unwrap());
    let run = say(&["run", "--dry-run", file]);
    assert!(run.status.success() && text(&run).contains("ok    launch"), "{}", text(&run));
    assert!(!text(&run).contains("PATH="), "the handler has run: {}", text(&run));
    let both = say(&["serve", file, other, "--dry-run"]);
    assert_eq!(text(&both).matches("ok    launch").count(), 2, "{}", text(&both));
    std::fs::write(other, "template = \"/nowhere\"\nhandler = [\"/bin/x\"]\n").unwrap();
    assert_eq!(say(&["serve", file, other, "--dry-run"]).status.code(), Some(1));
    site.check_nothing_left();
}

#[test]
fn what_was_meant_is_said() {
    is_told(&["run", "--templte", "/x"], &["--template"]);
    is_told(&["run", "--service", "gopher.toml"], &["./gopher.toml", "gopher"]);
    is_told(
        &["run", "no-such-service-here"],
        &["there is no service", "/etc/dayfly/no-such-service-here.toml"],
    );
    is_told(&["run", "--template", "/tmp", "/bin/handler"], &["write --", "-- /bin/handler"]);
    is_told(
        &["serve", "--listen", "example.org:70", "--template", "/x", "--", "/x"],
        &["invalid address 'example.org:70'"],
    );
    is_told(&["run", "--memory", "32X"], &["invalid size '32X'", "K, M or G"]);
}

#[test]
fn units_of_size_are_understood_however_they_are_written() {
    let site = a_site!();
    let template = site.template().display().to_string();
    for size in ["32M", "32MB", "32MiB", "32m"] {
        let output =
            say(&["explain", "--json", "--template", &template, "--memory", size, "--", "/bin/probe"]);
        assert!(output.status.success(), "{size}: {}", text(&output));
        assert!(text(&output).contains("33554432"), "{size}: {}", text(&output));
    }
}

#[test]
fn init_writes_a_service_and_its_units_and_overwrites_nothing() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let directory = beside.0.to_str().unwrap();
    let made = say(&["init", "hello", "--listen", ":7079", "--output", directory]);
    assert!(made.status.success(), "{}", text(&made));
    for (name, words) in [
        ("hello.toml", ["template = ", "handler = [\"/bin/hello\"]"]),
        ("hello.socket", ["[Socket]", "7079"]),
        ("hello.service", ["ExecStart=", "hello.toml"]),
    ] {
        let content = std::fs::read_to_string(beside.0.join(name)).unwrap();
        assert!(words.iter().all(|word| content.contains(word)), "{name}: {content}");
        assert!(text(&made).contains(&format!("wrote {directory}/{name}")), "{}", text(&made));
    }
    is_told(&["init", "hello", "--output", directory], &["hello.toml is there already"]);
    is_told(&["init", "../hello", "--output", directory], &["invalid name"]);
}

#[test]
fn init_makes_a_template_of_a_static_handler_that_serves_at_once() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let directory = beside.0.to_str().unwrap();
    let probe = test_bin("probe");
    let made = say(&["init", "hello", "--handler", probe.to_str().unwrap(), "--output", directory]);
    assert!(made.status.success(), "{}", text(&made));
    let service = beside.0.join("hello.toml");
    assert!(std::fs::read_to_string(&service).unwrap().contains("handler = [\"/bin/probe\"]"));
    let service = service.to_str().unwrap();
    assert!(text(&made).contains(&format!("next: dayfly check {service}")), "{}", text(&made));
    let mark = format!("@{}", site.tag());
    let launch = site.handler(&["/bin/probe", &mark, "echo"]).only_options(&["--service", service]);
    let ended = launch.talk(b"hello");
    ended.expect(0, "exited");
    assert_eq!(ended.text(), "hello");
}

/// A template that cannot be made leaves no service file that names it.
#[test]
fn init_refuses_a_handler_that_no_template_can_run_and_writes_nothing() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let directory = beside.0.to_str().unwrap();
    for (handler, said) in
        [("/bin/true", "link it statically"), ("/etc/passwd", "executable"), ("/nowhere", "no file")]
    {
        let made = say(&["init", "hello", "--handler", handler, "--output", directory]);
        assert_eq!(made.status.code(), Some(2), "{handler}: {}", text(&made));
        assert!(text(&made).contains(said), "{handler}: {}", text(&made));
        assert_eq!(std::fs::read_dir(&beside.0).unwrap().count(), 0, "{handler}");
    }
    site.check_nothing_left();
}
