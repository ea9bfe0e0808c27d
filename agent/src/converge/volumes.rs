//! Which volumes nobody needs any more. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use dugout_model::{AssignedPod, PodOrder, PodUid, Timestamp};

use super::{Input, PodView};
use crate::backoff::Backoff;
use crate::runtime::{ObservedContainer, ObservedState};

/// What hinders a removal may pass at once, or need a person.
const REMOVAL: Backoff =
    Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(300) };

/// The pods that have volumes on the node's disk.
pub type HeldVolumes = BTreeMap<PodUid, Held>;

/// What is done about the volumes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Held {
    #[default]
    Kept,
    /// They are being removed, after so many failures.
    Leaving { failures: u32 },
    /// They could not be removed, and are tried again at this moment.
    Stuck { failures: u32, not_before: Timestamp },
}

impl Held {
    pub fn failures(self) -> u32 {
        match self {
            Held::Kept => 0,
            Held::Leaving { failures } | Held::Stuck { failures, .. } => failures,
        }
    }

    /// A removal failed.
    pub fn stuck(self, now: Timestamp) -> Held {
        let failures = self.failures().saturating_add(1);
        Held::Stuck { failures, not_before: now + REMOVAL.after(failures) }
    }
}

/// Whose volumes can go now, and when to ask again if nothing else happens. They go when no container of
/// the pod is left, or when the pod has ended for good, nothing of it runs and no person has paused it.
pub fn unneeded(input: Input<'_>, held: &HeldVolumes) -> (Vec<PodUid>, Option<Timestamp>) {
    let (mut pods, mut wake_at) = (Vec::new(), None::<Timestamp>);
    let Some(assignment) = input.assignment.filter(|_| input.engine_known) else {
        return (pods, wake_at);
    };
    for (uid, held) in held {
        let pod = assignment.pods.iter().find(|pod| pod.uid == *uid);
        if is_needed(&input, *uid, pod) {
            continue;
        }
        match held {
            Held::Leaving { .. } => {}
            Held::Stuck { not_before, .. } if *not_before > input.now => {
                wake_at = Some(wake_at.map_or(*not_before, |earlier| earlier.min(*not_before)));
            }
            Held::Kept | Held::Stuck { .. } => pods.push(*uid),
        }
    }
    (pods, wake_at)
}

