//! A line of systemd-nspawn's, one word between NULs: an error, or options of `run` behind which the command
//! stands whole.
//!
//! Run by the fuzzer, and over its seeds by the tests.

use crate::nspawn::translate::translate;

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let words: Vec<String> = text.split('\0').map(str::to_owned).collect();
    let variable = |name: &str| (name == "HERE").then(|| "value".to_owned());
    let Ok(line) = translate(&words, variable) else { return };
    if line.wants_help || line.wants_version {
        return;
    }
    assert!(!line.command.is_empty() && words.ends_with(&line.command));
    assert!(line.options.iter().all(|option| option.starts_with("--") && option.len() > 2));
    for name in ["--snapshot=", "--profile=", "--init"] {
        assert!(line.options.iter().any(|option| option.starts_with(name)), "{name}");
    }
    // Said outright where the options end, it is the same line.
    let (options, command) = words.split_at(words.len() - line.command.len());
    let ended = options.last().is_some_and(|word| word == "--");
    let end = if ended { &[][..] } else { &["--".to_owned()] };
    assert_eq!(translate(&[options, end, command].concat(), variable), Ok(line));
}
