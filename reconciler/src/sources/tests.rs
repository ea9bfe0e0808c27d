//! Passes over a repository on this machine, and an engine that takes everything but revisions.

use std::path::Path;
use std::sync::Mutex;

use dugout_model::{ClusterId, Drift, OnFailure, Turn};
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

use super::*;
use crate::clock::SystemClock;
use crate::engine::Delivery;

/// What the engine was told of the source alone.
type Said = Arc<Mutex<Vec<SourceCondition>>>;

/// The loop of a new repository in `dir`, followed at `path`.
fn source_loop(dir: &Path, path: &str, said: Said) -> SourceLoop {
    let repository = dir.join("repository");
    let file: (&Path, &[u8]) = (Path::new("app/empty.yaml"), b"");
    dugout_gitsync::create_repository(&repository, "main", &[file], "First").unwrap();
    let url = repository.display().to_string();
    let declaration = SourceDeclaration {
        name: SourceName::new("default"),
        url,
        branch: "main".to_owned(),
        path: path.to_owned(),
        poll_interval: Duration::from_secs(60),
        on_failure: OnFailure::default(),
        drift: Drift::default(),
    };
    let config = SourceConfig {
        location: Location::parse(&declaration.url).unwrap(),
        declaration,
        credentials: Credentials::default(),
        policy: Policy::default(),
    };
    SourceLoop {
        looked: watch::channel(false).0,
        mirror: Arc::new(SharedMirror::new(config, dir.join("mirror"))),
        doorbell: Arc::new(Doorbell::new()),
        engine: engine(said),
        publisher: Arc::new(Publisher::new(ClusterId(uuid::Uuid::from_u128(1)))),
        clock: Arc::new(SystemClock::default()),
        metrics: SourceMetrics::register(&mut Registry::default()),
    }
}

/// An engine that makes no plan of any commit, and notes what it is told of the source.
fn engine(said: Said) -> EngineHandle {
    let (sender, mut inbox) = mpsc::channel::<Delivery>(1);
    let (leading, leading_now) = watch::channel(Leading::Here);
    tokio::spawn(async move {
        while let Some(Delivery { facts, done }) = inbox.recv().await {
            let refused = facts.iter().any(|fact| matches!(fact, Fact::Revision(_)));
            if let [Fact::SourceSeen { condition, .. }] = &facts[..] {
                said.lock().unwrap().push(condition.clone());
            }
            if let Some(done) = done.filter(|_| !refused) {
                done.send(Turn(1)).unwrap();
            }
        }
        drop(leading);
    });
    EngineHandle::new(sender, leading_now)
}

/// What some passes in a row come to, and how many failures are counted after each; and what was said.
async fn passes(path: &str) -> (Vec<(String, u32)>, Vec<SourceCondition>) {
    let dir = tempfile::tempdir().unwrap();
    let said = Said::default();
    let source_loop = source_loop(dir.path(), path, Arc::clone(&said));
    let mut memory = Memory::default();
    let mut ended = Vec::new();
    for _ in 0..3 {
        let ring = Ring { noticed_by: NoticedBy::Poll, at: source_loop.clock.now() };
        let passed = source_loop.pass(&mut memory, ring).await;
        memory.count(&passed);
        ended.push((format!("{passed:?}"), memory.failures));
    }
    let said = said.lock().unwrap().clone();
    (ended, said)
}

#[tokio::test]
async fn failures_after_a_good_look_add_up() {
    for (path, end) in [("nowhere", "Ok(Unusable)"), ("app", "Err(NotCommitted(Refused))")] {
        let expected = [1, 2, 3].map(|failures| (end.to_owned(), failures));
        assert_eq!(passes(path).await.0, expected, "{path}");
    }
}

#[tokio::test]
async fn a_commit_of_which_no_plan_is_made_is_said_once() {
    let (_, said) = passes("app").await;
    assert!(matches!(&said[..], [SourceCondition::NotPlanned { .. }]), "{said:?}");
}
