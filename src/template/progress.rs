//! Tells somebody at a terminal what takes so long; says nothing to a file or a pipe.

use std::io::{IsTerminal, Write};
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Progress {
    is_terminal: bool,
    began: Instant,
    step: &'static str,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress { is_terminal: std::io::stderr().is_terminal(), began: Instant::now(), step: "" }
    }

    /// Begins a step.
    pub(crate) fn step(&mut self, step: &'static str) {
        self.step = step;
        self.began = Instant::now();
        self.show("");
    }

    /// Shows how the step goes on; `detail` is printable.
    pub(crate) fn tick(&self, detail: &str) {
        self.show(detail);
    }

    /// Clears the line.
    pub(crate) fn end(&self) {
        self.write("\r\x1b[K");
    }

    fn show(&self, detail: &str) {
        let detail: String = detail.chars().filter(|c| !c.is_control()).take(50).collect();
        let space = if detail.is_empty() { "" } else { ": " };
        self.write(&format!("\r\x1b[K{} ({} s){space}{detail}", self.step, self.began.elapsed().as_secs()));
    }

    fn write(&self, text: &str) {
        if self.is_terminal {
            let mut stderr = std::io::stderr();
            // A terminal that has gone away sees nothing, and needs nothing.
            let _gone = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
        }
    }
}
