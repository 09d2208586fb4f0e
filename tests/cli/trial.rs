//! `check` tries a launch: wherever `run` answers 125 to 127, it answers 1, and nothing is left of the trial.

use common::site::{Beside, make_directory, set_mode, write};
use common::volume::Volume;
use common::{Site, a_site, dayfly, need, process};
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `dayfly VERB OPTIONS -- HANDLER`, below another program where one is given.
fn dayfly_under(before: &[&str], verb: &str, options: &[&str], handler: &[&str]) -> Output {
    let program = dayfly();
    let words = before.iter().copied().chain([program.to_str().unwrap(), verb]);
    let mut words = words.chain(options.iter().copied()).chain(["--"]).chain(handler.iter().copied());
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Asks both; what `check` finds. `before` is the program that they run under.
#[track_caller]
fn agree(site: &Site, before: &[&str], options: &[&str], handler: &[&str]) -> String {
    let checked = dayfly_under(before, "check", options, handler);
    site.check_nothing_left();
    let run = dayfly_under(before, "run", options, handler);
    let (status, would) = (run.status.code(), checked.status.code());
    let expected = match status {
        Some(125..=127) => Some(1),
        // A wrong option is one for both.
        Some(2) => Some(2),
        _ => Some(0),
    };
    let both = format!(
        "{before:?} {options:?} {handler:?}\nrun {status:?}: {}\ncheck {would:?}: {}",
        text(&run),
        text(&checked)
    );
    assert_eq!(would, expected, "{both}");
    both
}

/// The same where `run` answers with this status.
#[track_caller]
fn both_fail(site: &Site, status: i32, before: &[&str], options: &[&str], handler: &[&str]) -> String {
    let both = agree(site, before, options, handler);
    assert!(both.contains(&format!("run Some({status})")), "{both}");
    both
}

/// The options for the site's template, and more.
fn with<'a>(template: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    ["--template", template].into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn check_and_run_agree_about_what_is_given() {
    let mut site = a_site!();
    site.add("bin/text", b"no program\n", 0o755);
    site.add("bin/closed", b"\x7fELF", 0o600);
    site.add("srv/file", b"", 0o644);
    make_directory(&site.template().join("proc"), 0o755);
    site.settle();
    let beside = Beside::new(&site);
    make_directory(&beside.0.join("content"), 0o755);
    let socket = beside.0.join("socket");
    drop(UnixListener::bind(&socket).unwrap());
    let template = site.template().display().to_string();
    let content = beside.0.join("content").display().to_string();
    let (at_file, at_root) = (format!("{content}:/srv/file"), format!("{content}:/srv:0"));
    let (writable, silent) = (format!("{content}:/srv:1000"), format!("{}:peer:connect", socket.display()));
    let probe = ["/bin/probe", "env"];
    let good: [&[&str]; 8] = [
        &[],
        &["--snapshot", "readonly"],
        &["--init"],
        &["--net", "private"],
        &["--bind", &writable],
        &["--profile", "tree", "--snapshot", "readonly"],
        &["--proc"],
        &["--tmpfs", "/srv"],
    ];
    for options in good {
        let both = agree(&site, &[], &with(&template, options), &probe);
        assert!(both.contains("ok    launch"), "{both}");
    }
    let bad: [&[&str]; 8] = [
        &["--bind-ro", &at_file],
        &["--bind", &at_root],
        &["--tmpfs", "/srv/file"],
        &["--chdir", "/nowhere"],
        &["--landlock-ro", "/nowhere"],
        &["--open", &silent],
        &["--cpu-affinity", "1000"],
        &["--cgroup", "required"],
    ];
    for options in bad {
        agree(&site, &[], &with(&template, options), &probe);
    }
    for (handler, status) in [("/bin/nobody", 127), ("/bin/text", 126), ("/bin/closed", 126), ("/srv", 126)] {
        both_fail(&site, status, &[], &with(&template, &[]), &[handler]);
    }
}

