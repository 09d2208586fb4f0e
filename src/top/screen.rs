//! The loop of the screen: draws, waits for a key, a signal or the next look.

use crate::app::{Action, App};
use crate::keys::keys;
use crate::kill;
use crate::options::Options;
use crate::sample::Sampler;
use crate::view;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use ratatui::Terminal;
use ratatui::backend::TermionBackend;
use ratatui::termion::raw::IntoRawMode;
use ratatui::termion::screen::IntoAlternateScreen;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Signals come as a descriptor: the terminal is put back before the program ends.
fn signals() -> Result<SignalFd, nix::Error> {
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGWINCH] {
        mask.add(signal);
    }
    mask.thread_block()?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Events that ended a wait.
#[derive(Debug, Default)]
struct Woken {
    bytes: Vec<u8>,
    ends: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err("stdin and stdout are no terminal: use --once or --json".to_owned());
    }
    let mut sampler = Sampler::new(options);
    let mut app = App::new(options);
    app.update(sampler.look()?);
    let on_terminal = |error: io::Error| format!("cannot use the terminal: {error}");
    let signals = signals().map_err(|errno| on_terminal(errno.into()))?;
    let stdout = io::stdout().into_raw_mode().map_err(on_terminal)?;
    let stdout = stdout.into_alternate_screen().map_err(on_terminal)?;
    let mut terminal = Terminal::new(TermionBackend::new(stdout)).map_err(on_terminal)?;
    let mut next_look = Instant::now() + options.interval;
    loop {
        terminal.draw(|frame| view::draw(frame, &app)).map_err(on_terminal)?;
        let wait = (!app.is_paused).then(|| next_look.saturating_duration_since(Instant::now()));
        let woken = wait_for(&signals, wait).map_err(on_terminal)?;
        if woken.ends || !handle(&mut app, &woken.bytes) {
            break;
        }
        if !app.is_paused && Instant::now() >= next_look {
            match sampler.look() {
                Ok(sample) => app.update(sample),
                Err(message) => app.message = Some(message),
            }
            next_look = Instant::now() + options.interval;
        }
    }
    terminal.show_cursor().map_err(on_terminal)?;
    io::stdout().flush().map_err(on_terminal)
}

/// False: the end.
fn handle(app: &mut App, bytes: &[u8]) -> bool {
    for key in keys(bytes) {
        match app.on_key(key) {
            Action::Nothing => {}
            Action::Quit => return false,
            Action::Kill(chosen) => {
                let done = match app.row_of(&chosen) {
                    Some(row) => kill::kill(row),
                    None => Err("that sandbox has ended".to_owned()),
                };
                app.message = Some(done.unwrap_or_else(|message| message));
            }
        }
    }
    true
}

fn wait_for(signals: &SignalFd, wait: Option<Duration>) -> io::Result<Woken> {
    let stdin = io::stdin();
    // Rounded up: woken before its time it would only wait again.
    let millis = wait.map(|wait| wait.as_micros().div_ceil(1000));
    let timeout =
        millis.map_or(PollTimeout::NONE, |millis| PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX));
    let mut watched =
        [PollFd::new(stdin.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    match poll(&mut watched, timeout) {
        Err(nix::Error::EINTR) => return Ok(Woken::default()),
        polled => polled?,
    };
    let is_ready = |index: usize| watched.get(index).and_then(PollFd::any).unwrap_or(false);
    let mut woken = Woken::default();
    if is_ready(1) {
        while let Ok(Some(info)) = signals.read_signal() {
            // A new size is drawn at once.
            woken.ends |= i32::try_from(info.ssi_signo) != Ok(Signal::SIGWINCH as i32);
        }
    }
    if is_ready(0) {
        let mut buffer = [0; 64];
        let count = sys::read(stdin.as_fd(), &mut buffer)?;
        woken.ends |= count == 0;
        woken.bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    Ok(woken)
}
