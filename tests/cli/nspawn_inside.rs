//! `dayfly nspawn`, seen from inside: what a line of systemd-nspawn's asks for is what the program finds.

use common::{Ended, Launch, Site, Wire, a_site, dayfly, process};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

fn nspawn<'s>(site: &'s Site, options: &[&str], handler: &[&str]) -> Launch<'s> {
    let template = site.template();
    let mark = format!("@{}", site.tag());
    let handler = [&["/bin/probe", &mark], handler].concat();
    site.handler(&handler)
        .verb(&["nspawn", "--status-fd=9", "-D", template.to_str().unwrap()])
        .options(options)
}

/// The probe's answer to one attempt.
fn tried(site: &Site, options: &[&str], words: &[&str]) -> Ended {
    let ended = nspawn(site, options, &[&["try"], words].concat()).talk(b"");
    ended.expect(0, "exited");
    ended
}

/// `systemd-nspawn`, which is dayfly by another name.
fn by_name(site: &mut Site) -> PathBuf {
    let link = site.directory().join("systemd-nspawn");
    symlink(dayfly(), &link).unwrap();
    site.settle();
    link
}

#[test]
fn the_line_of_2017_serves_its_connection_by_the_name_of_systemd_nspawn() {
    let mut site = a_site!();
    let link = by_name(&mut site);
    let template = site.template();
    let mark = format!("@{}", site.tag());
    let line =
        ["-q", "-x", "--private-network", "-D", template.to_str().unwrap(), "/bin/probe", &mark, "echo"];
    for wire in [Wire::Tcp, Wire::Unix, Wire::Inetd] {
        let mut live = site.handler(&[]).verb(&line).program(&link).wire(wire).start();
        live.client.send(b"a selector\r\n");
        live.client.half_close();
        let ended = live.end();
        assert_eq!((ended.status, ended.text().as_str()), (0, "a selector\r\n"), "{wire:?}\n{ended}");
    }
}

#[test]
fn the_snapshot_of_x_can_be_written_and_forgets() {
    let site = a_site!();
    for option in ["-x", "--volatile=overlay"] {
        let ended = tried(&site, &[option], &["write", "/etc/os-release"]);
        assert!(ended.text().contains("write ok"), "{ended}");
        assert!(tried(&site, &[option], &["cat", "/srv/hello"]).text().contains("hello"));
    }
}

#[test]
fn read_only_is_read_only() {
    let site = a_site!();
    for options in [&["--read-only"][..], &["--read-only", "-x"]] {
        let ended = tried(&site, options, &["write", "/srv/new"]);
        assert!(ended.text().contains(&format!("errno {} ", libc::EROFS)), "{ended}");
    }
}

#[test]
fn volatile_state_has_an_empty_var_over_a_read_only_tree() {
    let mut site = a_site!();
    common::site::make_directory(&site.template().join("var"), 0o755);
    site.add("var/kept", b"x", 0o644);
    let ended = tried(&site, &["--volatile=state"], &["write", "/var/new"]);
    assert!(ended.text().contains("write ok"), "{ended}");
    let ended = tried(&site, &["--volatile=state"], &["write", "/srv/new"]);
    assert!(ended.text().contains(&format!("errno {} ", libc::EROFS)), "{ended}");
    let ended = nspawn(&site, &["--volatile=state"], &["see", "/var"]).talk(b"");
    assert_eq!(ended.values("entry"), [""; 0], "{ended}");
}

#[test]
fn volatile_yes_shows_usr_alone() {
    let mut site = a_site!();
    let template = site.template();
    let split = nspawn(&site, &["--volatile"], &["echo"]).talk(b"");
    split.is_usage_error("/bin in the tree is not a link into /usr");
    std::fs::create_dir(template.join("usr")).unwrap();
    std::fs::rename(template.join("bin"), template.join("usr/bin")).unwrap();
    symlink("usr/bin", template.join("bin")).unwrap();
    site.settle();
    for option in ["--volatile", "--volatile=yes"] {
        let ended = nspawn(&site, &[option], &["see", "/etc", "/srv"]).talk(b"");
        ended.expect(0, "exited");
        assert_eq!(ended.values("entry"), [""; 0], "{ended}");
        assert!(tried(&site, &[option], &["write", "/etc/new"]).text().contains("write ok"));
        let ended = tried(&site, &[option], &["write", "/usr/new"]);
        assert!(ended.text().contains(&format!("errno {} ", libc::EROFS)), "{ended}");
    }
}

