//! Situations that people meet: each has the sentence that helps.

use common::{Site, a_site, dayfly};
use std::net::TcpListener;
use std::process::{Command, Output};

/// `dayfly serve` that is to fail at once.
fn serve(site: &Site, options: &[&str]) -> (Option<i32>, String) {
    let template = site.template();
    let arguments = ["serve", "--template", template.to_str().unwrap()];
    let output =
        Command::new(dayfly()).args(arguments).args(options).args(["--", "/bin/probe"]).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn addresses_that_exclude_each_other_are_a_usage_error_that_says_which_to_give() {
    let site = a_site!();
    for addresses in
        [["0.0.0.0:7999", "[::]:7999"], ["[::]:7999", "0.0.0.0:7999"], [":7999", "127.0.0.1:7999"]]
    {
        let (status, said) = serve(&site, &["--listen", addresses[0], "--listen", addresses[1]]);
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("give [::]:7999 alone"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn an_address_that_cannot_be_had_has_a_hint() {
    let site = a_site!();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let missing = format!("unix:{}/no/such/socket", site.directory().display());
    let long = format!("unix:/{}", "x".repeat(120));
    for (address, hint) in [
        (address.as_str(), "another program listens there; ss -ltnp"),
        ("192.0.2.1:7999", "no interface of this host has that address"),
        (&missing, "make the directory"),
        (&long, "at most 107 bytes"),
    ] {
        let (status, said) = serve(&site, &["--listen", address]);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(address) && said.contains(hint), "{hint}\n{said}");
    }
}

/// `ulimit -n`, both limits.
#[test]
fn too_few_descriptors_are_said_with_what_to_raise() {
    let site = a_site!();
    let template = site.template().to_str().unwrap().to_owned();
    let under = |limit: &str, words: &[&str]| {
        let script = format!("ulimit {limit}; exec \"$0\" \"$@\" </dev/null");
        let mut command = Command::new("bash");
        command.args(["-c", &script]).arg(dayfly()).args(words);
        command.args(["--template", &template, "--", "/bin/probe", "exit", "0"]);
        command.output().unwrap()
    };
    for words in [&["run"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        for limit in ["-n 16", "-n 50"] {
            let output = under(limit, words);
            assert!(!output.status.success());
            let said = text(&output);
            assert!(said.contains("raise the hard limit (ulimit -Hn, LimitNOFILE= of the unit)"), "{said}");
        }
    }
    let output = under("-n 16", &["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("fail  descriptors: at most 16"), "{}", text(&output));
    // The soft limit alone is raised.
    let output = under("-Sn 16", &["run"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for words in [&["check"][..], &["run"]] {
        let output = under("-n 96", words);
        assert_eq!(output.status.code(), Some(0), "{words:?}\n{}", text(&output));
    }
}

#[test]
fn a_handler_that_is_sought_in_a_bind_is_told_where_it_must_be() {
    let site = a_site!();
    let at = |target: &str| format!("/usr:{target}");
    for (options, handler) in [
        (["--bind-ro", "/usr"], "/usr/bin/env"),
        (["--bind-ro", "/usr"], "env"),
        (["--bind-ro", &at("/empty")], "/empty/bin/env"),
        (["--bind-ro", "/usr/bin/env:/srv/hello"], "/srv/hello"),
    ] {
        let output = Command::new(dayfly())
            .args(["check", "--template", site.template().to_str().unwrap()])
            .args(options)
            .args(["--", handler])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains("copy the handler into the template"), "{handler}\n{}", text(&output));
    }
    let ended = site.handler(&["/srv/nothing"]).options(&["--bind-ro", "/usr:/empty"]).talk(b"");
    assert!(!ended.err.contains("copy the handler"), "{ended}");
}

/// A key of a service file that `run` does not apply is told, on a terminal as under inetd.
#[test]
fn run_names_the_keys_that_are_for_serve_alone() {
    let mut site = a_site!();
    let template = site.template();
    let head = format!("template = \"{}\"\nhandler = [\"/bin/probe\", \"echo\"]\n", template.display());
    let keys = "rate = \"1/s\"\nover_limit = \"no\"\nmax_connections = 3\nwait_for_data = \"1s\"\n";
    let file = site.file("x.toml", &format!("{head}{keys}"));
    let options = ["--service", file.to_str().unwrap()];
    let ended = site.handler(&[]).only_options(&options).talk(b"x");
    ended.expect(0, "exited");
    for key in ["rate", "over_limit", "max_connections", "wait_for_data"] {
        assert!(ended.err.contains(key), "{key}\n{ended}");
    }
    let output = Command::new(dayfly()).arg("check").arg(&file).output().unwrap();
    assert!(text(&output).contains("for serve only: --max-connections --rate"), "{}", text(&output));
    // Under systemd it would be said once a connection.
    let quiet = site.handler(&[]).only_options(&options).variable("INVOCATION_ID", "0").talk(b"x");
    assert!(!quiet.err.contains("over_limit"), "{quiet}");
    // These are in force.
    let file = site.file("y.toml", &format!("{head}min_rate = \"1K\"\nidle_time = \"5s\"\n"));
    let ended = site.handler(&[]).only_options(&["--service", file.to_str().unwrap()]).talk(b"x");
    ended.expect(0, "exited");
    assert!(!ended.err.contains("does not apply"), "{ended}");
}

#[test]
fn units_say_which_keys_they_drop_and_refuse_what_would_fail() {
    let mut site = a_site!();
    let head = "template = \"/srv/x\"\nhandler = [\"/bin/x\"]\n";
    let mut unit = |keys: &str, form: &[&str]| {
        let file = site.file("x.toml", &format!("{head}{keys}"));
        let mut command = Command::new(dayfly());
        command.args(["unit", "--listen", ":79"]).args(form).arg(file);
        command.output().unwrap()
    };
    let output = unit("rate = \"1/s\"\nover_limit = \"no\"\nmax_connections = 3\n", &["--inetd"]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("which ignores rate over_limit;") && !said.contains("max_connections"), "{said}");
    assert!(unit("rate = \"1/s\"\n", &[]).stderr.is_empty());
    for (keys, form, named) in [
        ("proxy_protocol = [\"127.0.0.1\"]\n", &["--inetd"][..], "leave --inetd out"),
        ("kill_signal = \"SIGTERM\"\n", &[], "--inetd"),
        ("status_fd = 5\n", &[], "status_fd"),
        ("status_fd = 5\n", &["--inetd"], "status_fd"),
    ] {
        let output = unit(keys, form);
        assert_eq!(output.status.code(), Some(2), "{keys} {form:?}");
        assert!(text(&output).contains(named), "{}", text(&output));
    }
}

#[test]
fn a_handler_behind_a_link_into_a_bind_has_the_hint_of_binds() {
    let mut site = a_site!();
    std::fs::create_dir(site.template().join("usr")).unwrap();
    std::os::unix::fs::symlink("usr/sbin", site.template().join("sbin")).unwrap();
    site.settle();
    for handler in ["/sbin/nologin", "/usr/sbin/nologin"] {
        let template = site.template();
        let mut command = Command::new(dayfly());
        command.args(["run", "--bind-ro", "/usr", "--template"]).arg(template).args(["--", handler]);
        let said = text(&command.output().unwrap());
        assert!(said.contains("hint: --bind-ro shows /usr of the host"), "{handler}: {said}");
    }
}
