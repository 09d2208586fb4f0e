//! Runs cases in parallel; each worker has its own site.

use common::{Site, process};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

/// Tries every case; the complaints, in no order. A case that panics complains too, and what it left is
/// ended.
pub(crate) fn each<T: Sync + std::fmt::Debug>(
    cases: &[T],
    prepare: impl Fn(&mut Site) + Sync,
    attempt: impl Fn(&Site, &T) -> Result<(), String> + Sync,
) -> Vec<String> {
    let complaints = Mutex::new(Vec::new());
    let next = Mutex::new(cases.iter());
    let work = || {
        // A place is made once a worker: a mount namespace and a template cost more than a launch.
        let mut site = Site::new().expect("the caller has looked for root");
        prepare(&mut site);
        loop {
            let Some(case) = next.lock().expect("no worker panics").next() else { return };
            let complaint = match catch_unwind(AssertUnwindSafe(|| attempt(&site, case))) {
                Ok(Ok(())) => continue,
                Ok(Err(complaint)) => complaint,
                Err(payload) => {
                    process::tagged(site.tag()).into_iter().for_each(process::kill);
                    format!("{case:?}: {}", message(payload.as_ref()))
                }
            };
            complaints.lock().expect("no worker panics").push(complaint);
        }
    };
    thread::scope(|scope| {
        let count = thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..count {
            scope.spawn(work);
        }
    });
    complaints.into_inner().expect("no worker panics")
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "panicked".into())
}

/// Fails with every complaint.
#[track_caller]
pub(crate) fn none(mut complaints: Vec<String>) {
    complaints.sort();
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}
