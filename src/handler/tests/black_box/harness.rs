//! A content tree of one test, and ways to ask the handler about it.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub(crate) const HANDLER: &str = env!("CARGO_BIN_EXE_gopher-handler");
pub(crate) const NOT_FOUND: &[u8] = b"3Not found\t\terror.host\t1\r\n.\r\n";

/// How long any test waits for anything before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

static TREES: AtomicU32 = AtomicU32::new(0);

/// A content root that is removed with the value. Beside it lies `outside`, which no request may reach.
#[derive(Debug)]
pub(crate) struct Tree {
    top: PathBuf,
}

impl Tree {
    pub(crate) fn new() -> Tree {
        let number = TREES.fetch_add(1, Ordering::Relaxed);
        let top =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("handler-{}-{number}", std::process::id()));
        fs::create_dir_all(top.join("root")).unwrap();
        fs::write(top.join("outside"), "outside the root\n").unwrap();
        Tree { top }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.top.join("root")
    }

    pub(crate) fn path(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.root().join(OsStr::from_bytes(name.as_ref()))
    }

    /// Writes a file that everybody may read, and the directories above it.
    pub(crate) fn file(&self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> &Tree {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        self
    }

    pub(crate) fn directory(&self, name: &str) -> &Tree {
        fs::create_dir_all(self.path(name)).unwrap();
        self
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) -> &Tree {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(crate) fn link(&self, name: &str, target: impl AsRef<Path>) -> &Tree {
        symlink(target, self.path(name)).unwrap();
        self
    }

    pub(crate) fn fifo(&self, name: &str) -> &Tree {
        assert!(Command::new("mkfifo").arg("-m644").arg(self.path(name)).status().unwrap().success());
        self
    }

    pub(crate) fn handler(&self) -> Command {
        let mut command = Command::new(HANDLER);
        command.arg("--root").arg(self.root()).env_clear();
        command
    }

    /// Sends a request through a pipe, then end of file.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        run(&mut self.handler(), request.as_ref())
    }

    /// Writes a configuration beside the root and gives the handler's command with it.
    pub(crate) fn configured(&self, config: &str) -> Command {
        let path = self.top.join("config");
        fs::write(&path, config.replace("TOP", self.top.to_str().unwrap())).unwrap();
        let mut command = self.handler();
        command.arg("--config").arg(path);
        command
    }

    /// The lines of a menu, asked for with a configuration.
    pub(crate) fn menu_with(&self, config: &str, request: &str) -> Vec<String> {
        menu_lines(&run(&mut self.configured(config), format!("{request}\r\n").as_bytes()).bytes)
    }

    /// A directory beside the root, for trees that are not below it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.top.join(name)
    }

    /// Writes a file beside the root.
    pub(crate) fn file_beside(&self, name: &str, content: impl AsRef<[u8]>) -> &Tree {
        let path = self.top.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        self
    }

    /// The lines of a menu, which must be a whole one: every line of four fields, the last a dot.
    pub(crate) fn menu(&self, selector: &str) -> Vec<String> {
        menu_lines(&self.ask(format!("{selector}\r\n")).bytes)
    }

    /// The answer to a request for a file with a menu at the root.
    pub(crate) fn page(map: impl AsRef<[u8]>) -> Vec<String> {
        let tree = Tree::new();
        tree.file("gophermap", map);
        tree.menu("/")
    }

    /// Connects to the handler by TCP on `address`, as an inetd would, or as one that forgot to make the
    /// socket block again.
    pub(crate) fn connect(&self, address: &str, nonblocking: bool) -> std::io::Result<Conversation> {
        Tree::connect_to(&mut self.handler(), address, nonblocking)
    }

    pub(crate) fn connect_to(
        handler: &mut Command,
        address: &str,
        nonblocking: bool,
    ) -> std::io::Result<Conversation> {
        let listener = TcpListener::bind((address, 0))?;
        let port = listener.local_addr()?.port();
        let target = if address == "::" { "127.0.0.1" } else { address };
        let client = TcpStream::connect((target, port))?;
        let server = listener.accept()?.0;
        server.set_nonblocking(nonblocking)?;
        client.set_read_timeout(Some(PATIENCE))?;
        let child = spawn(handler, server.try_clone()?.into(), server.into());
        Ok(Conversation { client, child, port })
    }

    pub(crate) fn conversation(&self) -> Conversation {
        self.connect("127.0.0.1", false).unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.top).unwrap();
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) log: String,
    pub(crate) status: Option<i32>,
}

/// A client's end of a TCP connection to a running handler.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) client: TcpStream,
    pub(crate) child: Child,
    pub(crate) port: u16,
}

impl Conversation {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Conversation {
        self.client.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Reads to the end of the answer. A reset in the place of the end fails the test.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.client.read_to_end(&mut bytes).expect("a clean end of the answer");
        bytes
    }

    /// Closes the client's end and waits for the handler, telling how long that took.
    pub(crate) fn close(mut self) -> (Answer, Duration) {
        drop(self.client);
        let closed = Instant::now();
        let status = wait(&mut self.child);
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (Answer { bytes: Vec::new(), log, status }, closed.elapsed())
    }
}

pub(crate) fn spawn(command: &mut Command, input: OwnedFd, output: OwnedFd) -> Child {
    command.stdin(input).stdout(output).stderr(Stdio::piped()).spawn().unwrap()
}

pub(crate) fn run(command: &mut Command, input: &[u8]) -> Answer {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A handler that has seen enough does not read on: the pipe then breaks, which is fine.
    child.stdin.take().unwrap().write_all(input).unwrap_or_default();
    let pid = child.id();
    let (done, output) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = output.recv_timeout(PATIENCE) else {
        Command::new("kill").arg(pid.to_string()).status().unwrap();
        panic!("the handler does not end");
    };
    let output = output.unwrap();
    Answer {
        bytes: output.stdout,
        log: String::from_utf8(output.stderr).expect("a log of ASCII"),
        status: output.status.code(),
    }
}

/// Waits for the end of a process, and fails rather than hang.
pub(crate) fn wait(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < deadline, "the handler does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn menu_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let body = text.strip_suffix(".\r\n").unwrap_or_else(|| panic!("a menu that ends with a dot: {text:?}"));
    let lines: Vec<String> = body.split_terminator("\r\n").map(str::to_owned).collect();
    for line in &lines {
        assert_eq!(line.split('\t').count(), 4, "four fields: {line:?}");
        assert!(!line.contains(['\r', '\n', '\x1b', '\0']), "no control byte: {line:?}");
    }
    lines
}

/// The selectors of a menu's links to the handler itself, with their types and names.
pub(crate) fn links(lines: &[String]) -> Vec<(char, String, String)> {
    let fields = lines.iter().map(|line| line.split('\t').collect::<Vec<_>>());
    fields
        .filter(|fields| fields[2] == "localhost")
        .map(|fields| (fields[0].chars().next().unwrap(), fields[0][1..].to_owned(), fields[1].to_owned()))
        .collect()
}

/// The texts of a menu's info lines.
pub(crate) fn infos(lines: &[String]) -> Vec<String> {
    let infos = lines.iter().filter_map(|line| line.strip_prefix('i'));
    infos.map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

/// Bytes without pattern, so that a lost or repeated block shows.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
