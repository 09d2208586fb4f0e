use super::table::{OPTIONS, OWN, Takes};
use super::*;

fn line(words: &[&str]) -> Result<Line, String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    translate(&words, |name| (name == "HOME").then(|| "/root".to_owned()))
}

#[test]
fn the_line_of_2017_is_understood() {
    let line =
        line(&["-q", "-x", "--private-network", "-D", "/srv/gophermoon", "/bin/lua", "/bin/gophermoon"]);
    let line = line.unwrap();
    assert_eq!(line.root, Root::Directory("/srv/gophermoon".to_owned()));
    assert_eq!(line.options, ["--snapshot=overlay", "--profile=tree", "--init=yes"]);
    assert_eq!(line.command, ["/bin/lua", "/bin/gophermoon"]);
    assert!(line.quiet && line.chose_profile);
}

#[test]
fn options_end_at_the_first_word_that_is_none() {
    assert_eq!(line(&["-x", "echo", "-b", "--boot"]).unwrap().command, ["echo", "-b", "--boot"]);
    assert_eq!(line(&["-x", "--", "-b"]).unwrap().command, ["-b"]);
    assert_eq!(line(&["-x", "-", "-b"]).unwrap().command, ["-", "-b"]);
}

#[test]
fn letters_cluster_and_take_the_rest_of_their_word() {
    let line = line(&["-qxD/srv/x", "-EA=B", "-E", "HOME", "-M", "name", "c"]).unwrap();
    assert_eq!(line.root, Root::Directory("/srv/x".to_owned()));
    for option in ["--setenv=A=B", "--setenv=HOME=/root", "--hostname=name"] {
        assert!(line.options.iter().any(|given| given == option), "{option} {line:?}");
    }
}

#[test]
fn a_name_may_be_cut_as_long_as_it_is_one() {
    assert_eq!(line(&["--eph", "--dir=/x", "c"]).unwrap().root, Root::Directory("/x".to_owned()));
    assert!(line(&["--network", "c"]).unwrap_err().contains("ambiguous"));
    // A complete name is not an abbreviation: --bind exists beside --bind-ro.
    assert!(line(&["-x", "--bind", "/a", "c"]).unwrap().options.contains(&"--bind=/a:/a".to_owned()));
}

#[test]
fn arguments_are_where_they_belong() {
    for (words, named) in [
        (&["--quiet=yes", "c"][..], "--quiet takes no argument"),
        (&["-x", "--directory"], "--directory needs an argument"),
        (&["-x", "-D"], "-D needs an argument"),
        (&["-x", "--nonesuch", "c"], "unknown option --nonesuch"),
        (&["-x", "-y", "c"], "unknown option -y"),
        (&["-x", "--=", "c"], "unknown option --"),
    ] {
        assert_eq!(line(words).unwrap_err(), named);
    }
    // An optional argument stands behind `=` only, but for the old form of --uid.
    assert_eq!(line(&["--volatile", "overlay", "c"]).unwrap().command, ["overlay", "c"]);
    assert_eq!(line(&["-x", "--user", "nobody", "c"]).unwrap().command, ["c"]);
    assert!(line(&["-x", "--user", "-q", "c"]).is_err());
}

#[test]
fn a_line_whose_writes_would_stay_is_refused() {
    let error = line(&["-D", "/srv", "c"]).unwrap_err();
    for named in ["-x", "--read-only", "--volatile="] {
        assert!(error.contains(named), "{error}");
    }
    assert!(line(&["--volatile=no", "c"]).is_err());
    let snapshot = |words: &[&str]| line(words).unwrap().options[0].clone();
    assert_eq!(snapshot(&["-x", "c"]), "--snapshot=overlay");
    assert_eq!(snapshot(&["-x", "--read-only", "c"]), "--snapshot=readonly");
    assert_eq!(snapshot(&["--volatile=overlay", "c"]), "--snapshot=overlay");
    assert_eq!(snapshot(&["--volatile", "c"]), "--snapshot=readonly");
    assert_eq!(snapshot(&["--volatile=state", "c"]), "--tmpfs=/var");
}

#[test]
fn own_options_win_over_what_is_chosen() {
    let line = line(&["-x", "--profile=static", "--init=no", "--wall-time", "3s", "c"]).unwrap();
    assert_eq!(line.options, ["--profile=static", "--init=no", "--wall-time=3s", "--snapshot=overlay"]);
    assert!(!line.chose_profile);
}

#[test]
fn values_that_are_not_so_are_refused_with_their_reason() {
    for words in [
        ["--register=yes", "c"],
        ["--no-new-privileges=0", "c"],
        ["--console=interactive", "c"],
        ["--private-users=identity", "c"],
        ["--link-journal=host", "c"],
        ["--resolv-conf=copy-host", "c"],
        ["--restrict-address-families=AF_UNIX", "c"],
    ] {
        assert!(line(&words).unwrap_err().contains("is not supported: "), "{words:?}");
    }
    for words in [
        ["-xq", "--register=false", "c"],
        ["-x", "--no-new-privileges=on", "c"],
        ["-x", "--private-users", "c"],
    ] {
        assert!(line(&words).is_ok(), "{words:?}");
    }
}

#[test]
fn no_name_stands_twice_and_every_reason_is_one_line() {
    let mut names: Vec<String> = OPTIONS.iter().map(table::Known::name).collect();
    names.extend(OPTIONS.iter().filter_map(|known| known.short).map(|short| format!("-{short}")));
    names.extend(OWN.iter().map(|(name, _)| format!("--{name}")));
    names.sort();
    // Where there is only a letter, it is the name.
    let letters = OPTIONS.iter().filter(|known| known.long.is_empty()).count();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before - letters);
    for known in OPTIONS {
        assert!(
            !known.says.is_empty() && !known.says.contains('\n') && !known.says.ends_with('.'),
            "{known:?}"
        );
        // A letter with an argument that may be missing could not be read.
        assert!(known.short.is_none() || known.takes() != Takes::Optional, "{known:?}");
    }
}

#[test]
fn all_that_is_refused_is_told_at_once_and_each_once() {
    let why = line(&["-b", "-b", "--network-veth", "--oom-score-adjust=-5"]).unwrap_err();
    for part in
        ["--boot is not supported", "--network-veth is not supported", "not below 0", "no command", "give -x"]
    {
        assert_eq!(why.matches(part).count(), 1, "{part}: {why}");
    }
}
