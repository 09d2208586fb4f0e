//! `dayfly top`: the live sandboxes of all supervisors.
//!
//! A program of its own beside the launcher, started as `dayfly top …`. It asks the supervisors over their
//! statistics' sockets and reads /proc itself: nothing of it is done by the supervisor's loop.
//!
//! | file | |
//! |---|---|
//! | [`sample`], [`processes`] | one look: what supervisors report, and what /proc says of each sandbox |
//! | [`app`], [`keys`] | what is shown, and what keys do |
//! | [`view`], [`numbers`], [`screen`] | drawing, and the loop |
//! | [`kill`], [`privilege`] | the one thing that changes anything, and what is given up before |

mod app;
mod keys;
mod kill;
mod numbers;
mod options;
mod privilege;
mod processes;
mod sample;
mod screen;
mod view;

use app::App;
use clap::Parser;
use options::Options;
use sample::{Sample, Sampler};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "dayfly top: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let prints = options.once || options.json;
    privilege::drop_most(!prints)?;
    privilege::raise_file_limit();
    if !prints {
        return screen::run(options);
    }
    let sample = look_twice(options)?;
    let page = if options.json {
        let mut line = serde_json::to_string(&sample).map_err(|error| error.to_string())?;
        line.push('\n');
        line
    } else {
        let mut app = App::new(options);
        app.update(sample);
        view::text(&app)?
    };
    // A reader that has closed its end wants no more.
    let _closed = std::io::stdout().write_all(page.as_bytes());
    Ok(())
}

/// Shares of a processor and rates are of the time between two looks.
fn look_twice(options: &Options) -> Result<Sample, String> {
    let mut sampler = Sampler::new(options);
    sampler.look()?;
    std::thread::sleep(options.interval);
    sampler.look()
}
