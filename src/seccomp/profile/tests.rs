//! The language of profiles: what is wrong has its place.

use super::model::{Action, Condition, Exec, Profile};
use super::parse::{ProfileError, parse};
use super::texts::{PROFILES, included};
use sys::names::Machine;

fn read(text: &str) -> Result<Profile, ProfileError> {
    read_with(text, &[])
}

fn read_with(text: &str, files: &[(&str, &str)]) -> Result<Profile, ProfileError> {
    let mut include = |name: &str| match files.iter().find(|(known, _)| *known == name) {
        Some((name, text)) => Ok(((*name).to_owned(), (*text).to_owned())),
        None => Err(format!("there is no '{name}'")),
    };
    parse("p", text, Machine::X86_64, &mut include)
}

/// The error's place and a part of its text.
#[track_caller]
fn fails(text: &str, place: &str, message: &str) {
    fails_with(text, &[], place, message);
}

#[track_caller]
fn fails_with(text: &str, files: &[(&str, &str)], place: &str, message: &str) {
    let error = read_with(text, files).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{place}: ")), "{error}");
    assert!(error.contains(message), "{error}");
}

const ARCH: &str = "arch x86_64 aarch64\n";

#[test]
fn an_entry_has_calls_an_action_conditions_and_a_reason() {
    let text = format!(
        "{ARCH}# a comment\n\nallow read close # both\nerrno EPERM openat\n    if int2 == F_GETFD|8 and arg1 has no 0x30 # two\n    or arg0 & S_IFMT == S_IFIFO # lines\n"
    );
    let profile = read(&text).unwrap();
    let names: Vec<_> = profile.entries.iter().map(|e| (e.name, e.number, e.reason.as_str())).collect();
    assert_eq!(names, [("read", 0, "both"), ("close", 3, "both"), ("openat", 257, "two lines")]);
    assert_eq!(profile.entries[2].action, Action::Errno(1));
    let masked = |index, mask, value| Condition::Masked { index, mask, value };
    assert_eq!(
        profile.entries[2].when,
        [vec![Condition::Word(2, 9), masked(1, 0x30, 0)], vec![masked(0, 0o170_000, 0o010_000)]]
    );
    assert_eq!((profile.traits.exec, profile.traits.init, profile.traits.tasks), (Exec::Once, false, 1));
}

#[test]
fn an_unknown_name_is_an_error_with_its_place() {
    fails("arch x86_64\nallow read raed # r", "p:2:12", "unknown system call 'raed'");
    fails("arch x86_64\nallow read @read # r", "p:2:12", "unknown group @read");
    fails("arch x86_64\nerrno EWHAT read # r", "p:2:7", "unknown errno 'EWHAT'");
    fails("arch x86_64\nallow read if int0 == F_WHAT # r", "p:2:23", "'F_WHAT'");
    fails("arch x86_64\nallow read if fd == 1 # r", "p:2:15", "invalid argument 'fd'");
    fails("arch x86_64\n  \npermit read # r", "p:3:1", "unknown statement 'permit'");
    fails("arch riscv64\nallow read # r", "p:1:6", "unknown architecture 'riscv64'");
}

#[test]
fn a_missing_architecture_is_an_error() {
    fails("allow read # r", "p:1:1", "the architecture is missing");
    fails("arch aarch64\nallow read # r", "p:1:1", "not for this machine, x86_64");
    fails("arch x86_64 aarch64\nallow open # r", "p:2:7", "aarch64 has no call 'open': add 'on x86_64'");
    fails("arch aarch64 x86_64\nallow renameat # r\nallow open on riscv # r", "p:3:15", "'riscv'");
    fails("arch x86_64\nallow read on aarch64 # r", "p:2:15", "'arch' does not name aarch64");
    fails_with(
        "arch x86_64 aarch64\ninclude o",
        &[("o", "arch x86_64\nallow read # r")],
        "p:2:9",
        "'o' is not for aarch64",
    );
    assert!(read("arch x86_64 aarch64\nallow open on x86_64 # r").is_ok());
}

