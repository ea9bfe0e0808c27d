//! What the world does not keep: timelines, releases, events, revisions, their clean-up, and tokens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test does not expect ends it"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use dugout_model::*;
use dugout_store::{Forgotten, JoinToken, Leadership, Store, StoreError, TokenHash};
use support::sample::Dice;
use support::{Database, commit, lead};

struct Stage {
    store: Store,
    leadership: Leadership,
    world: World,
    dice: Dice,
    source: SourceName,
    _database: Database,
}

impl Stage {
    async fn new() -> Stage {
        let database = Database::new().await;
        let store = database.migrated().await;
        let (world, leadership) = (store.load().await.unwrap(), lead(&store).await);
        let (mut dice, source) = (Dice::new(2), SourceName::new("main"));
        let row = Change::PutSource(Arc::new(dice.source(source.clone())));
        let mut stage = Stage { store, leadership, world, dice, source, _database: database };
        stage.commit(&[row]).await;
        stage
    }

    async fn commit(&mut self, changes: &[Change]) {
        commit(&mut self.leadership, &mut self.world, changes).await;
    }

    fn entry(&mut self, sha: &str, seconds: u64) -> TimelineEntry {
        let at = moment(seconds);
        let entry = self.dice.timeline_entry(self.source.clone(), CommitSha::new(sha));
        TimelineEntry { at, subject: "Pod demo/web".to_owned(), ..entry }
    }

    fn release(&mut self, id: u64, sha: &str, verdict: Verdict) -> Release {
        let mut release = self.dice.release(ReleaseId(id), self.source.clone());
        release.commit.sha = CommitSha::new(sha);
        release.verdict = verdict;
        release.started_at = moment(id);
        release
    }
}

fn moment(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_763_928_000_000_001) + Duration::from_secs(seconds)
}

#[tokio::test]
async fn a_timeline_is_in_order_of_time_and_a_limit_keeps_its_end() {
    let mut stage = Stage::new().await;
    let early = stage.entry("aa11", 1);
    let late = stage.entry("aa11", 3);
    let late_too = stage.entry("aa11", 3);
    let other = stage.entry("bb22", 2);
    let appended = [&late, &early, &other, &late_too];
    stage.commit(&appended.map(|entry| Change::AppendTimeline(Box::new(entry.clone())))).await;

    let (store, source) = (&stage.store, &stage.source);
    let all = store.timeline(source, Some("aa11"), 100).await.unwrap();
    assert_eq!(all, [early, late.clone(), late_too.clone()]);
    let end = store.timeline(source, Some("AA"), 2).await.unwrap();
    assert_eq!(end, [late.clone(), late_too.clone()]);

    // What befell the commit itself is never cut off.
    let noticed = TimelineEntry { subject: String::new(), ..stage.entry("aa11", 0) };
    stage.commit(&[Change::AppendTimeline(Box::new(noticed.clone()))]).await;
    let end = stage.store.timeline(&stage.source, Some("aa11"), 2).await.unwrap();
    assert_eq!(end, [noticed, late, late_too]);
    let store = &stage.store;
    let elsewhere = SourceName::new("elsewhere");
    assert_eq!(store.timeline(&elsewhere, Some("aa11"), 100).await.unwrap(), []);
}

#[tokio::test]
async fn without_a_commit_the_timeline_is_that_of_the_newest_release() {
    let mut stage = Stage::new().await;
    assert_eq!(stage.store.timeline(&stage.source, None, 100).await.unwrap(), []);
    let (old, new) = (stage.entry("aa11", 9), stage.entry("bb22", 1));
    let releases =
        [stage.release(1, "aa11", Verdict::Healthy), stage.release(2, "bb22", Verdict::Failed)];
    let mut changes: Vec<Change> =
        releases.into_iter().map(|row| Change::PutRelease(Arc::new(row))).collect();
    changes.extend([
        Change::AppendTimeline(Box::new(old)),
        Change::AppendTimeline(Box::new(new.clone())),
    ]);
    stage.commit(&changes).await;
    assert_eq!(stage.store.timeline(&stage.source, None, 100).await.unwrap(), [new]);
}