#[test]
fn the_environment_is_what_the_line_gives() {
    let site = a_site!();
    let uuid = "--uuid=0123456789abcdef0123456789abcdef";
    let options = ["-x", "-EA=1", "--setenv=B=two words", "-E", "HERE", "-E", "NOT_THERE", uuid];
    let ended = nspawn(&site, &options, &["env"]).variable("HERE", "yes").variable("OTHER", "no").talk(b"");
    ended.expect(0, "exited");
    let text = ended.text();
    let lines: Vec<&str> = text.lines().collect();
    for line in ["A=1", "B=two words", "HERE=yes", "container_uuid=01234567-89ab-cdef-0123-456789abcdef"] {
        assert!(lines.contains(&line), "{line}\n{ended}");
    }
    assert!(!text.contains("OTHER") && !text.contains("NOT_THERE="), "{ended}");
    assert!(ended.err.contains("NOT_THERE"), "{ended}");
}

#[test]
fn the_host_name_is_the_machines_unless_it_is_said() {
    let site = a_site!();
    for (options, expected) in
        [(&["-Mfirst"][..], "first"), (&["-M", "first", "--hostname=second.example"], "second.example")]
    {
        let mut live = nspawn(&site, &[&["-x"], options].concat(), &["sleep"]).start();
        let handler = live.await_ready();
        let name =
            process::inside(handler, "uts", || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap());
        assert_eq!(name.trim(), expected);
        live.client.half_close();
        live.end().expect(0, "exited");
    }
}

/// A tree of machinectl's, taken away at the end.
struct Machine(PathBuf);