#[test]
fn what_is_said_twice_is_an_error() {
    fails("arch x86_64\nallow read # r\nallow close read # r", "p:3:13", "duplicate: read is in p:2");
    fails("arch x86_64\nallow read read # r", "p:2:12", "duplicate");
    fails("arch x86_64\nallow read if int0 == 1 # r\nallow read if int0 == 2 # r", "p:3:7", "with 'or'");
    fails("arch x86_64\narch x86_64\n", "p:2:1", "duplicate");
    fails("arch x86_64 x86_64\n", "p:1:13", "twice");
    fails("arch x86_64\ntasks 1\ntasks 1\n", "p:3:1", "duplicate");
    fails("arch x86_64\ngroup @a read\ngroup @a read\n", "p:3:7", "duplicate");
    fails("arch x86_64\ngroup @a read read\n", "p:2:15", "twice");
}

#[test]
fn what_contradicts_is_an_error() {
    fails("arch x86_64\nallow read # r\nkill read # r", "p:3:6", "contradiction: p:2 decides read otherwise");
    fails("arch x86_64\nallow read # r\nallow read if int0 == 1 # r", "p:3:7", "contradiction");
    fails("arch x86_64\nallow read if int0 == 1 # r\nerrno EPERM read if int0 == 1 # r", "p:3:13", "contra");
    fails("arch x86_64\nallow read if arg0 & 1 == 2 # r", "p:2:27", "never true");
    fails("arch x86_64\nallow read if int1 == 5 and int1 == 6 # r", "p:2:15", "never true");
    fails("arch x86_64\nallow read if int1 == 0 or int0 >= 2 and int0 <= 1 # r", "p:2:28", "never true");
    fails("arch x86_64\nallow read if arg2 has 3 and arg2 has no 2 # r", "p:2:15", "never true");
    fails("arch x86_64\nallow read execve # r", "p:2:12", "exec tree");
    fails_with(
        "arch x86_64\nexec once\ninclude t",
        &[("t", "arch x86_64\nexec tree\nallow execve # r")],
        "t:3:7",
        "exec tree",
    );
    assert!(read("arch x86_64\nallow read if int0 == 1 # r\nerrno EPERM read # r").is_ok());
}

#[test]
fn a_profile_has_a_default_verdict() {
    let default = |text: &str| read(text).map(|profile| profile.traits.default);
    assert_eq!(default("arch x86_64\nallow read # r").unwrap(), Action::Notify);
    assert_eq!(default("arch x86_64\ndefault notify\nallow read # r").unwrap(), Action::Notify);
    assert_eq!(default("arch x86_64\ndefault errno ENOSYS\nallow read # r").unwrap(), Action::Errno(38));
    let files = [("o", "arch x86_64\ndefault errno EPERM\nallow read # o")];
    let own = read_with("arch x86_64\ninclude o\ndefault notify\n", &files).unwrap();
    assert_eq!(own.traits.default, Action::Notify);
    assert_eq!(read_with("arch x86_64\ninclude o\n", &files).unwrap().traits.default, Action::Errno(1));
    fails("arch x86_64\ndefault", "p:2:1", "'notify' or 'errno'");
    fails("arch x86_64\ndefault kill", "p:2:9", "'notify' or 'errno'");
    fails("arch x86_64\ndefault allow", "p:2:9", "'notify' or 'errno'");
    fails("arch x86_64\ndefault errno", "p:2:9", "errno needs a name");
    fails("arch x86_64\ndefault errno 0", "p:2:9", "cannot succeed");
    fails("arch x86_64\ndefault errno EWHAT", "p:2:15", "unknown errno 'EWHAT'");
    fails("arch x86_64\ndefault notify\ndefault notify", "p:3:1", "duplicate");
}

#[test]
fn a_profile_says_what_becomes_of_a_call() {
    let text = "arch x86_64\ndefault errno ENOSYS\nallow read if int0 == 0 # r\nerrno EPERM read # r\nnotify close # r";
    let profile = read(text).unwrap();
    assert_eq!(profile.verdict(0, &[0; 6]), Some(Action::Allow));
    assert_eq!(profile.verdict(0, &[1 << 32; 6]), Some(Action::Allow));
    assert_eq!(profile.verdict(0, &[1; 6]), Some(Action::Errno(1)));
    assert_eq!(profile.verdict(3, &[0; 6]), Some(Action::Notify));
    assert_eq!(profile.verdict(1, &[0; 6]), None);
    assert_eq!(profile.killing().collect::<Vec<_>>(), [3]);
}

