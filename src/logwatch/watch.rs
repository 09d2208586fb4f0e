//! The life of one watcher.

use std::io;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::cli::{self, Options};
use crate::log::Log;
use crate::output::Output;

/// How often the files are looked at. Polling needs no system call that a careful profile denies, and finds
/// changes of network file systems; inotify(7) does not.
const LOOK: Duration = Duration::from_millis(50);

/// Follows the files until the watcher leaves.
pub(crate) fn watch(options: &Options) -> ExitCode {
    // A launcher that keeps handlers ready stops this process here: "from now on" begins with the watcher.
    std::thread::yield_now();
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let names = cli::names(&options.files);
    let logs = options
        .files
        .iter()
        .zip(names)
        .map(|(path, name)| Log::follow(path.clone(), name, options.since, options.rotations));
    let mut watch = Watch {
        logs: logs.collect(),
        output: Output::new(&stdout),
        alive: options.alive,
        last_sent: Instant::now(),
    };
    match watch.run(&stdin) {
        Ok(()) => ExitCode::SUCCESS,
        // The watcher has left without a word.
        Err(Errno::PIPE | Errno::CONNRESET) => ExitCode::SUCCESS,
        Err(errno) => {
            crate::diagnose(&format!("cannot write to the watcher: {errno}"));
            ExitCode::FAILURE
        }
    }
}

struct Watch<'fd> {
    logs: Vec<Log>,
    output: Output<'fd>,
    alive: Option<Duration>,
    last_sent: Instant,
}

impl Watch<'_> {
    fn run(&mut self, stdin: &io::Stdin) -> Result<(), Errno> {
        let mut next_look = Instant::now();
        loop {
            let now = Instant::now();
            if now >= next_look {
                next_look = now + LOOK;
                self.look(now);
            }
            let more = self.fill(now);
            let before = self.output.waiting.len();
            self.output.flush()?;
            if self.output.waiting.len() < before {
                self.last_sent = now;
            }
            // Files that have more are read at once, if the watcher takes it.
            let timeout = if more && self.output.is_empty() { Duration::ZERO } else { next_look - now };
            if !self.wait(stdin, timeout)? {
                return Ok(());
            }
        }
    }

    fn look(&mut self, now: Instant) {
        let is_full = self.output.is_full();
        for log in &mut self.logs {
            log.look(now);
            if is_full {
                log.count_ahead();
            }
        }
        if self.alive.is_some_and(|alive| now - self.last_sent >= alive) && self.output.is_empty() {
            self.output.waiting.extend_from_slice(b"logwatch: alive\n");
        }
    }

    /// Takes a piece of each log in turn, as long as there is room, and tells whether there is more.
    fn fill(&mut self, now: Instant) -> bool {
        let mut more = true;
        while more && !self.output.is_full() {
            more = false;
            for log in &mut self.logs {
                more |= log.read(&mut self.output.waiting, now);
            }
        }
        more
    }

    /// Waits until something can be done, and tells whether the watcher is still there. What it sends means
    /// nothing.
    fn wait(&self, stdin: &io::Stdin, timeout: Duration) -> Result<bool, Errno> {
        let Ok(timeout) = Timespec::try_from(timeout) else { return Err(Errno::INVAL) };
        let wanted = if self.output.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let mut fds = [PollFd::new(stdin, PollFlags::IN), PollFd::from_borrowed_fd(self.output.fd(), wanted)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(true),
            Err(errno) => return Err(errno),
        }
        if fds[1].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Ok(false);
        }
        if fds[0].revents().is_empty() {
            return Ok(true);
        }
        let mut ignored = [0; 4096];
        match rustix::io::read(stdin.as_fd(), &mut ignored) {
            Ok(0) => Ok(false),
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => Ok(true),
            Err(_) => Ok(false),
        }
    }
}
