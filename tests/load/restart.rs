//! Restarts and kills under load: the service goes on or ends clean, and no answer is wrong.

use super::ask;
use common::serve::Serve;
use common::{SetAtEnd, a_site};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn a_restart_under_load_drops_no_connection_that_the_listening_socket_queues() {
    let _alone = crate::alone();
    let site = a_site!();
    let kept = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = kept.local_addr().unwrap();
    for park in ["entry", "before-exec", "none"] {
        let options = ["--park", park, "--warm", "2..8", "--max-per-source", "100"];
        let start = || Serve::probe(&site, &["echo"]).options(&options).on(&kept).start();
        let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let ask_on = |client: usize| {
                let mut n = 0;
                while !done.load(Ordering::Relaxed) {
                    n += 1;
                    ask(address, &format!("{client} {n}\n"))?;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, String>(())
            };
            let clients: Vec<_> = (0..8).map(|client| scope.spawn(move || ask_on(client))).collect();
            let _done = SetAtEnd(&done);
            let mut logs = Vec::new();
            for _ in 0..5 {
                let serving = start();
                // Before it says so, a SIGTERM ends it as it ends any process.
                serving.await_log(&["listening"]);
                let before = answered.load(Ordering::Relaxed);
                common::process::until(|| (answered.load(Ordering::Relaxed) > before + 10).then_some(()));
                std::thread::sleep(Duration::from_millis(100));
                serving.signal(libc::SIGTERM);
                let (status, log) = serving.end();
                assert_eq!(status, 0, "{log}");
                logs.push(log);
            }
            let last = start();
            done.store(true, Ordering::Relaxed);
            for client in clients {
                if let Err(wrong) = client.join().unwrap() {
                    panic!("{park}: {wrong}\n{}", logs.join("\n"));
                }
            }
            assert_eq!(last.terminate().0, 0);
        });
        assert!(answered.load(Ordering::Relaxed) > 50, "{park}: {answered:?}");
    }
}