#[test]
fn check_and_run_agree_about_the_template() {
    let mut site = a_site!();
    let template = site.template().display().to_string();
    let probe = ["/bin/probe", "env"];
    for mode in [0o700, 0o711, 0o750, 0o755] {
        set_mode(&site.template(), mode);
        site.settle();
        for snapshot in ["overlay", "readonly"] {
            agree(&site, &[], &with(&template, &["--snapshot", snapshot]), &probe);
        }
    }
    set_mode(&site.template(), 0o700);
    site.settle();
    both_fail(&site, 125, &[], &with(&template, &["--snapshot", "readonly"]), &probe);
    set_mode(&site.template(), 0o777);
    site.settle();
    both_fail(&site, 125, &[], &with(&template, &[]), &probe);
}

#[test]
fn check_and_run_agree_about_the_file_system_of_the_template() {
    let mount = need!("mount");
    let mut site = a_site!();
    let beside = Beside::new(&site);
    let merged = beside.0.join("merged");
    for name in ["merged", "upper", "work"] {
        make_directory(&beside.0.join(name), 0o755);
    }
    let lower = site.template();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        beside.0.join("upper").display(),
        beside.0.join("work").display()
    );
    // An upper directory must not be on an overlay itself, as /var/tmp is in a container.
    let mounted = Command::new(&mount)
        .args(["-t", "overlay", "overlay", "-o", &options])
        .arg(&merged)
        .status()
        .unwrap();
    assert!(mounted.success());
    site.settle_mounts();
    let probe = ["/bin/probe", "env"];
    let path = merged.display().to_string();
    for snapshot in ["overlay", "readonly"] {
        agree(&site, &[], &with(&path, &["--snapshot", snapshot]), &probe);
    }
    let template = site.template().display().to_string();
    let writable = format!("{path}:/srv:1000");
    agree(&site, &[], &with(&template, &["--bind", &writable]), &probe);
    assert!(Command::new("umount").arg(&merged).status().unwrap().success());
    // Programs on it cannot be executed.
    let bound = Command::new(&mount).args(["--bind"]).arg(&lower).arg(&merged).status().unwrap();
    let remounted = Command::new(&mount).args(["-o", "remount,bind,noexec"]).arg(&merged).status().unwrap();
    assert!(bound.success() && remounted.success());
    site.settle_mounts();
    for options in [["--snapshot", "overlay"], ["--snapshot", "readonly"]] {
        agree(&site, &[], &with(&path, &options), &probe);
    }
    assert!(Command::new("umount").arg(&merged).status().unwrap().success());
}

#[test]
fn check_and_run_agree_about_privileges() {
    let (setpriv, unshare) = (need!("setpriv"), need!("unshare"));
    let site = a_site!();
    let (setpriv, unshare) = (setpriv.to_str().unwrap(), unshare.to_str().unwrap());
    let template = site.template().display().to_string();
    let credential = ["--credential", "word:/etc/passwd"];
    let probe = ["/bin/probe", "env"];
    let rootless = ["--allow-degraded", "uid,groups"];
    let users: [&[&str]; 7] = [
        &[setpriv, "--bounding-set", "-chown"],
        &[setpriv, "--bounding-set", "-sys_admin"],
        &[setpriv, "--bounding-set", "-setpcap"],
        &[setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups"],
        &[unshare, "--user", "--map-root-user"],
        &[unshare, "--user", "--map-root-user", "--mount", "--pid", "--fork"],
        &[setpriv, "--no-new-privs"],
    ];
    for before in users {
        for options in [&[][..], &rootless, &credential, &["--snapshot", "readonly"]] {
            agree(&site, before, &with(&template, options), &probe);
        }
    }
}

/// As in an unprivileged container: the maps are written from outside.
fn in_namespace_with(map: &str, words: &[&str]) -> Output {
    let script = r#"exec 3>&1; read -r ready; exec "$@" 2>&1"#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--mount", "/bin/sh", "-c", script, "sh"]).args(words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let own = fs::read_link("/proc/self/ns/user").unwrap();
    process::until(|| (fs::read_link(format!("/proc/{pid}/ns/user")).ok()? != own).then_some(()));
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{pid}/{file}"), map).unwrap();
    }
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"go\n").unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn root_of_a_user_namespace_hears_which_ids_are_missing() {
    need!("unshare");
    let site = a_site!();
    let template = site.template().display().to_string();
    let program = dayfly().display().to_string();
    for (map, ids) in [("0 0 1", "the ids 0:"), ("0 0 65536", "the ids 0 to 65535:")] {
        for verb in ["run", "check"] {
            let words = [&program, verb, "--template", &template, "--", "/bin/probe", "env"];
            let output = in_namespace_with(map, &words);
            let text = text(&output);
            for said in ["root of a user namespace", ids, "--allow-degraded uid,groups", "runtime"] {
                assert!(text.contains(said), "{map} {verb}: no {said:?} in {text}");
            }
            assert_eq!(output.status.code(), Some(if verb == "run" { 125 } else { 1 }), "{text}");
        }
        // The advice helps.
        let words = [
            &program,
            "run",
            "--template",
            &template,
            "--allow-degraded",
            "uid,groups",
            "--",
            "/bin/probe",
            "env",
        ];
        let output = in_namespace_with(map, &words);
        assert_eq!(output.status.code(), Some(0), "{map}: {}", text(&output));
    }
    // Ids enough, but others than the range's.
    let words = [&program, "run", "--template", &template, "--", "/bin/probe", "env"];
    let output = in_namespace_with("0 0 1000000", &words);
    let text = text(&output);
    assert!(
        output.status.code() == Some(125) && text.contains("0 to 999999") && text.contains("--user-range"),
        "{text}"
    );
}

