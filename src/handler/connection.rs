//! One connection from start to end.

use std::io;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::Instant;

use rustix::net::{Shutdown, shutdown};

use crate::USAGE;
use crate::answer::{self, Sent};
use crate::log::{self, Entry};
use crate::output::Output;
use crate::problem::Problem;
use crate::receive::{self, Received};
use crate::request;
use crate::settings::Settings;
use crate::site::{self, Site};
use crate::tree::Tree;

/// Answers the request that comes on stdin. If the settings are wrong, the client gets an error of type 3,
/// and the log has the reason for the operator.
pub(crate) fn serve(settings: Result<Settings, String>) -> ExitCode {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let (input, fd) = (stdin.as_fd(), stdout.as_fd());
    let (settings, wrong) = match settings {
        Ok(settings) => (settings, false),
        Err(wrong) => {
            log::diagnose(&wrong);
            (Settings::default(), true)
        }
    };
    let tree = if wrong { Err(Problem::Misconfigured) } else { Tree::open_root(&settings.root) };

    // A launcher that keeps handlers ready stops this process here, at the only sched_yield(2) it ever makes,
    // and puts the connection in place: no code above may ask about descriptors 0 and 1.
    std::thread::yield_now();
    let started = Instant::now();
    let site = Site::find(&settings, input);
    let peer = if settings.hide_addresses { "-".to_owned() } else { site::peer(input) };

    let received = receive::request(input);
    let mut output = Output::new(fd, settings.charset);
    let sent = answer(tree, &site, &received, &mut output);
    let closing = shutdown(fd, Shutdown::Write).is_ok();

    let entry = Entry {
        peer: &peer,
        site: &site,
        selector: selector(&received),
        item_type: sent.as_ref().map_or('-', |sent| char::from(sent.item_type)),
        bytes: output.sent(),
        status: sent.as_ref().map_or("broken-off", |sent| sent.status),
        took: started.elapsed(),
    };
    entry.write(settings.log_format);
    if closing && sent.is_ok() {
        receive::drain(input);
    }
    match sent {
        Ok(_) if wrong => ExitCode::from(USAGE),
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints the answer to one selector, for tests and mirrors. There is no connection, so nothing is logged
/// or drained.
pub(crate) fn render(settings: &Settings, selector: &[u8]) -> ExitCode {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let site = Site::find(settings, stdin.as_fd());
    let received = match selector.len() {
        0..=request::LINE_BYTES_MAX => Received::Line(selector.to_vec()),
        _ => Received::TooLong(Vec::new()),
    };
    let mut output = Output::new(stdout.as_fd(), settings.charset);
    match answer(Tree::open_root(&settings.root), &site, &received, &mut output) {
        Ok(Sent { item_type: b'3', status }) => {
            log::diagnose(status);
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            log::diagnose(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn answer(
    tree: Result<Tree, Problem>,
    site: &Site<'_>,
    received: &Received,
    output: &mut Output<'_>,
) -> io::Result<Sent> {
    let line = match received {
        // There is no client to read an answer, or it speaks another protocol.
        Received::Nothing => return Ok(Sent { item_type: b'-', status: "no-request" }),
        Received::Foreign(protocol) => return Ok(Sent { item_type: b'-', status: protocol }),
        Received::Lost => return Err(io::ErrorKind::ConnectionReset.into()),
        Received::TooLong(_) => return answer::refuse(site, Problem::TooLong, output),
        Received::TimedOut(_) => return answer::refuse(site, Problem::TimedOut, output),
        Received::Line(line) => request::split(line),
    };
    // The tree of a virtual host is known only now that somebody has reached its address.
    let tree = match site.vhost {
        Some(vhost) => Tree::open_root(&vhost.root),
        None => tree,
    };
    match tree {
        Ok(tree) => answer::request(tree, site, &line, output),
        Err(problem) => answer::refuse(site, problem, output),
    }
}

/// The selector for the log. Of one that is too long or not finished, it is the part that was read.
fn selector(received: &Received) -> &[u8] {
    match received {
        Received::Line(line) => request::split(line).selector,
        Received::TooLong(bytes) | Received::TimedOut(bytes) => {
            let first = bytes.split(|&byte| byte == b'\t' || byte == b'\n').next().unwrap_or_default();
            &first[..first.len().min(request::SELECTOR_BYTES_MAX)]
        }
        Received::Nothing | Received::Foreign(_) | Received::Lost => b"",
    }
}
