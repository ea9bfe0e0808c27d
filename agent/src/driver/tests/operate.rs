//! What people on the node ask for.

use dugout_model::Pause;
use tokio::sync::oneshot;

use super::*;
use crate::break_glass::{Answer as Answered, Call, EngineState, Order, Request, Target};

async fn ask(rig: &Rig, request: Request) -> Answered {
    let (answer, answered) = oneshot::channel();
    rig.people.send(Operation { request, answer }).await.unwrap();
    answered.await.unwrap()
}

fn web_1() -> Target {
    Target { namespace: Some("demo".into()), pod: "web-1".into() }
}

/// An agent with `web-1`, which runs.
async fn running_web() -> Rig {
    let engine = Engine {
        containers: Mutex::new(vec![(owner().cluster, container(1, 0, running(1)))]),
        ..Engine::default()
    };
    let mut rig = Rig::start(engine);
    rig.accept(assignment(1, vec![pod(1, template("web"))])).await;
    rig.until("it runs", |report| report.pods.len() == 1 && report.engine_answers).await;
    rig
}

#[tokio::test]
async fn a_pause_is_on_disk_reported_and_taken_back() {
    let mut rig = running_web().await;
    let Answered::Pods(pods) = ask(&rig, Request::List).await else { panic!("no list") };
    assert_eq!(
        (pods[0].name.as_str(), pods[0].order, pods[0].running()),
        ("web-1", Some(Order::Run), 1)
    );

    let unknown = Target { namespace: None, pod: "other".into() };
    assert!(matches!(ask(&rig, Request::Pause(unknown)).await, Answered::Refused(_)));

    assert!(matches!(ask(&rig, Request::Pause(web_1())).await, Answered::Done(_)));
    let on_disk = PausedPods::open(rig._folder.path()).unwrap();
    assert_eq!(on_disk.get(uid(1)), Some(Pause::LeftAlone));
    let paused = |pause| move |report: &NodeReport| report.pods[&uid(1)].pause == pause;
    rig.until("it is told", paused(Some(Pause::LeftAlone))).await;
    // A pod that leaves is left alone as well; when it is resumed it goes.
    rig.accept(assignment(2, vec![])).await;
    rig.until("it is left over", |report| report.acknowledged.0 == 2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(rig.engine.stops.lock().unwrap().is_empty());

    assert!(matches!(ask(&rig, Request::Resume(web_1())).await, Answered::Done(_)));
    until("it is stopped", || *rig.engine.stops.lock().unwrap() == ["id-1-0"]).await;
    assert_eq!(PausedPods::open(rig._folder.path()).unwrap().get(uid(1)), None);
}

#[tokio::test]
async fn a_pod_is_stopped_at_once_and_stays_assigned() {
    let mut rig = running_web().await;
    let Answered::Done(line) = ask(&rig, Request::Stop(web_1())).await else { panic!("refused") };
    assert_eq!(line.pause, Some(dugout_wire::Pause::Stopped));
    until("it is stopped", || *rig.engine.stops.lock().unwrap() == ["id-1-0"]).await;
    rig.until("told", |report| report.pods[&uid(1)].pause == Some(Pause::Stopped)).await;
}

#[tokio::test]
async fn before_the_containers_are_listed_nobody_is_told_that_none_runs() {
    let cluster = owner().cluster;
    let engine = Engine {
        containers: Mutex::new(vec![(cluster, container(1, 0, running(1)))]),
        held_lists: [(cluster, Semaphore::new(0))].into(),
        ..Engine::default()
    };
    let rig = Rig::start(engine);
    rig.accept(assignment(1, vec![pod(1, template("web"))])).await;
    // The assignment comes first, and then people.
    let line = loop {
        match ask(&rig, Request::Stop(web_1())).await {
            Answered::Done(line) => break line,
            Answered::Refused(why) => assert!(why.contains("not been listed yet"), "{why}"),
            Answered::Pods(_) => panic!("no answer to that"),
        }
    };
    assert_eq!((line.engine, line.running()), (EngineState::NotListed, 0));
    assert!(!line.is_surely_stopped());
    rig.engine.held_lists[&cluster].add_permits(1);
    until("it is stopped", || *rig.engine.stops.lock().unwrap() == ["id-1-0"]).await;
    let Answered::Pods(pods) = ask(&rig, Request::List).await else { panic!("no list") };
    assert_eq!(pods[0].engine, EngineState::Answers);
}

#[tokio::test]
async fn what_the_engine_was_asked_for_before_a_pause_is_told() {
    let engine = Engine {
        containers: Mutex::new(vec![(owner().cluster, container(1, 0, running(1)))]),
        ..Engine::default()
    };
    let mut rig = Rig::start(engine);
    rig.accept(assignment(1, vec![pod(1, template("web"))])).await;
    rig.until("it runs", |report| report.pods.len() == 1 && report.engine_answers).await;
    ask(&rig, Request::Stop(web_1())).await;
    until("it is stopped", || *rig.engine.stops.lock().unwrap() == ["id-1-0"]).await;
    // The engine takes its time.
    let Answered::Done(line) = ask(&rig, Request::Pause(web_1())).await else { panic!("refused") };
    assert_eq!(line.in_flight.as_ref().map(|one| one.call), Some(Call::Stop));
    assert!(!line.is_surely_stopped());
}