/// The trial executes the handler's file, of which nothing runs.
#[test]
fn check_runs_nothing_of_the_handler() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let content = beside.0.join("content");
    make_directory(&content, 0o755);
    let writable = format!("{}:/srv:0", content.display()).replace(":0", ":1000");
    let template = site.template().display().to_string();
    common::site::give_to(&content, 1000);
    let handler = ["/bin/probe", "try", "write", "/srv/ran"];
    for options in
        [&["--bind", &writable][..], &["--bind", &writable, "--init"], &["--bind", &writable, "--warm", "2"]]
    {
        let output = dayfly_under(&[], "check", &with(&template, options), &handler);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert!(!content.join("ran").exists(), "{options:?}");
    }
    // So would it have.
    let output = dayfly_under(&[], "run", &with(&template, &["--bind", &writable]), &handler);
    assert!(content.join("ran").exists(), "{}", text(&output));
    site.check_nothing_left();
}

#[test]
fn what_a_sandbox_cannot_read_is_a_finding() {
    let site = a_site!();
    let beside = Beside::new(&site);
    let content = beside.0.join("content");
    make_directory(&content, 0o755);
    make_directory(&content.join("closed"), 0o700);
    write(&content.join("open"), b"", 0o644);
    write(&content.join("private"), b"", 0o600);
    let template = site.template().display().to_string();
    let bind = format!("{}:/srv", content.display());
    let check =
        |options: &[&str]| text(&dayfly_under(&[], "check", &with(&template, options), &["/bin/probe"]));
    let said = check(&["--bind-ro", &bind]);
    assert!(said.contains("note  content") && said.contains("/srv/closed /srv/private"), "{said}");
    assert!(!said.contains("/srv/open"), "{said}");
    set_mode(&content, 0o700);
    let said = check(&["--bind-ro", &bind]);
    assert!(said.contains("cannot read 1 of") && said.contains(&content.display().to_string()), "{said}");
    // In a writable snapshot root's files are the handler's.
    assert!(!check(&[]).contains("note  content"));
    let said = check(&["--snapshot", "readonly"]);
    assert!(said.contains("/etc/secret"), "{said}");
}

#[test]
fn a_trial_with_snapshots_of_btrfs_leaves_no_shelf() {
    let mut site = a_site!();
    let Some(volume) = Volume::new(&mut site) else { return common::skip("no btrfs here") };
    let template = volume.template().display().to_string();
    for options in [&["--snapshot", "btrfs"][..], &["--snapshot", "btrfs", "--tmpfs", "/tmp:1M"]] {
        let both = agree(&site, &[], &with(&template, options), &["/bin/probe", "env"]);
        assert!(both.contains("ok    launch"), "{both}");
        let shelf = volume.directory().join(".dayfly-snapshots");
        let left: Vec<_> = fs::read_dir(&shelf).into_iter().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        let _made_by_run = fs::remove_dir(shelf);
    }
    let output = dayfly_under(&[], "check", &with(&template, &["--snapshot", "btrfs"]), &["/bin/probe"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(!Path::new(&volume.directory().join(".dayfly-snapshots")).exists());
}
