//! One `dayfly run`: put together, started, watched and ended.

use super::inject::{Injector, REPORT_FD};
use super::{Client, Ended, PATIENCE, Site, dayfly, process, sys};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// How the connection arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Two pipes, as by hand.
    Pipes,
    /// A TCP connection on fd 0 and 1, as tcpserver and systemd's StandardInput=socket with a log on 2.
    Tcp,
    /// The same from an IPv4 client of an IPv6 listener.
    Mapped,
    /// A unix socket in its place.
    Unix,
    /// inetd: the connection on 0, 1 and 2.
    Inetd,
    /// A connected socket at fd 3 with LISTEN_FDS=1 and the launcher's own LISTEN_PID; fd 0 is /dev/null.
    Activated,
    /// The same, but meant for some other process; fd 0 and 1 are pipes.
    ActivatedForAnother,
}

#[derive(Debug)]
pub struct Launch<'s> {
    site: &'s Site,
    wire: Wire,
    before: Vec<OsString>,
    program: OsString,
    verb: Vec<OsString>,
    options: Vec<OsString>,
    handler: Vec<OsString>,
    variables: Vec<(String, String)>,
    inherited: Vec<RawFd>,
    injector: Option<Injector>,
}

impl<'s> Launch<'s> {
    pub fn new(site: &'s Site, handler: &[&str]) -> Self {
        let template = site.template().into_os_string();
        let verb = ["run".into(), "--status-fd".into(), "9".into(), "--template".into(), template];
        Launch {
            site,
            wire: Wire::Tcp,
            before: Vec::new(),
            program: dayfly().into_os_string(),
            verb: verb.to_vec(),
            options: Vec::new(),
            handler: handler.iter().map(OsString::from).collect(),
            variables: Vec::new(),
            inherited: Vec::new(),
            injector: None,
        }
    }

    pub fn wire(mut self, wire: Wire) -> Self {
        self.wire = wire;
        self
    }

    pub fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(OsString::from));
        self
    }

    /// Everything between `run` and `--` is `options`; no template is named.
    pub fn only_options(mut self, options: &[&str]) -> Self {
        self.verb.truncate(3);
        self.options = options.iter().map(OsString::from).collect();
        self
    }

    /// Words after the program's name, instead of `run` and a template.
    pub fn verb(mut self, words: &[&str]) -> Self {
        self.verb = words.iter().map(OsString::from).collect();
        self
    }

    /// A command that starts the launcher: `setpriv …`.
    pub fn before(mut self, command: &[&str]) -> Self {
        self.before = command.iter().map(OsString::from).collect();
        self
    }

    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.into();
        self
    }

    pub fn variable(mut self, key: &str, value: &str) -> Self {
        self.variables.push((key.into(), value.into()));
        self
    }

    /// Open descriptors that the launcher inherits and must not pass on.
    pub fn inherit(mut self, numbers: &[RawFd]) -> Self {
        self.inherited = numbers.to_vec();
        self
    }

    /// Under the injector.
    pub fn under(mut self, injector: Injector) -> Self {
        self.injector = Some(injector);
        self
    }

    /// The whole command line, without redirections.
    fn command(&self) -> Command {
        let mut words = self.before.clone();
        words.extend(self.injector.iter().flat_map(|injector| injector.words.iter().cloned()));
        if self.wire == Wire::Activated {
            // exec keeps the pid, so that LISTEN_PID is the launcher's.
            words.extend(
                ["/bin/sh", "-c", r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@""#].map(OsString::from),
            );
        }
        words.push(self.program.clone());
        words.extend(self.verb.iter().chain(&self.options).cloned());
        if !self.handler.is_empty() {
            words.push("--".into());
            words.extend(self.handler.iter().cloned());
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(self.variables.iter().cloned());
        command.current_dir(self.site.directory());
        if self.wire == Wire::ActivatedForAnother {
            command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
        }
        command
    }

    pub fn start(self) -> Live<'s> {
        let mut command = self.command();
        let (err, err_writer) = sys::pipe().expect("a pipe");
        let (record, record_writer) = sys::pipe().expect("a pipe");
        let mut fds = vec![(record_writer, 9)];
        fds.extend(self.injector.map(|injector| (injector.report, REPORT_FD)));
        for &number in &self.inherited {
            fds.push((File::open("/etc/passwd").expect("a file of the host").into(), number));
        }
        let mut spare = None;
        let client = match self.wire {
            Wire::Pipes | Wire::ActivatedForAnother => {
                let (client, stdin, stdout) = Client::pipes();
                command.stdin(stdin).stdout(stdout).stderr(err_writer);
                if self.wire == Wire::ActivatedForAnother {
                    let (other, theirs) = Client::tcp();
                    fds.push((theirs, 3));
                    spare = Some(other);
                }
                client
            }
            Wire::Tcp | Wire::Mapped | Wire::Unix | Wire::Inetd => {
                let (client, theirs) = match self.wire {
                    Wire::Unix => Client::unix(),
                    Wire::Mapped => Client::mapped(),
                    _ => Client::tcp(),
                };
                let again = || theirs.try_clone().expect("another descriptor");
                let stderr = if self.wire == Wire::Inetd { again() } else { err_writer };
                command.stdin(again()).stdout(again()).stderr(stderr);
                client
            }
            Wire::Activated => {
                let (client, theirs) = Client::tcp();
                fds.push((theirs, 3));
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(err_writer);
                client
            }
        };
        sys::place(&mut command, fds);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        // The command keeps our copies of what it handed over: close them, or nothing ever ends.
        drop(command);
        Live { site: self.site, child, client, spare, err: collect(err), record: collect(record) }
    }

    /// The usual conversation: send, half-close, read to the end.
    pub fn talk(self, input: &[u8]) -> Ended {
        let mut live = self.start();
        live.client.send(input);
        live.client.half_close();
        live.end()
    }
}

