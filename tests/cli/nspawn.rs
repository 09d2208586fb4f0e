//! `dayfly nspawn`: which lines of systemd-nspawn's are understood, which are refused, and what is said
//! of them.

use common::{Ended, Launch, Site, a_site, dayfly, need};
use std::process::{Command, Output};

/// The options of systemd-nspawn 262.1: those of its manual, and four that it still takes. With `=` where
/// they need an argument.
const NEWEST: &str = "
    --help -h --version --quiet -q --no-pager --settings= --cleanup --no-ask-password --directory= -D --template=
    --ephemeral -x --image= -i --image-policy= --mstack= --oci-bundle= --read-only --volatile --root-hash=
    --root-hash-sig= --verity-data= --pivot-root= --as-pid2 -a --boot -b --chdir= --setenv= -E --uid= -u --kill-signal=
    --notify-ready= --suppress-sync= --machine= -M --hostname= --uuid= --slice= -S --property= --register= --keep-unit
    --private-users --private-users-ownership= --private-users-delegate= -U --private-network --network-interface=
    --network-macvlan= --network-ipvlan= --network-veth -n --network-veth-extra= --network-bridge= --network-zone=
    --network-namespace-path= --port= -p --capability= --drop-capability= --ambient-capability= --no-new-privileges=
    --system-call-filter= --restrict-address-families= --selinux-context= -Z --selinux-apifs-context= -L --rlimit=
    --oom-score-adjust= --cpu-affinity= --personality= --resolv-conf= --timezone= --link-journal= -j --forward-journal=
    --forward-journal-max-use= --forward-journal-keep-free= --forward-journal-max-file-size=
    --forward-journal-max-files= --bind= --bind-ro= --inaccessible= --tmpfs= --overlay= --overlay-ro= --bind-user=
    --bind-user-shell= --bind-user-group= --console= --pipe -P --background= --load-credential= --set-credential=
    --system --user
    --private-users-chown --share-system --user=nobody";