impl Drop for Machine {
    fn drop(&mut self) {
        let _may_be_gone = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_machine_is_found_by_its_name() {
    let site = a_site!();
    let name = site.tag().to_owned();
    let mark = format!("@{}", site.tag());
    let line = |site: &'_ Site| {
        site.handler(&["/bin/probe", &mark, "exit", "7"])
            .verb(&["nspawn", "--status-fd=9", "-qxM", &name])
            .talk(b"")
    };
    line(&site).is_usage_error("/var/lib/machines");
    std::fs::create_dir_all("/var/lib/machines").unwrap();
    let machine = Machine(PathBuf::from("/var/lib/machines").join(&name));
    symlink(site.template(), &machine.0).unwrap();
    line(&site).expect(7, "exited");
}

#[test]
fn without_a_tree_the_current_directory_is_it() {
    let site = a_site!();
    let mark = format!("@{}", site.tag());
    // The launcher starts in the directory of the site: what is there is no template, and is named.
    let ended =
        site.handler(&["/bin/probe", &mark, "echo"]).verb(&["nspawn", "--status-fd=9", "-qx"]).talk(b"");
    ended.expect(127, "not-found");
    assert!(ended.err.contains(site.directory().to_str().unwrap()), "{ended}");
}

#[test]
fn binds_tmpfs_and_limits_are_those_of_run() {
    let mut site = a_site!();
    let file = site.file("shown:here", "from the host\n");
    let bind = format!("--bind-ro={}:/srv/hello:rbind", file.to_str().unwrap().replace(':', "\\:"));
    let ended = tried(&site, &["-x", &bind], &["cat", "/srv/hello"]);
    assert_eq!(ended.value("content"), "from the host", "{ended}");
    let ended = tried(&site, &["-x", &bind], &["write", "/srv/hello"]);
    assert!(ended.text().contains("errno"), "{ended}");
    let ended =
        nspawn(&site, &["--read-only", "--tmpfs=/empty:size=4m,mode=1777"], &["fill", "/empty/x"]).talk(b"");
    ended.expect(0, "exited");
    let bytes: u64 = ended.value("fill").split(' ').next().unwrap().parse().unwrap();
    assert!((3 << 20..=4 << 20).contains(&bytes), "{ended}");
    let mut live =
        nspawn(&site, &["-x", "--rlimit=RLIMIT_NOFILE=17:18", "--rlimit=cpu=7"], &["sleep"]).start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", live.await_ready())).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!((limit("Max open files"), limit("Max cpu time")), ("17 18".to_owned(), "7 7".to_owned()));
    live.client.half_close();
    live.end().expect(0, "exited");
}

#[test]
fn the_hosts_time_zone_can_be_shown() {
    let mut site = a_site!();
    let Ok(zone) = std::fs::read("/etc/localtime") else {
        return common::skip("the host has no /etc/localtime");
    };
    site.add("etc/localtime", b"of the tree\n", 0o644);
    let seen = |option: &str| tried(&site, &["-x", option], &["cat", "/etc/localtime"]).value("content");
    assert_eq!(seen("--timezone=off"), "of the tree");
    let first = String::from_utf8_lossy(&zone[..4]).into_owned();
    assert!(seen("--timezone=bind").starts_with(&first));
    // As in a stock tree.
    let template = site.template();
    std::fs::create_dir_all(template.join("usr/share/zoneinfo/Etc")).unwrap();
    std::fs::rename(template.join("etc/localtime"), template.join("usr/share/zoneinfo/Etc/UTC")).unwrap();
    for link in ["/usr/share/zoneinfo/Etc/UTC", "../usr/share/zoneinfo/Etc/UTC"] {
        symlink(link, template.join("etc/localtime")).unwrap();
        site.settle();
        for kind in ["-x", "--read-only"] {
            let words = ["cat", "/etc/localtime"];
            let content = tried(&site, &[kind, "--timezone=bind"], &words).value("content");
            assert!(content.starts_with(&first), "{kind} {link}");
        }
        std::fs::remove_file(template.join("etc/localtime")).unwrap();
    }
    site.settle();
}

#[test]
fn the_program_has_a_uid_of_its_own_no_capability_and_no_way_back() {
    let site = a_site!();
    let mut live = nspawn(&site, &["-x", "--uid=root"], &["sleep"]).start();
    let status = process::status(live.await_ready());
    let uid: u32 = status["Uid"].split(' ').next().unwrap().parse().unwrap();
    assert!(uid > 65_535, "{uid}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status[set], "0000000000000000", "{set}");
    }
    assert_eq!(status["NoNewPrivs"], "1");
    live.client.half_close();
    live.end().expect(0, "exited");
}

#[test]
fn the_program_is_pid_2_and_its_end_is_the_status() {
    let site = a_site!();
    assert_eq!(nspawn(&site, &["-x"], &["see", "pid"]).talk(b"").value("pid"), "2");
    nspawn(&site, &["-x"], &["exit", "7"]).talk(b"").expect(7, "exited");
    nspawn(&site, &["-x"], &["signal", "15"]).talk(b"").expect(143, "signaled");
    assert_eq!(nspawn(&site, &["-x", "--init=no"], &["see", "pid"]).talk(b"").value("pid"), "1");
}

#[test]
fn sigterm_ends_the_sandbox_at_once_or_asks_the_program() {
    let site = a_site!();
    // The probe has no handler of its own for any of them: it dies of the one that comes.
    for (signal, status, outcome) in
        [("KILL", 143, "signaled"), ("SIGINT", 130, "signaled"), ("SIGRTMIN+3", 37 + 128, "signaled")]
    {
        let option = format!("--kill-signal={signal}");
        let mut live = nspawn(&site, &["-x", &option], &["sleep"]).start();
        live.await_ready();
        live.signal(libc::SIGTERM);
        live.end_killed().expect(status, outcome);
    }
    // One that does nothing to it is no end; a second SIGTERM is.
    let mut live = nspawn(&site, &["-x", "--kill-signal=SIGWINCH"], &["sleep"]).start();
    live.await_ready();
    live.signal(libc::SIGTERM);
    live.client.send(b"\n");
    assert_eq!(live.client.line(), "bye");
    live.end().expect(0, "exited");
    let mut live = nspawn(&site, &["-x", "--kill-signal=SIGWINCH"], &["sleep"]).start();
    live.await_ready();
    // Two that differ, for the kernel keeps one of a kind; the first counts.
    live.signal(libc::SIGINT);
    live.signal(libc::SIGTERM);
    live.end_killed().expect(130, "signaled");
}

#[test]
fn a_program_is_looked_up_inside_the_tree() {
    let site = a_site!();
    let template = site.template();
    let mark = format!("@{}", site.tag());
    let verb = ["nspawn", "--status-fd=9", "-qxD", template.to_str().unwrap()];
    site.handler(&["probe", &mark, "exit", "7"]).verb(&verb).talk(b"").expect(7, "exited");
    site.handler(&["/bin/nosuch", &mark]).verb(&verb).talk(b"").expect(127, "not-found");
    site.handler(&["/etc/os-release", &mark]).verb(&verb).talk(b"").expect(126, "not-executable");
}

#[test]
fn own_options_may_stand_among_nspawns() {
    let site = a_site!();
    let options =
        ["--wall-time", "200ms", "-x", "--memory=32M", "--tasks=2", "--profile", "interpreter", "--init=no"];
    nspawn(&site, &options, &["spin"]).talk(b"").expect(124, "wall");
    let denied = nspawn(&site, &["-x", "--profile=static", "--init=no"], &["try", "setsid"]).talk(b"");
    denied.expect(137, "denied");
}

#[test]
fn the_program_starts_where_it_is_told_to() {
    let mut site = a_site!();
    symlink("/srv", site.template().join("link")).unwrap();
    symlink("/proc/1/root", site.template().join("out")).unwrap();
    site.settle();
    for option in ["-x", "--read-only"] {
        let cwd = |path: &str| nspawn(&site, &[option, path], &["see", "cwd"]).talk(b"");
        assert_eq!(cwd("--chdir=/srv").value("cwd"), "/srv");
        assert_eq!(cwd("--chdir=/link/../tmp").value("cwd"), "/tmp");
        for missing in ["--chdir=/nosuch", "--chdir=/srv/hello", "--chdir=/out", "--chdir=/../../proc"] {
            let ended = cwd(missing);
            ended.expect(125, "refused");
            assert_eq!(ended.record["step"], "directory", "{missing}\n{ended}");
        }
    }
}

#[test]
fn the_oom_score_and_the_processors_are_those_that_are_said() {
    let site = a_site!();
    let allowed = |pid: u32| process::status(pid)["Cpus_allowed_list"].clone();
    let own = allowed(std::process::id());
    let first = own.split([',', '-']).next().unwrap().to_owned();
    let score =
        |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().to_owned();
    let cpus = format!("--cpu-affinity={first}");
    for (options, expected) in
        [(&[][..], ("500", &own)), (&["--oom-score-adjust=700", &cpus], ("700", &first))]
    {
        let mut live = nspawn(&site, &[&["-x"], options].concat(), &["sleep"]).start();
        let handler = live.await_ready();
        assert_eq!((score(handler).as_str(), &allowed(handler)), expected);
        live.client.half_close();
        live.end().expect(0, "exited");
    }
    // Of a processor that is not there nothing is left.
    let ended = nspawn(&site, &["-x", "--cpu-affinity=1023"], &["echo"]).talk(b"");
    ended.expect(125, "refused");
    assert_eq!(ended.record["step"], "cpu-affinity", "{ended}");
}

/// The empty directory and the empty file, which nobody may open, that systemd keeps in /run. Removed at the
/// end where the host has none.
struct Nodes(bool);

impl Nodes {
    const PLACE: &str = "/run/systemd/inaccessible";