fn is_needed(input: &Input<'_>, uid: PodUid, pod: Option<&AssignedPod>) -> bool {
    let memory = input.memories.get(&uid);
    if memory.is_some_and(|memory| memory.in_flight.is_some()) {
        return true;
    }
    let containers = input.observed.of_pod(uid);
    match pod {
        Some(pod @ AssignedPod { order: PodOrder::Run { draining }, .. }) => {
            let view =
                PodView { pod, memory, draining: *draining, policy: input.policy, now: input.now };
            let may_run = |one: &ObservedContainer| {
                matches!(one.state, ObservedState::Created | ObservedState::Running { .. })
            };
            let is_paused = memory.is_some_and(|memory| memory.pause.is_some());
            is_paused || !view.has_ended() || containers.iter().any(may_run)
        }
        Some(AssignedPod { order: PodOrder::Stop { .. }, .. }) | None => !containers.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use dugout_model::{Assignment, ContainerExit, ObjectName, Pause, RestartPolicy};

    use super::*;
    use crate::converge::{Attempt, Memories, Observed, PodMemory, Stage};
    use crate::testing::{self, *};

    /// Whose volumes go of pod 1, with these containers of it.
    fn gone(
        assignment: Option<&Assignment>,
        containers: Vec<ObservedContainer>,
        memories: &Memories,
        held: Held,
    ) -> (Vec<PodUid>, Option<Timestamp>) {
        let mut observed = Observed::default();
        for one in containers {
            observed.put(one);
        }
        let (policy, now) = (&testing::policy(), at(100));
        let observed = &observed;
        let input = Input { assignment, observed, memories, engine_known: true, policy, now };
        unneeded(input, &HeldVolumes::from([(uid(1), held)]))
    }

    fn ordered(order: PodOrder) -> Assignment {
        assignment(1, vec![AssignedPod { order, ..pod(1, template("web")) }])
    }

    const NOTHING: (Vec<PodUid>, Option<Timestamp>) = (Vec::new(), None);

    #[test]
    fn volumes_stay_while_their_pod_is_to_run_or_a_container_of_it_is_left() {
        let run = ordered(PodOrder::Run { draining: false });
        let stop = ordered(PodOrder::Stop { grace: Duration::ZERO });
        let other = assignment(1, vec![pod(2, template("web"))]);
        let none = Memories::new();
        let all = || (vec![uid(1)], None);
        assert_eq!(gone(Some(&run), vec![], &none, Held::Kept), NOTHING);
        for leaving in [&stop, &other] {
            let left = vec![container(1, 0, exited(1, 2))];
            assert_eq!(gone(Some(leaving), left, &none, Held::Kept), NOTHING);
            assert_eq!(gone(Some(leaving), vec![], &none, Held::Kept), all());
        }
        assert_eq!(gone(None, vec![], &none, Held::Kept), NOTHING, "nothing is known yet");
        let mut memory =
            PodMemory::new(pod(1, template("web")).namespace, ObjectName::new("web-1"));
        memory.in_flight = Some(crate::converge::Action::Remove {
            pod: uid(1),
            container: "web".to_owned(),
            id: "x".to_owned(),
        });
        let memories = Memories::from([(uid(1), memory)]);
        assert_eq!(gone(Some(&stop), vec![], &memories, Held::Kept), NOTHING);
    }

    #[test]
    fn volumes_of_a_pod_that_ended_for_good_go_before_it() {
        let mut once = template("web");
        once.restart_policy = RestartPolicy::Never;
        let run = assignment(1, vec![pod(1, once)]);
        let mut memory =
            PodMemory::new(pod(1, template("web")).namespace, ObjectName::new("web-1"));
        let exit = ContainerExit { exit_code: 0, oom_killed: false, finished_at: at(2) };
        let ended = memory.container("web");
        ended.next_attempt = 1;
        ended.attempt = Some(Attempt { number: 0, stage: Stage::Ended { exit, after: None } });
        let memories = Memories::from([(uid(1), memory)]);
        let left = |state| vec![container(1, 0, state)];
        let ended = gone(Some(&run), left(exited_with(1, 2, 0)), &memories, Held::Kept);
        assert_eq!(ended, (vec![uid(1)], None));
        assert_eq!(gone(Some(&run), left(running(1)), &memories, Held::Kept), NOTHING);
        for pause in [Pause::LeftAlone, Pause::Stopped] {
            let mut memories = memories.clone();
            memories.get_mut(&uid(1)).unwrap().pause = Some(pause);
            let ended = gone(Some(&run), left(exited_with(1, 2, 0)), &memories, Held::Kept);
            assert_eq!(ended, NOTHING, "who paused it may want to look into them");
        }
    }

    #[test]
    fn a_removal_is_begun_once_and_tried_again_after_a_wait() {
        let stop = ordered(PodOrder::Stop { grace: Duration::ZERO });
        let none = Memories::new();
        let leaving = Held::Leaving { failures: 1 };
        assert_eq!(gone(Some(&stop), vec![], &none, leaving), NOTHING);
        let later = leaving.stuck(at(100));
        assert_eq!(later.failures(), 2);
        let (pods, wake_at) = gone(Some(&stop), vec![], &none, later);
        assert_eq!((pods, wake_at), (vec![], Some(at(100) + Duration::from_millis(400))));
        let due = Held::Stuck { failures: 2, not_before: at(100) };
        assert_eq!(gone(Some(&stop), vec![], &none, due).0, [uid(1)]);
    }
}
