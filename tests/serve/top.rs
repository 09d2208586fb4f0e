//! `dayfly top`, by what its screen shows in a terminal of tmux(1), and by what it prints.

use common::serve::{Serve, Serving};
use common::site::Beside;
use common::{PATIENCE, Site, a_site, dayfly, need, process, sys};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Where the harness has its supervisors' runtime directory.
fn socket(site: &Site) -> String {
    site.directory().join("stats").to_str().unwrap().to_owned()
}

fn top(site: &Site, words: &[&str]) -> Output {
    let mut command = Command::new(dayfly());
    command.args(["top", "--interval", "200ms", "--socket", &socket(site)]).args(words).output().unwrap()
}

fn json(site: &Site, words: &[&str]) -> Value {
    let output = top(site, &[&["--json"], words].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A terminal of 80 columns with `dayfly top` in it.
struct Screen {
    tmux: PathBuf,
    _beside: Beside,
    socket: PathBuf,
}

impl Screen {
    fn start(tmux: PathBuf, site: &Site, words: &[&str]) -> Screen {
        let (program, asked) = (dayfly(), socket(site));
        let command = [program.to_str().unwrap(), "top", "--interval", "200ms", "--socket", &asked];
        Screen::of(tmux, site, &[&command, words].concat())
    }

    fn of(tmux: PathBuf, site: &Site, command: &[&str]) -> Screen {
        let beside = Beside::new(site);
        let screen = Screen { tmux, socket: beside.0.join("tmux"), _beside: beside };
        let session = ["-u", "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "--"];
        screen.tmux(&[&session[..], command].concat());
        screen
    }

    fn tmux(&self, words: &[&str]) -> String {
        let output = Command::new(&self.tmux).arg("-S").arg(&self.socket).args(words).output().unwrap();
        assert!(output.status.success(), "tmux {words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    fn until(&self, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            assert!(Instant::now() < end, "the screen stays\n{text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The program in it.
    fn pid(&self) -> u32 {
        self.tmux(&["list-panes", "-F", "#{pane_pid}"]).trim().parse().unwrap()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let server = self.tmux(&["display-message", "-p", "#{pid}"]);
        self.tmux(&["kill-server"]);
        if let Ok(pidfd) = sys::pidfd(server.trim().parse().unwrap()) {
            use std::os::fd::AsFd;
            sys::readable(pidfd.as_fd(), PATIENCE);
        }
    }
}

/// The words of the row that has this one.
fn row<'t>(text: &'t str, word: &str) -> Option<Vec<&'t str>> {
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.into_iter().find(|words| words.len() == 9 && words.contains(&word))
}

/// A handler that has the connection, by the client's port.
fn pid_of(serving: &Serving<'_>, before: &[u32]) -> u32 {
    let end = Instant::now() + PATIENCE;
    loop {
        let new: Vec<u32> = serving.served().into_iter().filter(|pid| !before.contains(pid)).collect();
        if let [pid] = new.as_slice() {
            return *pid;
        }
        assert!(Instant::now() < end, "{new:?}");
    }
}

/// Processor time in milliseconds and memory in bytes, as /proc has them.
fn used(pid: u32) -> (u64, u64) {
    let number = |field| u64::try_from(process::stat(pid, field)).unwrap();
    ((14..=17).map(number).sum::<u64>() * 10, number(24) * 4096)
}

#[test]
fn the_screen_shows_each_sandbox_with_its_peer_pid_state_and_memory() {
    let tmux = need!("tmux");
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).start();
    let mut clients = vec![serving.connect_from("127.0.0.7")];
    let first = pid_of(&serving, &[]);
    clients.push(serving.connect_from("127.0.0.8"));
    let second = pid_of(&serving, &[first]);
    clients.iter_mut().for_each(|client| assert_eq!(client.line(), "ready"));
    let screen = Screen::start(tmux, &site, &[]);
    let rows = [first, second].map(|pid| pid.to_string());
    // A share of a processor is of the time since the look before.
    let text = screen.until(|text| rows.iter().all(|pid| row(text, pid).is_some_and(|row| row[5] != "-")));
    for (client, pid) in clients.iter().zip([first, second]) {
        let (address, port) = client.address();
        let shown = row(&text, &pid.to_string()).unwrap();
        assert_eq!(shown[1], format!("{address}:{port}"), "{text}");
        assert_eq!((shown[4], shown[5]), ("sleeping", "0.0"), "{text}");
        let memory = used(pid).1;
        assert_eq!(shown[6], format!("{:.0}K", memory as f64 / 1024.0), "{memory}\n{text}");
    }
    assert!(text.contains("2 live of 256") && text.contains("2 sources  127.0.0.7 1  127.0.0.8 1"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    clients[0].send(b"\n");
    let text = screen.until(|text| row(text, &rows[0]).is_none() && text.contains("exited 1"));
    assert!(row(&text, &rows[1]).is_some(), "{text}");
    drop((clients, screen));
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn what_is_shown_of_a_stopped_sandbox_is_exactly_what_proc_says() {
    let tmux = need!("tmux");
    let site = a_site!();
    let serving = Serve::probe(&site, &["spin"]).start();
    let client = serving.connect();
    let pid = pid_of(&serving, &[]);
    let screen = Screen::start(tmux, &site, &[]);
    let shown = |text: &str| row(text, &pid.to_string()).map(|row| (row[4].to_owned(), row[5].to_owned()));
    screen.until(|text| {
        shown(text).is_some_and(|(state, cpu)| state == "running" && cpu != "0.0" && cpu != "-")
    });
    while used(pid).0 < 100 {}
    sys::kill(pid, libc::SIGSTOP).unwrap();
    screen.until(|text| shown(text).is_some_and(|shown| shown == ("stopped".to_owned(), "0.0".to_owned())));
    let (cpu, memory) = used(pid);
    let report = json(&site, &[]);
    let row = &report["sandboxes"][0];
    assert_eq!((row["cpu_ms"].as_u64(), row["memory_bytes"].as_u64()), (Some(cpu), Some(memory)), "{report}");
    assert_eq!((row["pid"].as_u64(), row["cpu_percent"].as_f64()), (Some(pid.into()), Some(0.0)), "{report}");
    drop((client, screen));
    assert_eq!(serving.terminate().0, 0);
}

/// With a stub as the first process it is the handler that works.
#[test]
fn the_processor_time_of_all_processes_of_a_sandbox_counts() {
    let site = a_site!();
    let serving = Serve::probe(&site, &["spin"]).options(&["--init", "--tasks", "4"]).start();
    let client = serving.connect();
    let pid = pid_of(&serving, &[]);
    while used(pid).0 < 100 {}
    sys::kill(pid, libc::SIGSTOP).unwrap();
    let report = json(&site, &[]);
    let row = &report["sandboxes"][0];
    assert_ne!(row["pid"].as_u64(), Some(pid.into()), "{report}");
    let stub = u32::try_from(row["pid"].as_u64().unwrap()).unwrap();
    assert_eq!(row["cpu_ms"].as_u64(), Some(used(pid).0 + used(stub).0), "{report}");
    drop(client);
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn keys_sort_filter_and_pause() {
    let tmux = need!("tmux");
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).start();
    let mut clients = ["127.0.0.7", "127.0.0.8"].map(|from| serving.connect_from(from));
    clients.iter_mut().for_each(|client| assert_eq!(client.line(), "ready"));
    let screen = Screen::start(tmux, &site, &["--sort", "service"]);
    let peers = |text: &str| -> Vec<String> {
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let rows = rows.filter(|words| words.len() == 9 && words[1].starts_with("127."));
        rows.map(|words| words[1].split(':').next().unwrap().to_owned()).collect()
    };
    screen.until(|text| peers(text) == ["127.0.0.7", "127.0.0.8"]);
    screen.keys(&["r"]);
    // Of the same service, by their number still.
    screen.until(|text| peers(text) == ["127.0.0.7", "127.0.0.8"] && text.contains("sort: service"));
    for _ in ["cpu", "memory", "age", "in", "out", "peer"] {
        screen.keys(&["s"]);
    }
    screen.until(|text| text.contains("sort: peer") && peers(text) == ["127.0.0.8", "127.0.0.7"]);
    screen.keys(&["/", "0.7", "Enter"]);
    screen.until(|text| peers(text) == ["127.0.0.7"]);
    screen.keys(&["Escape"]);
    screen.until(|text| peers(text).len() == 2);
    screen.keys(&["p"]);
    screen.until(|text| text.contains("PAUSED"));
    clients[0].send(b"\n");
    assert_eq!(clients[0].rest(), b"bye\n");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(peers(&screen.text()).len(), 2, "nothing changes while it is paused");
    screen.keys(&["p"]);
    screen.until(|text| peers(text) == ["127.0.0.8"]);
    drop((clients, screen));
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn k_and_y_kill_the_selected_sandbox_and_no_other() {
    let tmux = need!("tmux");
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).start();
    let mut clients = ["127.0.0.7", "127.0.0.8"].map(|from| serving.connect_from(from));
    clients.iter_mut().for_each(|client| assert_eq!(client.line(), "ready"));
    let screen = Screen::start(tmux, &site, &["--sort", "peer"]);
    screen.until(|text| text.contains("127.0.0.8:"));
    screen.keys(&["Down", "Down", "k"]);
    screen.until(|text| text.contains("kill the sandbox of 127.0.0.8:"));
    screen.keys(&["n"]);
    screen.until(|text| text.contains("nothing was killed"));
    screen.keys(&["k", "y"]);
    serving.await_log(&["peer=127.0.0.8:", "outcome=signaled", "signal=9"]);
    assert_eq!(clients[1].rest(), b"");
    clients[0].send(b"\n");
    assert_eq!(clients[0].rest(), b"bye\n", "the other lives");
    drop((clients, screen));
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn it_keeps_the_capabilities_to_connect_and_to_kill_and_no_other() {
    let tmux = need!("tmux");
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).start();
    let screen = Screen::start(tmux, &site, &[]);
    screen.until(|text| text.contains("q quit"));
    let status = process::status(screen.pid());
    // CAP_DAC_OVERRIDE and CAP_KILL.
    assert_eq!(
        (status["CapPrm"].as_str(), status["CapEff"].as_str()),
        ("0000000000000022", "0000000000000022")
    );
    assert_eq!(status["NoNewPrivs"], "1");
    drop(screen);
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn the_terminal_is_as_before_after_q_and_after_a_signal() {
    let tmux = need!("tmux");
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).start();
    let program = format!("{} top --socket {}", dayfly().display(), socket(&site));
    // The shell says how the terminal was before and how it is after.
    let look = "echo \"mode $(stty -g)\"";
    let script = format!("{look}; {program}; {look}; read go; {program}; echo \"ended $?\"; {look}; cat");
    let screen = Screen::of(tmux, &site, &["/bin/sh", "-c", &script]);
    screen.until(|text| text.contains("q quit"));
    screen.keys(&["q"]);
    screen.until(|text| text.matches("mode ").count() == 2);
    screen.keys(&["Enter"]);
    screen.until(|text| text.contains("q quit"));
    let top = || process::all().into_iter().find(|pid| process::stat(*pid, 4) == i64::from(screen.pid()));
    sys::kill(top().unwrap(), libc::SIGTERM).unwrap();
    let text = screen.until(|text| text.contains("ended 0") && text.matches("mode ").count() == 3);
    let modes: Vec<&str> = text.lines().filter(|line| line.starts_with("mode ")).collect();
    assert!(modes.iter().all(|mode| *mode == modes[0]), "{text}");
    drop(screen);
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn five_hundred_sandboxes_are_told_whole() {
    let site = a_site!();
    let options = ["--max-connections", "600", "--max-per-source", "600", "--idle-time", "infinity"];
    let serving = Serve::probe(&site, &["sleep"]).options(&options).start();
    let mut clients: Vec<_> = (0..500).map(|_| serving.connect()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.line(), "ready"));
    let report = json(&site, &[]);
    let rows = report["sandboxes"].as_array().unwrap();
    // The kernel counts pages for each processor: of a small process /proc may tell none (proc_pid_stat(5), rss).
    let known = rows.iter().filter(|row| row["cpu_ms"].is_u64() && row["memory_bytes"].is_u64());
    assert_eq!((rows.len(), known.count(), report["services"][0]["live"].as_u64()), (500, 500, Some(500)));
    let page = String::from_utf8(top(&site, &["--once"]).stdout).unwrap();
    assert_eq!(page.matches(" 127.0.0.1:").count(), 500, "{page}");
    drop(clients);
    assert_eq!(serving.terminate().0, 0);
}

#[test]
fn who_may_not_ask_is_told_so_and_statistics_list_no_sandbox() {
    let setpriv = need!("setpriv");
    let site = a_site!();
    let serving = Serve::probe(&site, &["sleep"]).start();
    let mut client = serving.connect();
    assert_eq!(client.line(), "ready");
    let words = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut command = Command::new(setpriv);
    let output =
        command.args(words).arg(dayfly()).args(["top", "--once", "--socket", &socket(&site)]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("run dayfly top as root") && said.lines().count() == 1, "{said}");
    let output = top(&site, &["--once", "no-such-service"]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("no supervisor serves 'no-such-service'"),
        "{output:?}"
    );
    let stats =
        Command::new(dayfly()).args(["stats", "--json", "--socket", &socket(&site)]).output().unwrap();
    let stats: Value = serde_json::from_slice(&stats.stdout).unwrap();
    assert!(stats[0]["live"] == 1 && stats[0]["sandboxes"].is_null(), "{stats}");
    drop(client);
    assert_eq!(serving.terminate().0, 0);
}