#[test]
fn a_reason_cannot_be_left_out() {
    fails("arch x86_64\nallow read", "p:2:1", "needs a reason");
    fails("arch x86_64\nallow read #  ", "p:2:1", "needs a reason");
}

#[test]
fn an_included_file_has_its_own_name_in_errors() {
    fails_with("arch x86_64\ninclude o", &[("o", "arch x86_64\nallow raed # r")], "o:2:7", "'raed'");
    fails_with("arch x86_64\ninclude o", &[], "p:2:9", "there is no 'o'");
    fails_with(
        "arch x86_64\ninclude p",
        &[("p", "arch x86_64\ninclude p")],
        "p:2:9",
        "a file includes itself",
    );
    fails("arch x86_64\ninclude", "p:2:1", "one name");
}

#[test]
fn includes_are_bounded_in_number_too() {
    let files = [("o", "arch x86_64\ngroup @o read\nremove @o")];
    let many = format!("arch x86_64\n{}", "include e\n".repeat(40));
    fails_with(&many, &[("e", "arch x86_64\n")], "p:34:9", "more than 32 includes");
    fails_with("arch x86_64\ninclude o", &files, "o:3:8", "no entry of @o");
}

#[test]
fn what_includes_a_file_may_remove_and_decides() {
    let files = [("o", "arch x86_64\ntasks 7\ninit yes\ngroup @g read write\nallow @g open # o")];
    let text = "arch x86_64\ninclude o\ntasks 9\nremove open\nerrno ENOENT open # mine\n";
    let profile = read_with(text, &files).unwrap();
    assert_eq!((profile.traits.tasks, profile.traits.init), (9, true));
    let open = profile.entries.iter().find(|entry| entry.name == "open").unwrap();
    assert_eq!((open.action, open.reason.as_str()), (Action::Errno(2), "mine"));
    let before = read_with("arch x86_64\ntasks 9\ninclude o\n", &files).unwrap();
    assert_eq!(before.traits.tasks, 9);
    fails_with("arch x86_64\ninclude o\nremove close\n", &files, "p:3:8", "no entry of close");
    fails_with("arch x86_64\ninclude o\nremove\n", &files, "p:3:1", "a system call is missing");
}

#[test]
fn what_includes_a_file_may_allow_more_of_a_call() {
    let files = [("o", "arch x86_64\nallow read if int0 == 1 # o\nerrno EPERM read close # o")];
    let of_read = |text: &str| {
        let profile = read_with(&format!("arch x86_64\ninclude o\n{text}"), &files).unwrap();
        profile
            .entries
            .into_iter()
            .find(|entry| (entry.name, entry.action) == ("read", Action::Allow))
            .unwrap()
    };
    let more = of_read("allow read if int0 == 2 or int0 == 3 # mine");
    assert_eq!(more.condition, "int0 == 1 or int0 == 2 or int0 == 3");
    assert_eq!((more.when.len(), more.reason.as_str()), (3, "o; mine"));
    let files = [("o", "arch x86_64\nallow read if int0 == 1 # o")];
    let all = read_with("arch x86_64\ninclude o\nallow read # mine", &files).unwrap();
    assert_eq!(all.entries.len(), 1);
    assert_eq!(all.verdict(0, &[9; 6]), Some(Action::Allow));
    // Twice in one file it is a mistake as ever, and less than an included file says is no condition.
    let twice = "arch x86_64\ninclude o\nallow read if int0 == 2 # r\nallow read if int0 == 3 # r";
    fails_with(twice, &files, "p:4:7", "duplicate: put both conditions of read in p:3");
    let files = [("o", "arch x86_64\nallow read # o")];
    fails_with("arch x86_64\ninclude o\nallow read if int0 == 2 # r", &files, "p:3:7", "contradiction");
    let files = [("o", "arch x86_64\nallow read if int0 == 1 # o\nerrno EPERM read # o")];
    fails_with("arch x86_64\ninclude o\nallow read # r", &files, "p:3:7", "decides read otherwise");
    // Beside an exception for some arguments others may be allowed, but nothing that is allowed may be taken
    // away so.
    let files = [("o", "arch x86_64\nerrno EPERM read if int0 == 1 # o\nallow close if int0 == 1 # o")];
    let both = read_with("arch x86_64\ninclude o\nallow read if int0 == 1 or int0 == 2 # r", &files).unwrap();
    assert_eq!(
        [1, 2, 3].map(|fd| both.verdict(0, &[fd; 6])),
        [Some(Action::Allow), Some(Action::Allow), None]
    );
    fails_with("arch x86_64\ninclude o\nkill close if int0 == 1 # r", &files, "p:3:6", "contradiction");
    let many: Vec<_> = (0..64).map(|value| format!("int0 == {value}")).collect();
    let text = format!("arch x86_64\ninclude o\nallow read if {} # r", many.join(" or "));
    let files = [("o", "arch x86_64\nallow read if int1 == 1 # o")];
    fails_with(&text, &files, "p:3:7", "more than 64");
}