/// Reads a pipe to its end beside the test.
fn collect(fd: OwnedFd) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _read_or_cut = File::from(fd).read_to_end(&mut bytes);
        let _nobody_waits_any_more = sender.send(bytes);
    });
    receiver
}

/// A launcher at work.
#[derive(Debug)]
pub struct Live<'s> {
    site: &'s Site,
    child: Child,
    pub client: Client,
    /// The other end of a connection that is not ours to serve.
    pub spare: Option<Client>,
    err: Receiver<Vec<u8>>,
    record: Receiver<Vec<u8>>,
}

impl Live<'_> {
    pub fn launcher(&self) -> u32 {
        self.child.id()
    }

    /// The handler's process. It must have spoken before, or it may not be there yet.
    pub fn handler(&self) -> u32 {
        let found: Vec<u32> = process::handlers(self.site.tag())
            .into_iter()
            .filter(|&pid| process::descends(pid, self.launcher()))
            .collect();
        assert_eq!(found.len(), 1, "exactly one handler below {}: {found:?}", self.launcher());
        found[0]
    }

    /// Waits for the word that verbs of the probe which stay say first.
    pub fn await_ready(&mut self) -> u32 {
        let line = self.client.line();
        if line != "ready" {
            let launcher = self.launcher();
            let text = self.err.recv_timeout(PATIENCE).unwrap_or_default();
            panic!("launcher {launcher}: handler said {line:?}; log: {}", String::from_utf8_lossy(&text));
        }
        self.handler()
    }

    pub fn signal(&self, signal: i32) {
        sys::kill(self.launcher(), signal).expect("the launcher is there to get the signal");
    }

    /// Waits for the launcher's end and returns its status; a signal's is negative.
    pub fn wait(&mut self) -> i32 {
        let pidfd = sys::pidfd(self.launcher()).expect("a child not waited for has a pidfd");
        if !sys::readable(pidfd.as_fd(), PATIENCE) {
            self.signal(libc::SIGKILL);
            panic!("the launcher did not end within {PATIENCE:?}");
        }
        let status = self.child.wait().expect("a child to wait for");
        status.code().unwrap_or_else(|| -status.signal().expect("ended by code or signal"))
    }

    /// Reads everything to the end and looks for what was left behind.
    pub fn end(mut self) -> Ended {
        let out = self.client.rest();
        let status = self.wait();
        self.gather(out, status)
    }

    /// The same after a kill: what the launcher started may take a moment to follow it.
    pub fn end_killed(mut self) -> Ended {
        let status = self.wait();
        let left = process::await_end_of(self.site.tag(), PATIENCE);
        assert!(left.is_empty(), "left after the launcher's end:\n{}", process::describe(&left));
        let out = self.client.rest();
        self.gather(out, status)
    }

    fn gather(self, out: Vec<u8>, status: i32) -> Ended {
        let late = "still open somewhere after the launcher ended";
        let err =
            self.err.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("fd 2 of the launcher is {late}"));
        let record = self.record.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("the status fd is {late}"));
        let err = String::from_utf8_lossy(&err).into_owned();
        let record = match record.as_slice() {
            [] => Value::Null,
            bytes => {
                assert_eq!(bytes.iter().filter(|&&b| b == b'\n').count(), 1, "one line on the status fd");
                serde_json::from_slice(bytes).expect("a JSON line on the status fd")
            }
        };
        self.site.check_nothing_left();
        Ended { status, out, err, record }
    }
}