#[tokio::test]
async fn a_prefix_of_two_commits_is_said_to_be_ambiguous_and_one_of_none_finds_nothing() {
    let mut stage = Stage::new().await;
    let entries = [stage.entry("aa11", 1), stage.entry("aa11", 2), stage.entry("aaff", 3)];
    stage.commit(&entries.map(|entry| Change::AppendTimeline(Box::new(entry)))).await;
    let (store, source) = (&stage.store, &stage.source);
    match store.timeline(source, Some("aa"), 100).await {
        Err(StoreError::AmbiguousCommit { first, second, .. }) => {
            assert_eq!((first.as_str(), second.as_str()), ("aa11", "aaff"));
        }
        other => panic!("{other:?}"),
    }
    for none in ["ab", "aa112", "a'; drop table timeline", "%", "\0"] {
        assert_eq!(store.timeline(source, Some(none), 100).await.unwrap(), [], "{none:?}");
    }
}

#[tokio::test]
async fn releases_come_newest_first_also_those_that_the_world_forgot() {
    let mut stage = Stage::new().await;
    let releases = [
        stage.release(1, "aa11", Verdict::Healthy),
        stage.release(2, "bb22", Verdict::Failed),
        stage.release(3, "cc33", Verdict::Healthy),
        stage.release(4, "dd44", Verdict::Rolling),
    ];
    for release in &releases {
        stage.commit(&[Change::PutRelease(Arc::new(release.clone()))]).await;
    }
    assert_eq!(stage.store.load().await.unwrap(), stage.world);
    assert!(!stage.world.releases.contains_key(&ReleaseId(1)));

    let [one, two, three, four] = releases;
    let source = Some(&stage.source);
    let all = stage.store.releases(source, 100).await.unwrap();
    assert_eq!(all, [four.clone(), three.clone(), two, one]);
    assert_eq!(stage.store.releases(None, 2).await.unwrap(), [four, three]);
    let elsewhere = SourceName::new("elsewhere");
    assert_eq!(stage.store.releases(Some(&elsewhere), 100).await.unwrap(), []);
}

#[tokio::test]
async fn events_come_newest_last_by_namespace_or_all() {
    let mut stage = Stage::new().await;
    let namespaces = ["demo", "", "odd\0name", "demo"];
    let events = namespaces
        .map(|namespace| Event { namespace: NamespaceName::new(namespace), ..stage.dice.event() });
    stage.commit(&events.clone().map(|event| Change::AppendEvent(Box::new(event)))).await;
    let [first, second, third, fourth] = events;
    let store = &stage.store;
    let all = store.events(None, 3).await.unwrap();
    assert_eq!(all, [second.clone(), third.clone(), fourth.clone()]);
    let of = async |name| store.events(Some(&NamespaceName::new(name)), 100).await.unwrap();
    assert_eq!(of("demo").await, [first, fourth]);
    assert_eq!(of("").await, [second]);
    assert_eq!(of("odd\0name").await, [third]);
    assert_eq!(of("none").await, []);
}

#[tokio::test]
async fn a_revision_comes_back_equal_by_the_start_of_its_id() {
    let mut stage = Stage::new().await;
    for _ in 0..20 {
        let revision = stage.dice.revision(stage.source.clone());
        stage.commit(&[Change::PutRevision(Arc::new(revision.clone()))]).await;
        let start = &revision.commit.sha.as_str()[..20];
        let found = stage.store.revision(&stage.source, start).await.unwrap();
        assert_eq!(found, Some(revision));
    }
    assert_eq!(stage.store.revision(&stage.source, "zz").await.unwrap(), None);
    let error = stage.store.revision(&stage.source, "").await.unwrap_err();
    assert!(matches!(error, StoreError::AmbiguousCommit { .. }), "{error:?}");
}

