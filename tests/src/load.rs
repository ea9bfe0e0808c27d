//! Visitors of a service, to notice any request that gets no good answer.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::http;

/// Threads that visit a node port until told to stop: some with a new connection for each request,
/// some that keep theirs.
pub struct Visitors {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

/// What the visitors saw.
#[derive(Debug)]
pub struct Visits {
    pub served: u64,
    /// The first failures, in words.
    pub failures: Vec<String>,
}

/// How long a visitor rests between two requests, so that the machine is not saturated.
const REST: Duration = Duration::from_millis(2);

impl Visitors {
    pub fn start(port: u16) -> Self {
        let visitors = Self {
            stop: Arc::default(),
            served: Arc::default(),
            failures: Arc::default(),
            threads: Vec::new(),
        };
        let kinds = [
            (true, "/version"),
            (true, "/version"),
            (false, "/version"),
            (false, "/version"),
            // These have a request under way most of the time.
            (true, "/slow?seconds=1"),
            (false, "/slow?seconds=1"),
        ];
        let threads = kinds.map(|(keeps, path)| visitors.spawn(port, keeps, path));
        Self { threads: threads.into(), ..visitors }
    }

    fn spawn(&self, port: u16, keeps_connection: bool, path: &'static str) -> JoinHandle<()> {
        let (stop, served, failures) =
            (Arc::clone(&self.stop), Arc::clone(&self.served), Arc::clone(&self.failures));
        let client = http::client(keeps_connection);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let answer = client
                    .get(format!("http://127.0.0.1:{port}{path}"))
                    .send()
                    .and_then(http::Response::error_for_status)
                    .and_then(http::Response::bytes);
                match answer {
                    Ok(_) => {
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => note(&failures, format!("{error:?}")),
                }
                std::thread::sleep(REST);
            }
        })
    }

    /// How many requests were served so far.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub fn finish(self) -> Visits {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a visitor does not panic");
        }
        let failures = self.failures.lock().expect("a visitor does not panic").clone();
        Visits { served: self.served.load(Ordering::Relaxed), failures }
    }
}

fn note(failures: &Mutex<Vec<String>>, failure: String) {
    let mut failures = failures.lock().expect("a visitor does not panic");
    if failures.len() < 20 {
        failures.push(failure);
    }
}