#[test]
fn what_cannot_be_read_is_an_error() {
    fails("", "p:1:1", "architecture is missing");
    fails("arch x86_64", "p:1:1", "allows nothing");
    fails("  arch x86_64", "p:1:3", "indented");
    fails("arch x86_64\nallow read if # r", "p:2:1", "condition is missing");
    fails("arch x86_64\nallow read if int0 == 1 or # r", "p:2:1", "condition is missing");
    fails("arch x86_64\nallow read if int6 == 1 # r", "p:2:15", "invalid argument");
    fails("arch x86_64\nallow read if int0 == 0x100000000 # r", "p:2:23", "32 bits");
    fails("arch x86_64\nallow read if int0 has 1 # r", "p:2:15", "after an int");
    fails("arch x86_64\nallow read if arg0 <= 1 # r", "p:2:15", "after an arg");
    fails("arch x86_64\nallow # r", "p:2:1", "a system call is missing");
    fails("arch x86_64\nerrno # r", "p:2:1", "errno needs a name");
    fails("arch x86_64\ntasks 0", "p:2:7", "1 or more");
    fails("arch x86_64\ninit maybe", "p:2:6", "'yes' or 'no'");
    fails("arch x86_64\nexec all", "p:2:6", "'once' or 'tree'");
    fails("arch x86_64\nlocks all", "p:2:7", "'own' or 'no'");
    fails("arch x86_64\ngroup read", "p:2:1", "group @NAME");
}

#[test]
fn no_cut_of_a_profile_panics() {
    for text in PROFILES.into_iter().map(|(_, text)| text) {
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let mut include = |name: &str| Err(format!("{name} is left out"));
            let _either = parse("cut", &text[..end], Machine::Aarch64, &mut include);
        }
    }
}

/// Seeds of the fuzzer, and its findings.
#[test]
fn every_seed_of_the_fuzzer_is_read_to_an_end() {
    let seeds = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/profile")).unwrap();
    for seed in seeds {
        let text = String::from_utf8_lossy(&std::fs::read(seed.unwrap().path()).unwrap()).into_owned();
        for machine in Machine::ALL {
            let mut include = |name: &str| match (name, included(name)) {
                ("self", _) => Ok((name.to_owned(), text.clone())),
                (name, included) => {
                    included.map(|text| (name.to_owned(), text.to_owned())).ok_or_else(|| name.to_owned())
                }
            };
            let _either = parse("seed", &text, machine, &mut include);
        }
    }
}

/// The profiles that the documents show.
#[test]
fn each_profile_in_the_documents_is_one() {
    let mut shown = 0;
    for page in ["profiles", "handlers", "from-nsjail"] {
        let path = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/{}.md"), page);
        let text = std::fs::read_to_string(path).unwrap();
        for block in text.split("\n```\n").filter(|block| block.starts_with("arch ")) {
            let mut include = |name: &str| match included(name) {
                Some(text) => Ok((name.to_owned(), text.to_owned())),
                None => Err(name.to_owned()),
            };
            let read = parse(page, block, Machine::X86_64, &mut include);
            assert!(read.is_ok(), "{page}: {block}: {:?}", read.err());
            shown += 1;
        }
    }
    assert!(shown >= 3, "{shown} profiles");
}