    fn make() -> Nodes {
        use common::site::set_mode;
        let place = PathBuf::from(Nodes::PLACE);
        if place.exists() {
            return Nodes(false);
        }
        std::fs::create_dir_all(&place).unwrap();
        std::fs::create_dir(place.join("dir")).unwrap();
        std::fs::write(place.join("reg"), "").unwrap();
        set_mode(&place.join("dir"), 0);
        set_mode(&place.join("reg"), 0);
        Nodes(true)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        if self.0 {
            let _best_effort = std::fs::remove_dir_all(Nodes::PLACE);
        }
    }
}

#[test]
fn what_is_to_be_inaccessible_is_neither_read_nor_listed() {
    let site = a_site!();
    let _nodes = Nodes::make();
    for snapshot in ["-x", "--read-only"] {
        let options = [snapshot, "--inaccessible=/srv", "--inaccessible=/etc/os-release"];
        let listed = nspawn(&site, &options, &["see", "/srv"]).talk(b"");
        assert_eq!(listed.value("entry"), format!("errno {}", libc::EACCES), "{listed}");
        for path in ["/etc/os-release", "/srv/hello"] {
            let ended = tried(&site, &options, &["open", path]);
            assert!(ended.text().contains(&format!("errno {} ", libc::EACCES)), "{ended}");
        }
    }
}

#[test]
fn an_overlay_of_directories_is_seen_and_of_two_the_second_is_the_place_as_well() {
    let site = a_site!();
    let place = site.template().join("srv").display().to_string();
    // The tree's own /srv, below a directory that has none of its files.
    let three = format!("--overlay-ro={}:{place}:/empty", "/usr/share/misc");
    assert_eq!(tried(&site, &["-x", &three], &["cat", "/empty/hello"]).value("content"), "hello");
    let two = nspawn(&site, &["-x", "--overlay-ro=/usr/share/misc:/srv"], &["echo"]).talk(b"");
    assert!(two.err.contains("/usr/share/misc:/srv:/srv"), "{two}");
}

#[test]
fn what_the_user_owns_in_the_tree_is_the_programs_and_roots_stays_roots() {
    let mut site = a_site!();
    site.add("etc/passwd", b"root:x:0:0::/root:/bin/sh\nmoon:x:1234:1235::/:/bin/sh\n", 0o644);
    site.add("srv/own", b"of the user\n", 0o600);
    common::site::give_to(&site.template().join("srv/own"), 1234);
    site.settle();
    let closed =
        |ended: &Ended| assert!(ended.text().contains(&format!("errno {} ", libc::EACCES)), "{ended}");
    for user in ["--uid=moon", "-u1234", "--user=moon"] {
        assert_eq!(tried(&site, &["-x", user], &["cat", "/srv/own"]).value("content"), "of the user");
        assert!(tried(&site, &["-x", user], &["write", "/srv/own"]).text().contains("write ok"));
        for path in ["/etc/passwd", "/new", "/srv/hello", "/etc/secret"] {
            closed(&tried(&site, &["-x", user], &["write", path]));
        }
        assert!(tried(&site, &["-x", user], &["write", "/tmp/x"]).text().contains("write ok"));
    }
    let uid: u32 = nspawn(&site, &["-x", "-umoon"], &["see", "ids"]).talk(b"").value("uid").parse().unwrap();
    assert!(uid > 65_535, "{uid}");
    // Without it root's are the program's, and the user's are not; read-only nothing is.
    closed(&tried(&site, &["-x"], &["open", "/srv/own"]));
    closed(&tried(&site, &["--read-only", "--uid=moon"], &["open", "/srv/own"]));
    nspawn(&site, &["-x", "--uid=nosuch"], &["echo"]).talk(b"").is_usage_error("nosuch");
    let refused = site.probe(&["echo"]).options(&["--owner=7", "--snapshot=readonly"]).talk(b"");
    refused.is_usage_error("--owner needs --snapshot overlay");
}

#[test]
fn what_is_written_to_a_bind_stays_and_is_its_owners() {
    use std::os::unix::fs::MetadataExt;
    let mut site = a_site!();
    let kept = site.directory().join("kept");
    common::site::make_directory(&kept, 0o755);
    common::site::give_to(&kept, 1234);
    site.settle();
    let bind = format!("--bind={}:/srv:owneridmap", kept.display());
    // The harness would find what it leaves.
    let mut live = nspawn(&site, &["--read-only", &bind], &["try", "write", "/srv/new"]).start();
    assert!(live.client.line().contains("write ok"));
    live.wait();
    let found = std::fs::metadata(kept.join("new")).unwrap();
    assert_eq!((found.uid(), found.gid()), (1234, 1234));
}

#[test]
fn a_credential_is_read_for_the_program() {
    let mut site = a_site!();
    common::site::make_directory(&site.template().join("run"), 0o755);
    common::site::make_directory(&site.template().join("run/credentials"), 0o755);
    let secret = site.file("secret", "a key\n");
    common::site::set_mode(&secret, 0o600);
    site.settle();
    for option in
        [format!("--load-credential=key:{}", secret.display()), "--load-credential=key:secret".to_owned()]
    {
        let line = nspawn(&site, &["-x", &option], &["try", "cat", "/run/credentials/key"]);
        let ended = line.variable("CREDENTIALS_DIRECTORY", site.directory().to_str().unwrap()).talk(b"");
        assert_eq!(ended.value("content"), "a key", "{ended}");
    }
}

/// openat2(2) answers EAGAIN where a path goes upwards while anything is renamed or mounted on the host.
#[test]
fn a_path_that_goes_upwards_is_found_while_others_rename() {
    let site = a_site!();
    let place = PathBuf::from("/var/tmp").join(format!("{}-renamed", site.tag()));
    std::fs::create_dir(&place).unwrap();
    let (one, two) = (place.join("one"), place.join("two"));
    std::fs::write(&one, "").unwrap();
    let end = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ended = common::SetAtEnd(&end);
        scope.spawn(|| {
            while !end.load(std::sync::atomic::Ordering::Relaxed) {
                std::fs::rename(&one, &two).unwrap();
                std::fs::rename(&two, &one).unwrap();
                // Often enough to meet each try to open, not so often that none is left alone.
                std::thread::sleep(std::time::Duration::from_micros(20));
            }
        });
        let path = format!("--chdir={}/srv", "/srv/..".repeat(400));
        for _ in 0..8 {
            let ended = nspawn(&site, &["-q", "--read-only", &path], &["see", "cwd"]).talk(b"");
            assert_eq!(ended.value("cwd"), "/srv", "{ended}");
        }
    });
    std::fs::remove_dir_all(&place).unwrap();
}
