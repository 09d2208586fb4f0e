//! Runtimes of the host, each under its profile of the package, which is found by its name.

use common::site::make_directory;
use common::{Ended, Site, a_site, need};
use std::path::{Path, PathBuf};

/// A site whose template holds a program; what is to be bound where it has its modules.
struct Runtime {
    site: Site,
    program: PathBuf,
    binds: Vec<String>,
}

impl Runtime {
    fn new(mut site: Site, program: &Path, modules: &[PathBuf]) -> Runtime {
        let program = program.canonicalize().unwrap();
        site.add_dynamic(&program);
        // Perl reads the text of -e from /dev/null.
        make_directory(&site.template().join("dev"), 0o755);
        for directory in modules {
            let inside = site.template().join(directory.strip_prefix("/").unwrap());
            if !inside.exists() {
                std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
                make_directory(&inside, 0o755);
            }
        }
        site.settle();
        let binds = modules.iter().map(|directory| format!("--bind-ro={}", directory.display())).collect();
        Runtime { site, program, binds }
    }

    /// Runs a program's text under a profile.
    fn run(&self, profile: &str, words: &[&str]) -> Ended {
        let mark = format!("@{}", self.site.tag());
        let words: Vec<&str> = [self.program.to_str().unwrap()]
            .into_iter()
            .chain(words.iter().copied())
            .chain([mark.as_str()])
            .collect();
        let binds: Vec<&str> = self.binds.iter().map(String::as_str).collect();
        let options = ["--profile", profile, "--memory", "512M", "--rlimit", "nofile=60"];
        self.site.handler(&words).options(&options).options(&binds).talk(b"hello\n")
    }

    #[track_caller]
    fn says(&self, profile: &str, words: &[&str], expected: &str) {
        let ended = self.run(profile, words);
        ended.expect(0, "exited");
        assert_eq!(ended.text(), expected, "{ended}");
    }
}

/// Where Debian's Python and Perl have their modules, as they say it themselves.
fn modules(program: &Path, words: &[&str]) -> Vec<PathBuf> {
    let output = std::process::Command::new(program).args(words).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(PathBuf::from).filter(|path| path.is_absolute() && path.is_dir()).collect()
}

fn perl(site: Site) -> Runtime {
    let perl = Path::new("/usr/bin/perl");
    let modules = modules(perl, &["-e", r#"print "$_\n" for grep { m{^/usr/(lib|share)} } @INC"#]);
    Runtime::new(site, perl, &modules)
}

#[test]
fn python_has_threads_and_knows_its_connection() {
    let site = a_site!();
    let _any = need!("python3");
    let python = Path::new("/usr/bin/python3");
    let modules = modules(python, &["-Ic", "import os; print(os.path.dirname(os.__file__))"]);
    let runtime = Runtime::new(site, python, &modules);
    let script = "import socket, threading, os\n\
        s = socket.fromfd(0, socket.AF_INET, socket.SOCK_STREAM); s.settimeout(5)\n\
        line = s.recv(100); said = []\n\
        threads = [threading.Thread(target=said.append, args=(n,)) for n in range(3)]\n\
        [t.start() for t in threads]; [t.join() for t in threads]\n\
        open('/tmp/x', 'w').write('x'); os.rename('/tmp/x', '/tmp/y'); os.remove('/tmp/y')\n\
        s.sendall(line + repr(sorted(said)).encode())\n";
    runtime.says("python", &["-Ic", script], "hello\n[0, 1, 2]");
    let forks = "import os\ntry: os.fork()\nexcept OSError as e: os.write(1, repr(e.errno).encode())\n";
    runtime.says("python", &["-Ic", forks], &libc::EPERM.to_string());
}

#[test]
fn node_reads_its_connection_and_uses_its_threads() {
    let site = a_site!();
    let runtime = Runtime::new(site, &need!("node"), &[]);
    let script = "process.stdin.once('data', line => require('crypto').scrypt('a', 'b', 16, (error, key) => {\
        require('fs').writeFileSync('/tmp/x', 'x');\
        process.stdout.write(line + key.length, () => process.exit(0)); }))";
    runtime.says("node", &["-e", script], "hello\n16");
}

#[test]
fn perl_locks_files_and_can_neither_fork_nor_execute() {
    let runtime = perl(a_site!());
    let script =
        "$line = <STDIN>; open $f, '+>', '/tmp/x' or die; print $line, flock($f, 2) ? 'locked' : 'open';";
    // Its modules are the host's, shown read-only: others could wait for a lock there.
    runtime.says("perl", &["-e", script], "hello\nopen");
    let bare = Runtime { binds: Vec::new(), ..runtime };
    bare.says("perl", &["-e", script], "hello\nlocked");
    let script = "print defined(fork) ? 'forked' : 'alone', ' '; exec '/bin/probe', 'env'; print 'the same';";
    bare.says("perl", &["-e", script], "alone the same");
}

#[test]
fn sqlite_keeps_a_database_on_its_own_tmp() {
    let site = a_site!();
    let runtime = Runtime::new(site, &need!("sqlite3"), &[]);
    let script = "pragma journal_mode=wal; create table t(a); insert into t values(41); update t set a=a+1; select a from t;";
    let mark = format!("@{}", runtime.site.tag());
    let words = [runtime.program.to_str().unwrap(), "/tmp/db", script, &format!(".print {mark}")];
    let launch = runtime.site.handler(&words).options(&["--profile", "sqlite"]);
    let ended = launch.talk(b"");
    ended.expect(0, "exited");
    assert_eq!(ended.text(), format!("wal\n42\n{mark}\n"), "{ended}");
}
