//! The peer's side of a connection, with a deadline on everything.

use super::{PATIENCE, sys};
use nix::sys::socket::{setsockopt, sockopt};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

#[derive(Debug)]
pub enum Client {
    Tcp(TcpStream),
    Unix(UnixStream),
    Pipes { writer: Option<File>, reader: File },
}

impl Client {
    /// A TCP connection over the loopback: the client's end, and what a listener would hand to the launcher.
    pub fn tcp() -> (Client, OwnedFd) {
        Client::tcp_at("127.0.0.1:0")
    }

    /// An IPv4 client of a dual-stack listener, which is `::ffff:127.0.0.1` to the kernel.
    pub fn mapped() -> (Client, OwnedFd) {
        Client::tcp_at("[::]:0")
    }

    fn tcp_at(address: &str) -> (Client, OwnedFd) {
        let listener = TcpListener::bind(address).expect("a free port");
        let port = listener.local_addr().expect("the port it got").port();
        let client = TcpStream::connect(("127.0.0.1", port)).expect("connect to ourselves");
        let (accepted, _) = listener.accept().expect("accept from ourselves");
        // As some acceptors leave it; a handler must not find it so.
        accepted.set_nonblocking(true).expect("set O_NONBLOCK");
        (Client::Tcp(client), accepted.into())
    }

    pub fn unix() -> (Client, OwnedFd) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        (Client::Unix(ours), theirs.into())
    }

    /// Pipes for fd 0 and 1.
    pub fn pipes() -> (Client, OwnedFd, OwnedFd) {
        let (stdin, writer) = sys::pipe().expect("a pipe");
        let (reader, stdout) = sys::pipe().expect("a pipe");
        (Client::Pipes { writer: Some(writer.into()), reader: reader.into() }, stdin, stdout)
    }

    /// Sends, or finds that the other side has already gone, which some tests want.
    pub fn send(&mut self, bytes: &[u8]) {
        let sent = match self {
            Client::Tcp(stream) => stream.write_all(bytes),
            Client::Unix(stream) => stream.write_all(bytes),
            Client::Pipes { writer, .. } => writer.as_mut().expect("not closed yet").write_all(bytes),
        };
        if let Err(error) = sent {
            let gone = matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
            assert!(gone, "sending failed: {error}");
        }
    }

    /// Says that nothing more will be sent, and stays to read.
    pub fn half_close(&mut self) {
        let closed = match self {
            Client::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Client::Unix(stream) => stream.shutdown(Shutdown::Write),
            Client::Pipes { writer, .. } => {
                *writer = None;
                Ok(())
            }
        };
        // The handler may have gone before us.
        assert!(closed.is_ok() || closed.is_err_and(|e| e.kind() == ErrorKind::NotConnected));
    }

    /// Ends it by a reset (socket(7), SO_LINGER); says whose it was.
    pub fn reset(self) -> SocketAddr {
        let Client::Tcp(stream) = self else { panic!("only TCP is reset") };
        let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&stream, sockopt::Linger, &at_once).expect("a socket's option");
        stream.local_addr().expect("its own address")
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Client::Tcp(stream) => stream.as_fd(),
            Client::Unix(stream) => stream.as_fd(),
            Client::Pipes { reader, .. } => reader.as_fd(),
        }
    }

    /// Some bytes, none at the end. A connection cut by the kernel counts as ended: the tests look at what
    /// came.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        assert!(sys::readable(self.fd(), PATIENCE), "nothing came and nothing closed for {PATIENCE:?}");
        let answer = match self {
            Client::Tcp(stream) => stream.read(buffer),
            Client::Unix(stream) => stream.read(buffer),
            Client::Pipes { reader, .. } => reader.read(buffer),
        };
        match answer {
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("reading failed: {error}"),
        }
    }

    /// One line without its end; empty at the end of the connection.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.read(&mut byte) == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8_lossy(&line).into_owned()
    }

    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 65536];
        loop {
            match self.read(&mut buffer) {
                0 => return all,
                n => all.extend_from_slice(&buffer[..n]),
            }
        }
    }

    /// The client's own address, as the handler should be told.
    pub fn address(&self) -> (String, String) {
        match self {
            Client::Tcp(stream) => {
                let address = stream.local_addr().expect("a connected socket has an address");
                (address.ip().to_string(), address.port().to_string())
            }
            Client::Unix(_) | Client::Pipes { .. } => panic!("only TCP has addresses"),
        }
    }
}
