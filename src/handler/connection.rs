//! One connection from start to end.

use std::io;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::Instant;

use rustix::net::{Shutdown, shutdown};

use crate::answer::{self, Sent};
use crate::cli::Options;
use crate::log::{self, Entry};
use crate::output::Output;
use crate::problem::Problem;
use crate::receive::{self, Received};
use crate::request;
use crate::site::{self, Site};
use crate::tree::Tree;

/// Answers the request that comes on stdin.
pub(crate) fn serve(options: &Options) -> ExitCode {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let (input, fd) = (stdin.as_fd(), stdout.as_fd());
    let tree = Tree::open_root(&options.root);

    // A launcher that keeps handlers ready stops this one here, at the only sched_yield(2) it ever makes, and puts the
    // connection in its place: nothing above may ask about descriptors 0 and 1.
    std::thread::yield_now();
    let started = Instant::now();
    let site = Site::find(options, input);
    let peer = site::peer(input);

    let received = receive::request(input);
    let mut output = Output::new(fd);
    let sent = answer(tree, &site, &received, &mut output);
    let closing = shutdown(fd, Shutdown::Write).is_ok();

    let entry = Entry {
        peer: &peer,
        selector: selector(&received),
        item_type: sent.as_ref().map_or('-', |sent| char::from(sent.item_type)),
        bytes: output.sent(),
        status: sent.as_ref().map_or("broken-off", |sent| sent.status),
        took: started.elapsed(),
    };
    entry.write();
    if closing && sent.is_ok() {
        receive::drain(input);
    }
    if sent.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the answer to one selector, for tests and mirrors. Nobody is connected, so nothing is logged or drained.
pub(crate) fn render(options: &Options, selector: &[u8]) -> ExitCode {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let site = Site::find(options, stdin.as_fd());
    let received = match selector.len() {
        0..=request::LINE_BYTES_MAX => Received::Line(selector.to_vec()),
        _ => Received::TooLong(Vec::new()),
    };
    let mut output = Output::new(stdout.as_fd());
    match answer(Tree::open_root(&options.root), &site, &received, &mut output) {
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
    site: &Site,
    received: &Received,
    output: &mut Output<'_>,
) -> io::Result<Sent> {
    match (received, tree) {
        // Nobody is there to read an answer, or it would be noise to the one who is.
        (Received::Nothing, _) => Ok(Sent { item_type: b'-', status: "no-request" }),
        (Received::Foreign(protocol), _) => Ok(Sent { item_type: b'-', status: protocol }),
        (Received::Lost, _) => Err(io::ErrorKind::ConnectionReset.into()),
        (Received::TooLong(_), _) => answer::refuse(site, Problem::TooLong, output),
        (Received::TimedOut(_), _) => answer::refuse(site, Problem::TimedOut, output),
        (Received::Line(_), Err(problem)) => answer::refuse(site, problem, output),
        (Received::Line(line), Ok(tree)) => answer::request(&tree, site, &request::split(line), output),
    }
}

/// What the log shows as the selector: as much as was read of one that is too long or not finished.
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