#[tokio::test]
async fn old_history_goes_in_bounded_steps_and_the_world_stays() {
    let mut stage = Stage::new().await;
    let mut changes = Vec::new();
    // Release 1 is the newest healthy one and 2 is open: both stay, however old.
    for id in 1..=260 {
        let verdict = match id {
            1 => Verdict::Healthy,
            2 => Verdict::Held,
            _ => Verdict::Failed,
        };
        let sha = format!("{id:040x}");
        let mut revision = stage.dice.revision(stage.source.clone());
        revision.commit.sha = CommitSha::new(&sha);
        revision.hops.validated_at = moment(id);
        changes.push(Change::PutRevision(Arc::new(revision)));
        changes.push(Change::PutRelease(Arc::new(stage.release(id, &sha, verdict))));
        changes.push(Change::AppendTimeline(Box::new(stage.entry(&sha, id))));
        let event = Event { at: moment(id), ..stage.dice.event() };
        changes.push(Change::AppendEvent(Box::new(event)));
    }
    stage.commit(&changes).await;

    let first = stage.store.forget_old(moment(51), 10).await.unwrap();
    assert_eq!(first, Forgotten { events: 10, releases: 10, timeline: 10, revisions: 10 });
    let rest = stage.store.forget_old(moment(51), 1_000).await.unwrap();
    assert_eq!(rest, Forgotten { events: 40, releases: 38, timeline: 38, revisions: 38 });
    let nothing = stage.store.forget_old(moment(51), 1_000).await.unwrap();
    assert_eq!(nothing, Forgotten::default());
    // However late the moment, the newest 200 of the source stay.
    let late = stage.store.forget_old(moment(1_000), 1_000).await.unwrap();
    assert_eq!(late, Forgotten { events: 210, releases: 10, timeline: 10, revisions: 10 });
    assert_eq!(stage.store.releases(None, 1_000).await.unwrap().len(), 202);
    assert_eq!(stage.store.load().await.unwrap(), stage.world);
}

#[tokio::test]
async fn a_join_token_is_good_until_it_expires_or_is_revoked() {
    let stage = Stage::new().await;
    let store = &stage.store;
    let (hash, other) = (TokenHash([1; 32]), TokenHash([2; 32]));
    let lasting = JoinToken { name: "b".into(), created_at: moment(0), expires_at: None };
    let brief = JoinToken { name: "a".into(), created_at: moment(0), expires_at: Some(moment(10)) };
    store.create_join_token(&lasting, &hash).await.unwrap();
    store.create_join_token(&brief, &other).await.unwrap();
    assert_eq!(store.join_tokens().await.unwrap(), [brief.clone(), lasting.clone()]);

    let verify =
        async |hash, seconds| store.verify_join_token(hash, moment(seconds)).await.unwrap();
    assert_eq!(verify(&hash, 1_000_000).await, Some(lasting.clone()));
    assert_eq!(verify(&other, 9).await, Some(brief));
    assert_eq!(verify(&other, 10).await, None);
    assert_eq!(verify(&TokenHash([3; 32]), 0).await, None);

    assert!(store.revoke_join_token("b").await.unwrap());
    assert!(!store.revoke_join_token("b").await.unwrap());
    assert_eq!(verify(&hash, 0).await, None);
}

#[tokio::test]
async fn a_join_tokens_name_and_content_are_taken_once() {
    let stage = Stage::new().await;
    let store = &stage.store;
    let token =
        |name: &str| JoinToken { name: name.to_owned(), created_at: moment(0), expires_at: None };
    store.create_join_token(&token("a"), &TokenHash([1; 32])).await.unwrap();
    for (name, hash) in [("a", [2; 32]), ("b", [1; 32])] {
        let error = store.create_join_token(&token(name), &TokenHash(hash)).await.unwrap_err();
        assert!(matches!(error, StoreError::TokenExists { .. }), "{error:?}");
    }
}
