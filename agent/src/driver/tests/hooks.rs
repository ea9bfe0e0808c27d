//! Hooks: how long they last, what they hold up, and what counts as run.

use dugout_model::{ContainerLifecycle, LifecycleHandler, PodOrder};

use super::*;
use crate::driver::Event;
use crate::driver::hands::{Acted, STOPS_AT_ONCE};
use crate::driver::hooks::{HookKind, HookRun};
use crate::hooks::HookError;
use crate::probe::ProbeTarget;
use crate::testing::{at, exited};

fn command() -> LifecycleHandler {
    LifecycleHandler::Exec { command: vec!["hook".to_owned()] }
}

fn before_stop(number: u128) -> HookRun {
    let container = container(number, 0, running(1));
    let template = template("web");
    let target = ProbeTarget::new(&container.id, at(1), None, &template.containers[0]);
    let (container, kind) = ("web".to_owned(), HookKind::PreStop);
    HookRun { pod: uid(number), container, kind, target, handler: command() }
}

fn stop(numbers: &[u128], hooks: Vec<HookRun>) -> Job {
    let ids = numbers.iter().map(|number| container(*number, 0, running(1)).id).collect();
    Job::Stop { ids, hooks, grace: Duration::from_secs(600) }
}

#[tokio::test]
async fn a_hook_after_the_start_ends_with_its_container() {
    let (happens, events) = mpsc::unbounded_channel();
    let one = container(1, 0, ObservedState::Created);
    let mut wanted = template("web");
    let lifecycle = ContainerLifecycle { post_start: Some(command()), ..Default::default() };
    wanted.containers[0].lifecycle = Some(Box::new(lifecycle));
    let engine = Engine {
        containers: Mutex::new(vec![(owner().cluster, one.clone())]),
        events: Mutex::new(Some(events)),
        ..Engine::default()
    };
    let rig = Rig::start(engine);
    rig.accept(assignment(1, vec![pod(1, wanted)])).await;
    let runs = || rig.engine.running_execs.load(Ordering::Relaxed);
    until("its hook runs", || runs() == 1).await;
    rig.engine.containers.lock().unwrap()[0].1.state = exited(1, 2);
    happens.send(EngineEvent { container: one.id, kind: EngineEventKind::Died }).unwrap();
    until("its hook has ended", || runs() == 0).await;
}

#[tokio::test]
async fn a_stop_that_fails_cuts_off_no_hook_of_the_others() {
    let cannot_stop = Some(container(1, 0, running(1)).id);
    let exec_takes = Some(Duration::from_millis(100));
    let engine = Arc::new(Engine { cannot_stop, exec_takes, ..Engine::default() });
    let (hands, mut inbox, _folder) = hands_of(&engine);
    hands.act(uid(1), owner(), stop(&[1, 2], vec![before_stop(2)]), None, None);
    let mut told = Vec::new();
    while told.len() < 2 {
        let answer = tokio::time::timeout(PATIENCE, inbox.recv()).await.unwrap().unwrap();
        told.push(match answer.event {
            Event::HookEnded { result, .. } => format!("hook {result:?}"),
            Event::Acted { acted: Acted::Failed(error), .. } => error.to_string(),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(told, ["hook Ok(())", "stop: no"]);
    let both = [1, 2].map(|number| container(number, 0, running(1)).id);
    assert_eq!(*engine.stops.lock().unwrap(), both);
}

#[tokio::test]
async fn hooks_hold_up_no_stop() {
    let engine = Arc::new(Engine::default());
    let (hands, _inbox, _folder) = hands_of(&engine);
    let all = STOPS_AT_ONCE as u128;
    for number in 0..all {
        let job = stop(&[number], vec![before_stop(number)]);
        hands.act(uid(number), owner(), job, None, None);
    }
    until("all hooks", || engine.running_execs.load(Ordering::Relaxed) == all as usize).await;
    hands.act(uid(all), owner(), stop(&[all], vec![]), None, None);
    until("the stop", || !engine.stops.lock().unwrap().is_empty()).await;
}

#[tokio::test]
async fn a_hook_that_did_not_run_runs_with_the_next_try_of_the_stop() {
    for (result, counts) in [
        (Err(HookError::NotRun("the engine was away".to_owned())), false),
        (Err(HookError::Failed("it ended with code 1".to_owned())), true),
        (Ok(()), true),
    ] {
        let engine = Arc::new(Engine::default());
        let mut node = node_of(&engine);
        let mut wanted = template("web");
        let lifecycle = ContainerLifecycle { pre_stop: Some(command()), ..Default::default() };
        wanted.containers[0].lifecycle = Some(Box::new(lifecycle));
        let mut leaving = pod(1, wanted);
        leaving.order = PodOrder::Stop { grace: Duration::from_secs(5) };
        node.take_accepted(Arc::new(assignment(1, vec![leaving])), None);
        node.see(container(1, 0, running(1)));
        node.hook_ended(&before_stop(1), result);
        let memory = &node.memories[&uid(1)].containers["web"];
        assert_eq!(memory.pre_stopped.is_some(), counts);
    }
}
