//! A seccomp profile: an error with a place in its text or a profile, and an end.

#![no_main]
use seccomp::profile::{parse, texts};
use sys::names;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A file that includes itself is among what is tried.
    let mut include = |name: &str| match (name, texts::included(name)) {
        ("self", _) => Ok(("self".to_owned(), text.to_owned())),
        (name, Some(built_in)) => Ok((name.to_owned(), built_in.to_owned())),
        (name, None) => Err(format!("there is no '{name}'")),
    };
    for machine in names::Machine::ALL {
        match parse::parse("it", text, machine, &mut include) {
            Ok(profile) => assert!(profile.entries.iter().all(|entry| !entry.reason.is_empty())),
            Err(error) if error.file == "it" => assert!(error.place.line <= text.lines().count().max(1)),
            Err(_) => {}
        }
    }
});
