//! One `dayfly serve`: started with a listening socket, connected to, and ended.

use super::inject::{Injector, REPORT_FD};
use super::{Client, PATIENCE, Site, dayfly, process, sys};
use std::cell::Cell;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

#[derive(Debug)]
pub struct Serve<'s> {
    site: &'s Site,
    verb: &'static str,
    before: Vec<OsString>,
    options: Vec<OsString>,
    handler: Vec<OsString>,
    activated: bool,
    /// Names of the passed listening sockets; empty: one socket without a name.
    names: Vec<String>,
    /// One that exists, in the place of new ones: as systemd keeps it over a restart.
    kept: Option<&'s TcpListener>,
    /// Where they listen.
    bind: &'static str,
    injector: Option<Injector>,
    /// Another copy of the launcher.
    program: PathBuf,
}

impl<'s> Serve<'s> {
    /// Serves the probe with this verb on a listening socket handed over as systemd does.
    pub fn probe(site: &'s Site, words: &[&str]) -> Self {
        let mark = format!("@{}", site.tag());
        let handler = ["/bin/probe", &mark].iter().chain(words).map(OsString::from).collect();
        let options = vec!["--template".into(), site.template().into_os_string()];
        let (before, names, bind) = (Vec::new(), Vec::new(), "127.0.0.1:0");
        let verb = "serve";
        Serve {
            site,
            verb,
            before,
            options,
            handler,
            activated: true,
            names,
            kept: None,
            bind,
            injector: None,
            program: dayfly(),
        }
    }

    /// Serves what service files say.
    pub fn files(site: &'s Site, paths: &[&Path]) -> Self {
        let options = paths.iter().flat_map(|path| ["--service".into(), path.into()]).collect();
        let (before, handler, names, bind) = (Vec::new(), Vec::new(), Vec::new(), "127.0.0.1:0");
        let verb = "serve";
        Serve {
            site,
            verb,
            before,
            options,
            handler,
            activated: true,
            names,
            kept: None,
            bind,
            injector: None,
            program: dayfly(),
        }
    }

    /// Another command that serves.
    pub fn verb(mut self, verb: &'static str) -> Self {
        self.verb = verb;
        self
    }

    /// Serves what a service file says.
    pub fn file(site: &'s Site, path: &Path) -> Self {
        Serve::files(site, &[path])
    }

    /// A listening socket for each of these names is handed over.
    pub fn sockets(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(ToString::to_string).collect();
        self
    }

    pub fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(OsString::from));
        self
    }

    pub fn before(mut self, command: &[&str]) -> Self {
        self.before = command.iter().map(OsString::from).collect();
        self
    }

    /// By this copy of the launcher.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    /// Under the injector.
    pub fn under(mut self, injector: Injector) -> Self {
        self.injector = Some(injector);
        self
    }

    pub fn replace_handler(&mut self, words: &[&str]) {
        self.handler = words.iter().map(OsString::from).collect();
    }

    /// No socket is handed over: `--listen` is among the options.
    pub fn listening_itself(mut self) -> Self {
        self.activated = false;
        self
    }

    /// This listening socket is handed over, and stays with the test as well.
    pub fn on(mut self, listener: &'s TcpListener) -> Self {
        self.kept = Some(listener);
        self
    }

    /// The sockets listen on `[::]`, for IPv4 as well; clients connect by IPv4.
    pub fn dual_stack(mut self) -> Self {
        self.bind = "[::]:0";
        self
    }

    pub fn start(self) -> Serving<'s> {
        // Activation needs no waiting for readiness: connections queue on the socket from the start.
        let count = self.names.len().max(1);
        let bind = || TcpListener::bind(self.bind).expect("a free port");
        let listener = || self.kept.map_or_else(bind, |kept| kept.try_clone().expect("another descriptor"));
        let listeners: Vec<_> = (0..count).map(|_| listener()).collect();
        let port = |listener: &TcpListener| listener.local_addr().expect("the port it got").port();
        let addresses: Vec<_> =
            listeners.iter().map(|listener| SocketAddr::from(([127, 0, 0, 1], port(listener)))).collect();
        let mut words = self.before.clone();
        words.extend(self.injector.iter().flat_map(|injector| injector.words.iter().cloned()));
        if self.activated {
            let names = self.names.join(":");
            let script = format!(r#"LISTEN_FDS={count} LISTEN_FDNAMES={names} LISTEN_PID=$$ exec "$0" "$@""#);
            words.extend(["/bin/sh", "-c", &script].map(OsString::from));
        }
        words.extend([self.program.into_os_string(), self.verb.into()]);
        words.extend(self.options.iter().cloned());
        if !self.handler.is_empty() {
            words.push("--".into());
            words.extend(self.handler.iter().cloned());
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.site.directory());
        command.env("RUNTIME_DIRECTORY", self.site.directory());
        let (err, err_writer) = sys::pipe().expect("a pipe");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(err_writer);
        let mut fds: Vec<_> =
            self.injector.map(|injector| (injector.report, REPORT_FD)).into_iter().collect();
        if self.activated {
            fds.extend(listeners.into_iter().map(OwnedFd::from).zip(3..));
        }
        sys::place(&mut command, fds);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        drop(command);
        let successors = Vec::new();
        Serving {
            site: self.site,
            child,
            successors,
            address: addresses[0],
            addresses,
            log: lines(err),
            records: Cell::new(0),
        }
    }
}

