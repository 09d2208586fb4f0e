//! New processes take over one after the other under load: every connection is answered and leaves its record.

use super::ask;
use common::serve::{Serve, Serving};
use common::{SetAtEnd, a_site};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;
/// Each client begins one connection in so long: 500 a second together, or as many as the machine can.
const EVERY: Duration = Duration::from_millis(16);
const LONG: usize = 20;
const ROUNDS: usize = 10;

/// A connection that lasts through all.
struct Long(BufReader<TcpStream>);

impl Long {
    fn begin(address: SocketAddr) -> Long {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let mut long = Long(BufReader::new(stream));
        long.talk("begin\n");
        long
    }

    fn talk(&mut self, line: &str) {
        self.0.get_mut().write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        assert_eq!(answer, line);
    }
}

fn load(address: SocketAddr, done: &AtomicBool, answered: &AtomicUsize, client: usize) -> Result<(), String> {
    let mut next = Instant::now();
    while !done.load(Ordering::Relaxed) {
        ask(address, &format!("{client} {next:?}\n"))?;
        answered.fetch_add(1, Ordering::Relaxed);
        next += EVERY;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn succeed_under_load(serving: &mut Serving<'_>, answered: &AtomicUsize) -> Vec<Long> {
    let address = serving.address;
    let mut long: Vec<Long> = (0..LONG).map(|_| Long::begin(address)).collect();
    for round in 0..ROUNDS {
        let before = answered.load(Ordering::Relaxed);
        common::process::until(|| (answered.load(Ordering::Relaxed) > before + 50).then_some(()));
        serving.succeed(libc::SIGUSR2);
        for one in &mut long {
            one.talk(&format!("{round}\n"));
        }
    }
    long
}

#[test]
fn ten_successions_under_load_refuse_reset_and_lose_nothing() {
    let _alone = crate::alone();
    let site = a_site!();
    for park in ["entry", "before-exec", "none"] {
        let options = [
            "--park",
            park,
            "--warm",
            "4..32",
            "--max-per-source",
            "250",
            "--idle-time",
            "1h",
            "--wall-time",
            "1h",
        ];
        let mut serving = Serve::probe(&site, &["echo"]).options(&options).start();
        let (address, begun) = (serving.address, Instant::now());
        let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let lost: Vec<String> = std::thread::scope(|scope| {
            let (done, answered) = (&done, &answered);
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| scope.spawn(move || load(address, done, answered, client)))
                .collect();
            let _done = SetAtEnd(done);
            let long = succeed_under_load(&mut serving, answered);
            done.store(true, Ordering::Relaxed);
            drop(long);
            clients.into_iter().filter_map(|client| client.join().unwrap().err()).collect()
        });
        assert!(lost.is_empty(), "{park}: {lost:?}");
        let made = answered.load(Ordering::Relaxed);
        println!("{park}: {made} connections in {:?}, {LONG} through all of it", begun.elapsed());
        let seen = serving.records_until(made + LONG);
        assert_eq!(seen, made + LONG, "{park}: records");
        assert_eq!(serving.terminate().0, 0);
    }
}