fn run(words: &[&str]) -> Output {
    let mut command = Command::new(dayfly());
    command.arg("nspawn").args(words).stdin(std::process::Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails unless it is the operator's mistake, told in one line that has all of these words.
#[track_caller]
fn is_refused(words: &[&str], named: &[&str]) {
    let output = run(words);
    let text = said(&output);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{words:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{words:?}: {text}");
    assert!(named.iter().all(|word| text.contains(word)), "{words:?} names {named:?}: {text}");
}

/// As a line with this option and a template that is not there: whatever is wrong, it is not the
/// option's name.
fn is_known(option: &str) -> bool {
    let argument = if option.starts_with("--") { "x" } else { "" };
    let with_value = if option.ends_with('=') { format!("{option}{argument}") } else { option.to_owned() };
    let output = run(&["-x", "-D", "/nonexistent/dayfly", &with_value, "c", "c"]);
    !said(&output).contains("unknown option") && !said(&output).contains("takes no argument")
}

#[test]
fn every_option_of_the_newest_systemd_nspawn_is_known() {
    let unknown: Vec<&str> = NEWEST.split_whitespace().filter(|option| !is_known(option)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(!is_known("--nonesuch") && !is_known("-y"), "what is no option is not known");
}

#[test]
fn every_option_of_the_installed_systemd_nspawn_is_known() {
    let nspawn = need!("systemd-nspawn");
    let help = Command::new(nspawn).args(["--help", "--no-pager"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let begins = |line: &&str| line.trim_start().starts_with('-');
    let words =
        help.lines().filter(begins).flat_map(|line| line.split("  ").filter(|part| !part.is_empty()).take(1));
    let options: Vec<String> = words
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with('-'))
        .map(|word| match word.split_once('=') {
            Some((name, _)) if !name.ends_with('[') => format!("{name}="),
            _ => word.split('[').next().unwrap().to_owned(),
        })
        .collect();
    assert!(options.len() > 60, "{help}");
    let unknown: Vec<&String> = options.iter().filter(|option| !is_known(option)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn without_snapshot_or_read_only_a_line_is_refused() {
    is_refused(&["-D", "/srv", "/bin/x"], &["-x", "--read-only", "--volatile="]);
    is_refused(&["-q", "--volatile=no", "-D", "/srv", "/bin/x"], &["-x", "--read-only", "--volatile="]);
    // A template to make a tree of is no template of ours.
    is_refused(&["-x", "--template=/srv", "-D", "/srv/x", "/bin/x"], &["--template", "-D"]);
}

/// Each with what its line must say.
const REFUSED: &[(&str, &str)] = &[
    ("--boot", "systemd-nspawn boots"),
    ("-b", "systemd-nspawn boots"),
    ("--cleanup", "nothing to clean"),
    ("--image-policy=root=open", "one file system"),
    ("--mstack=/x", "-D"),
    ("--oci-bundle=/x", "-D"),
    ("--root-hash=00", "verity"),
    ("--root-hash-sig=/x", "verity"),
    ("--verity-data=/x", "verity"),
    ("--pivot-root=/x", "-D"),
    ("--private-users-chown", "idmapped"),
    ("--private-users-delegate=1", "no other"),
    ("--user", "service manager"),
    ("--slice=x", "Slice="),
    ("-Sx", "Slice="),
    ("--property=A=b", "unit"),
    ("--network-interface=eth0", "no other network"),
    ("--network-macvlan=eth0", "no other network"),
    ("--network-ipvlan=eth0", "no other network"),
    ("--network-veth", "no other network"),
    ("-n", "no other network"),
    ("--network-veth-extra=a:b", "no other network"),
    ("--network-bridge=br0", "no other network"),
    ("--network-zone=z", "no other network"),
    ("--network-namespace-path=/run/netns/x", "no other network"),
    ("--port=tcp:70", "ListenStream="),
    ("-p70", "ListenStream="),
    ("--capability=CAP_NET_ADMIN", "capability sets"),
    ("--ambient-capability=all", "capability sets"),
    ("--selinux-context=x", "SELinuxContext="),
    ("--selinux-apifs-context=x", "no API"),
    ("--forward-journal=/x", "stderr"),
    ("--forward-journal-max-use=1", "journal"),
    ("--forward-journal-keep-free=1", "journal"),
    ("--forward-journal-max-file-size=1", "journal"),
    ("--forward-journal-max-files=1", "journal"),
    ("--overlay=/a:/b:/c", "-x"),
    ("--bind-user=nobody", "--bind-ro"),
    ("--bind-user-shell=yes", "no users"),
    ("--bind-user-group=x", "no users"),
    ("--background=40", "no terminal"),
    ("--set-credential=a:b", "secret"),
    ("--share-system", "sealed"),
    ("--template=/srv", "-D"),
    ("--system-call-filter=@mounts", "no group"),
    ("--overlay-ro=+/a:/b:/c", "tree itself"),
    ("--overlay-ro=/a", "invalid overlay"),
    // Options with one meaning only.
    ("--notify-ready=yes", "notification socket"),
    ("--register=yes", "machined"),
    ("--private-users=identity", "--user-range"),
    ("--private-users=100000:65536", "--user-range"),
    ("--private-users-ownership=chown", "idmapped"),
    ("--no-new-privileges=no", "cannot be switched off"),
    ("--oom-score-adjust=-500", "not below 0"),
    ("--restrict-address-families=AF_UNIX", "no socket"),
    ("--personality=x86", "machine's own"),
    ("--resolv-conf=copy-host", "no network"),
    ("--link-journal=guest", "stderr"),
    ("--console=interactive", "no terminal"),
    ("--timezone=symlink", "write into the tree"),
];

#[test]
fn what_cannot_be_had_is_refused_with_its_reason() {
    for (option, reason) in REFUSED {
        let named = option.split('=').next().unwrap();
        let named = if named.starts_with("--") { named } else { "--" };
        is_refused(&["-x", option, "-D", "/srv", "/bin/x"], &[named, reason]);
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    for (option, named) in [
        ("--settings=maybe", "'maybe'"),
        ("--volatile=sometimes", "'sometimes'"),
        ("--hostname=a b", "'a b'"),
        ("--machine=-", "'-'"),
        ("--uuid=7", "'7'"),
        ("--uuid=00000000000000000000000000000000", "zero"),
        ("--setenv==x", "variable is missing"),
        ("--rlimit=nofile", "NAME=LIMIT"),
        ("--rlimit=nosuch=3", "nosuch"),
        ("--rlimit=nofile=many", "many"),
        ("--uid=nobody", "nobody"),
        ("--uid=", "user is missing"),
        ("--oom-score-adjust=2000", "'2000'"),
        ("--system-call-filter=socket", "refused: the guard"),
        ("--system-call-filter=ioctl", "refused: the guard"),
        ("--system-call-filter=nosuchcall", "nosuchcall"),
        ("--system-call-filter=~nosuchcall", "nosuchcall"),
        ("--system-call-filter=a;b", "'a;b'"),
        ("--cpu-affinity=a", "'a'"),
        ("--chdir=srv", "begin with /"),
        ("--kill-signal=SIGNOSUCH", "SIGNOSUCH"),
        ("--inaccessible=srv", "invalid path"),
        ("--inaccessible=/nosuch", "/nosuch"),
        ("--bind-ro=", "--tmpfs"),
        ("--bind-ro=+/x", "host"),
        ("--bind=/a:/b:rbind", "below the source"),
        ("--load-credential=a", "ID:PATH"),
        ("--load-credential=a:b", "$CREDENTIALS_DIRECTORY"),
        ("--bind=/a:/b:idmap", "owner of the source"),
        ("--bind=/etc:/srv", "root"),
        ("--bind-ro=/a:/b:norbind", "norbind"),
        ("--bind-ro=/a:b", "begin with /"),
        ("--tmpfs=/", "-x"),
        ("--tmpfs=/x:mode=0700", "mode=0700"),
        ("--tmpfs=/x:size=huge", "HUGE"),
        ("--wall-time=never", "never"),
        ("--nonesuch", "unknown option --nonesuch"),
        ("-y", "unknown option -y"),
        ("--network=x", "ambiguous"),
    ] {
        let site = Site::new();
        let template = site.as_ref().map_or("/srv".into(), Site::template);
        is_refused(&["-qx", option, "-D", template.to_str().unwrap(), "/bin/probe"], &[named]);
    }
    is_refused(&["-x", "-D"], &["-D needs an argument"]);
    is_refused(&["-x", "-D", "/srv"], &["no command", "/bin/sh"]);
}

fn nspawn<'s>(site: &'s Site, options: &[&str], handler: &[&str]) -> Launch<'s> {
    let template = site.template();
    let mark = format!("@{}", site.tag());
    let handler = [&["/bin/probe", &mark], handler].concat();
    site.handler(&handler)
        .verb(&["nspawn", "--status-fd=9", "-D", template.to_str().unwrap()])
        .options(options)
}

fn echoes(ended: &Ended) {
    ended.expect(0, "exited");
    assert_eq!(ended.text(), "hello\n", "{ended}");
}

#[test]
fn what_is_so_in_every_sandbox_is_accepted() {
    let site = a_site!();
    let options = [
        "-x",
        "-q",
        "--no-pager",
        "--no-ask-password",
        "--settings=no",
        "-a",
        "--as-pid2",
        "--kill-signal=SIGKILL",
        "--notify-ready=no",
        "--suppress-sync=yes",
        "--register=no",
        "--keep-unit",
        "--private-users",
        "--private-users=pick",
        "--private-users=no",
        "--private-users-ownership=auto",
        "-U",
        "--private-network",
        "--drop-capability=CAP_SYS_ADMIN",
        "--no-new-privileges=yes",
        "--restrict-address-families=none",
        "--personality=x86-64",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "-j",
        "--console=pipe",
        "-P",
        "--pipe",
        "--system",
    ];
    echoes(&nspawn(&site, &options, &["echo"]).talk(b"hello\n"));
}

#[test]
fn help_and_version_are_printed() {
    for word in ["-h", "--help"] {
        let output = run(&[word]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0));
        for option in NEWEST.split_whitespace() {
            assert!(text.contains(option.split('=').next().unwrap()), "{option}\n{text}");
        }
    }
    let output = run(&["--version"]);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("dayfly "));
}

#[test]
fn what_was_chosen_is_said_unless_quiet() {
    let mut site = a_site!();
    site.add("etc/passwd", b"nobody:x:65534:65534::/:/bin/false\n", 0o644);
    let ended = nspawn(&site, &["-x", "--uid=nobody"], &["echo"]).talk(b"hello\n");
    echoes(&ended);
    for said in [
        "profile tree",
        "/bin/probe is statically linked",
        "--profile=static",
        "dayfly run --template=",
        "--uid=nobody",
    ] {
        assert!(ended.err.contains(said), "{said}\n{ended}");
    }
    let ended = nspawn(&site, &["-q", "-x", "--uid=nobody"], &["echo"]).talk(b"hello\n");
    echoes(&ended);
    assert!(!ended.err.contains("profile") && !ended.err.contains("nobody"), "{ended}");
    // An operator who has chosen needs no advice.
    let ended = nspawn(&site, &["-x", "--profile=static", "--init=no"], &["echo"]).talk(b"hello\n");
    echoes(&ended);
    assert!(!ended.err.contains("profile tree"), "{ended}");
}

#[test]
fn the_line_of_run_that_is_said_is_the_same() {
    let site = a_site!();
    let template = site.template();
    let template = template.to_str().unwrap();
    let output = run(&["--explain", "-x", "-D", template, "-E", "A=it's", "/bin/probe", "env"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("from systemd-nspawn") && text.contains("profile tree"), "{text}");
    let line = text.lines().find_map(|line| line.split_once("the same line: dayfly ")).expect("a line").1;
    let program = dayfly();
    let script = format!("exec {} {line}", program.display());
    let output =
        Command::new("/bin/sh").args(["-c", &script]).stdin(std::process::Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.lines().any(|line| line == "A=it's"), "{text} {}", said(&output));
}

#[test]
fn explain_runs_nothing_and_shows_what_is_closed() {
    let site = a_site!();
    let template = site.template();
    let line = ["--explain", "-q", "-x", "-D", template.to_str().unwrap(), "/bin/probe", "exit", "7"];
    let output = run(&line);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for shown in
        ["permitted: empty", "no_new_privs: yes", "net: shared with other sandboxes, sealed", "a stub"]
    {
        assert!(text.contains(shown), "{shown}\n{text}");
    }
    let output = run(&[&["--json"], &line[..]].concat());
    let tree: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(tree["capabilities"]["permitted"], "empty");
}

#[test]
fn json_without_explain_is_refused() {
    is_refused(&["--json", "-x", "-D", "/nonexistent/dayfly", "c"], &["--json", "--explain"]);
}

#[test]
fn a_settings_file_that_nspawn_would_read_is_refused_by_its_name() {
    let mut site = a_site!();
    let file = site.file("template.nspawn", "[Exec]\nPrivateUsers=no\n");
    let ended = nspawn(&site, &["-x"], &["echo"]).talk(b"hello\n");
    ended.is_usage_error(file.to_str().unwrap());
    echoes(&nspawn(&site, &["-x", "--settings=no"], &["echo"]).talk(b"hello\n"));
    // The name is the machine's where there is one.
    echoes(&nspawn(&site, &["-x", "-Mother"], &["echo"]).talk(b"hello\n"));
    nspawn(&site, &["-x", "--settings=trusted"], &["echo"])
        .talk(b"hello\n")
        .is_usage_error("template.nspawn");
}

#[test]
fn a_variable_that_nspawn_would_read_is_refused_by_its_name() {
    let site = a_site!();
    let name = "SYSTEMD_NSPAWN_SHARE_NS_IPC";
    nspawn(&site, &["-x"], &["echo"]).variable(name, "1").talk(b"").is_usage_error(name);
}