/// The status of a process that has taken over: a child of the test's, as of systemd's.
fn reap(pid: u32) -> i32 {
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    match nix::sys::wait::waitpid(pid, None).expect("a child to wait for") {
        nix::sys::wait::WaitStatus::Exited(_, status) => status,
        nix::sys::wait::WaitStatus::Signaled(_, signal, _) => -(signal as i32),
        other => panic!("{other:?}"),
    }
}

/// The log line by line, as it comes.
fn lines(fd: OwnedFd) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(std::fs::File::from(fd)).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

#[derive(Debug)]
pub struct Serving<'s> {
    site: &'s Site,
    child: Child,
    /// Processes that have taken over, one after the other.
    successors: Vec<u32>,
    pub address: SocketAddr,
    pub addresses: Vec<SocketAddr>,
    log: Receiver<String>,
    /// Records of connections among the lines that were read.
    records: Cell<usize>,
}

impl Serving<'_> {
    /// The process that accepts.
    pub fn supervisor(&self) -> u32 {
        self.successors.last().copied().unwrap_or(self.child.id())
    }

    /// Has a new process take over, by this signal; the number of the one before.
    pub fn succeed(&mut self, signal: i32) -> u32 {
        let before = self.supervisor();
        self.signal(signal);
        let line = self.await_log(&["a new process has taken over"]);
        let pid = line.split("pid=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        self.successors.push(pid.expect("a line with the number of the new process"));
        before
    }

    /// Waits for the end of a process that has been succeeded; its status.
    pub fn end_of(&mut self, pid: u32) -> i32 {
        let pidfd = sys::pidfd(pid).expect("a child not waited for has a pidfd");
        assert!(sys::readable(pidfd.as_fd(), PATIENCE), "{}", process::describe(&[pid]));
        if pid == self.child.id() {
            return self.child.wait().ok().and_then(|status| status.code()).unwrap_or(-1);
        }
        self.successors.retain(|successor| *successor != pid);
        reap(pid)
    }

    pub fn connect(&self) -> Client {
        Client::Tcp(TcpStream::connect(self.address).expect("the listening socket is open"))
    }

    /// To the socket of that place in [`Serve::sockets`].
    pub fn connect_to(&self, index: usize) -> Client {
        Client::Tcp(TcpStream::connect(self.addresses[index]).expect("the listening socket is open"))
    }

    /// From another address of the loopback network.
    pub fn connect_from(&self, source: &str) -> Client {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
        let source: SocketAddr = format!("{source}:0").parse().expect("an address");
        let fd =
            socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        bind(fd.as_raw_fd(), &SockaddrStorage::from(source)).expect("an address of ours");
        connect(fd.as_raw_fd(), &SockaddrStorage::from(self.address)).expect("the listening socket is open");
        Client::Tcp(fd.into())
    }

    /// Connects, sends, half-closes and reads everything.
    pub fn ask(&self, input: &[u8]) -> Vec<u8> {
        let mut client = self.connect();
        client.send(input);
        client.half_close();
        client.rest()
    }

    /// Connections that are counted now, as the statistics' socket tells.
    pub fn live(&self) -> u64 {
        let ask = || -> std::io::Result<serde_json::Value> {
            let socket = std::os::unix::net::UnixStream::connect(self.site.directory().join("stats"))?;
            Ok(serde_json::from_reader(socket)?)
        };
        let reports = ask().expect("a document of counts");
        reports.as_array().into_iter().flatten().filter_map(|report| report["live"].as_u64()).sum()
    }

    pub fn handlers(&self) -> Vec<u32> {
        process::handlers(self.site.tag())
    }

    /// Those that have a connection: a parked one has /dev/null in its place.
    pub fn served(&self) -> Vec<u32> {
        // One that ends meanwhile has none.
        let first = |pid: u32| process::descriptors_if_alive(pid)?.remove(&0);
        let has_one = |pid: &u32| first(*pid).is_some_and(|name| name.starts_with("socket:"));
        self.handlers().into_iter().filter(has_one).collect()
    }

    /// Waits for a log line that contains all of these.
    pub fn await_log(&self, words: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left).inspect(|line| self.count_record(line));
            match line {
                Ok(line) if words.iter().all(|word| line.contains(word)) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no log line with {words:?} in\n{}", seen.join("\n")),
            }
        }
    }

    fn count_record(&self, line: &str) {
        let is_record = line.contains(" ended ") && line.contains(" peer=");
        self.records.set(self.records.get() + usize::from(is_record));
    }

    /// How many connections have left a record, once there are so many, or after some patience.
    pub fn records_until(&self, wanted: usize) -> usize {
        let deadline = Instant::now() + PATIENCE;
        while self.records.get() < wanted {
            match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.count_record(&line),
                Err(_) => break,
            }
        }
        self.records.get()
    }

    pub fn signal(&self, signal: i32) {
        sys::kill(self.supervisor(), signal).expect("the supervisor is there to get the signal");
    }

    fn wait(&mut self) -> i32 {
        let pidfd = sys::pidfd(self.supervisor()).expect("a child not waited for has a pidfd");
        if !sys::readable(pidfd.as_fd(), PATIENCE) {
            let there = process::describe(&process::tagged(self.site.tag()));
            let log: Vec<String> = self.log.try_iter().collect();
            self.signal(libc::SIGKILL);
            panic!("serve did not end within {PATIENCE:?}; there is\n{there}\n{}", log.join("\n"));
        }
        // Those before it end first.
        let first = self.child.wait().expect("a child to wait for");
        let first = first.code().unwrap_or_else(|| -first.signal().expect("ended by code or signal"));
        self.successors.iter().fold(first, |_, pid| reap(*pid))
    }

    /// Waits for the end it comes to by itself; its status and its log.
    pub fn end(self) -> (i32, String) {
        let site = self.site;
        let ended = self.end_beside();
        site.check_nothing_left();
        ended
    }

    /// The same while another supervisor still serves beside it.
    pub fn end_beside(mut self) -> (i32, String) {
        let status = self.wait();
        let log: Vec<String> = self.log.iter().collect();
        (status, log.join("\n"))
    }

    /// SIGTERM, and everything is gone when it has ended.
    pub fn terminate(self) -> (i32, String) {
        self.signal(libc::SIGTERM);
        self.end()
    }

    /// SIGKILL; its sandboxes follow it.
    pub fn murder(mut self) {
        self.signal(libc::SIGKILL);
        let status = self.wait();
        assert_eq!(status, -libc::SIGKILL, "the status of a killed supervisor");
        let left = process::await_end_of(self.site.tag(), PATIENCE);
        assert!(left.is_empty(), "left after the supervisor's end:\n{}", process::describe(&left));
        self.site.check_nothing_left();
    }
}
