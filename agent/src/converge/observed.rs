//! The containers that the engine has, as far as is known. Pure.
//!
//! Lists, looks and the results of our own calls arrive in any order. What was asked before something
//! newer became known may not know of it yet, so each question has a place in the order of what we did
//! and heard, each entry remembers that of what it was last known from, and an answer to an older
//! question does not overrule it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use dugout_model::{ContainerExit, PodUid, Timestamp};

use crate::labels::ContainerLabels;
use crate::runtime::{ObservedContainer, ObservedState};

/// A point in the order of what we did and heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sequence(pub u64);

/// Our containers by pod, each pod's by name and attempt.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pods: BTreeMap<PodUid, Vec<ObservedContainer>>,
    touched: HashMap<String, Sequence>,
    /// What is gone, as long as a question is open that was asked before.
    removed: HashMap<String, Sequence>,
    /// Questions without an answer yet.
    open: BTreeSet<Sequence>,
    sequence: Sequence,
}

/// A complete list of our containers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FullList {
    /// Those that are as they were known when the list was asked for.
    pub unchanged: Vec<String>,
    /// The others, each looked at.
    pub seen: Vec<ObservedContainer>,
}

/// What a look showed is not taken over: something newer is known that says otherwise. Look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overtaken;

/// What became known that matters beyond the container itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A container that was not known before.
    Appeared(Box<ObservedContainer>),
    Exited {
        id: String,
        labels: ContainerLabels,
        started_at: Timestamp,
        exit: ContainerExit,
    },
    /// The same container runs anew: someone else restarted it.
    Restarted {
        id: String,
        labels: ContainerLabels,
    },
    /// It is gone, and we did not remove it.
    Vanished {
        id: String,
        labels: ContainerLabels,
    },
}

impl Observed {
    pub fn of_pod(&self, uid: PodUid) -> &[ObservedContainer] {
        self.pods.get(&uid).map_or(&[], Vec::as_slice)
    }

    pub fn pods(&self) -> impl Iterator<Item = (PodUid, &[ObservedContainer])> {
        self.pods.iter().map(|(uid, containers)| (*uid, containers.as_slice()))
    }

    pub fn find(&self, id: &str) -> Option<&ObservedContainer> {
        self.pods.values().flatten().find(|container| container.id == id)
    }

    /// Marks the beginning of a question, which ends with [`Observed::apply_list`],
    /// [`Observed::apply_look`] or [`Observed::no_answer`].
    pub fn ask(&mut self) -> Sequence {
        let asked = self.step();
        self.open.insert(asked);
        asked
    }

    /// Takes over a complete list of our containers.
    pub fn apply_list(&mut self, list: FullList, asked: Sequence) -> Vec<News> {
        let unchanged = list.unchanged.iter().map(String::as_str);
        let listed: HashSet<&str> =
            unchanged.chain(list.seen.iter().map(|one| one.id.as_str())).collect();
        let gone: Vec<String> = self
            .pods
            .values()
            .flatten()
            .filter(|known| !listed.contains(known.id.as_str()))
            .filter(|known| !self.is_newer(&known.id, asked))
            .map(|known| known.id.clone())
            .collect();
        let mut news: Vec<News> = gone.iter().filter_map(|id| self.take(id)).collect();
        for container in list.seen {
            if !self.is_newer(&container.id, asked) {
                self.touched.insert(container.id.clone(), asked);
                news.extend(self.place(container));
            }
        }
        self.no_answer(asked);
        news
    }

    /// Takes over what a look at one container showed; `None` when it is not there.
    pub fn apply_look(
        &mut self,
        id: &str,
        seen: Option<ObservedContainer>,
        asked: Sequence,
    ) -> Result<Option<News>, Overtaken> {
        let overtaken = self.is_newer(id, asked);
        self.no_answer(asked);
        match seen {
            seen if overtaken && self.find(id) != seen.as_ref() => Err(Overtaken),
            _ if overtaken => Ok(None),
            Some(seen) => {
                self.touched.insert(seen.id.clone(), asked);
                Ok(self.place(seen))
            }
            None => Ok(self.vanished(id)),
        }
    }

    /// The containers that were not looked at for the longest. A list does not say all of a container, so
    /// these are looked at with it, and each has its turn.
    pub fn longest_unseen(&self, count: usize) -> Vec<String> {
        let mut all: Vec<(Sequence, &String)> =
            self.touched.iter().map(|(id, at)| (*at, id)).collect();
        all.sort_unstable();
        all.into_iter().take(count).map(|(_, id)| id.clone()).collect()
    }

    /// Closes a question.
    pub fn no_answer(&mut self, asked: Sequence) {
        self.open.remove(&asked);
        let oldest = self.open.first().copied();
        self.removed.retain(|_, at| oldest.is_some_and(|oldest| *at > oldest));
    }

    /// Whether something is known of a container that whoever was asked then may not know.
    fn is_newer(&self, id: &str, asked: Sequence) -> bool {
        let newer = |at: Option<&Sequence>| at.is_some_and(|at| *at > asked);
        newer(self.touched.get(id)) || newer(self.removed.get(id))
    }

    /// Takes over one container, seen just now.
    pub fn put(&mut self, container: ObservedContainer) -> Option<News> {
        let now = self.step();
        self.touched.insert(container.id.clone(), now);
        self.place(container)
    }

    /// Notes that a container is gone, by someone else's hand.
    pub fn vanished(&mut self, id: &str) -> Option<News> {
        let now = self.step();
        if !self.open.is_empty() {
            self.removed.insert(id.to_owned(), now);
        }
        self.take(id)
    }

    /// Notes that we removed a container.
    pub fn removed(&mut self, id: &str) {
        self.vanished(id);
    }

    fn step(&mut self) -> Sequence {
        self.sequence.0 += 1;
        self.sequence
    }

    fn take(&mut self, id: &str) -> Option<News> {
        self.touched.remove(id);
        let uid = *self.pods.iter().find(|(_, all)| all.iter().any(|one| one.id == id))?.0;
        let containers = self.pods.get_mut(&uid)?;
        let place = containers.iter().position(|one| one.id == id)?;
        let old = containers.remove(place);
        if containers.is_empty() {
            self.pods.remove(&uid);
        }
        // One that was being removed was told already.
        (old.state != ObservedState::Removing)
            .then_some(News::Vanished { id: old.id, labels: old.labels })
    }

    fn place(&mut self, container: ObservedContainer) -> Option<News> {
        let containers = self.pods.entry(container.labels.uid).or_default();
        let Some(known) = containers.iter_mut().find(|one| one.id == container.id) else {
            containers.push(container.clone());
            containers.sort_by(|a, b| {
                (&a.labels.container, a.labels.attempt)
                    .cmp(&(&b.labels.container, b.labels.attempt))
            });
            return Some(News::Appeared(Box::new(container)));
        };
        let before = std::mem::replace(known, container);
        match (&before.state, &known.state) {
            (ObservedState::Exited { .. }, ObservedState::Running { .. }) => {
                Some(News::Restarted { id: known.id.clone(), labels: known.labels.clone() })
            }
            (ObservedState::Exited { .. } | ObservedState::Removing, _) => None,
            (_, ObservedState::Removing) => {
                Some(News::Vanished { id: known.id.clone(), labels: known.labels.clone() })
            }
            (_, ObservedState::Exited { started_at, exit }) => Some(News::Exited {
                id: known.id.clone(),
                labels: known.labels.clone(),
                started_at: *started_at,
                exit: exit.clone(),
            }),
            (
                ObservedState::Running { started_at: before },
                ObservedState::Running { started_at },
            ) if before != started_at => {
                Some(News::Restarted { id: known.id.clone(), labels: known.labels.clone() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{container, exited, running, uid};

    fn list(seen: Vec<ObservedContainer>) -> FullList {
        FullList { unchanged: vec![], seen }
    }

    #[test]
    fn a_list_is_taken_over_whole() {
        let mut observed = Observed::default();
        let asked = observed.ask();
        let news = observed.apply_list(list(vec![container(1, 0, running(1))]), asked);
        assert!(matches!(news.as_slice(), [News::Appeared(_)]));
        let asked = observed.ask();
        let news = observed.apply_list(list(vec![container(1, 0, exited(1, 5))]), asked);
        assert!(matches!(news.as_slice(), [News::Exited { .. }]));
        let asked = observed.ask();
        let unchanged = FullList { unchanged: vec!["id-1-0".into()], seen: vec![] };
        assert_eq!(observed.apply_list(unchanged, asked), []);
        let asked = observed.ask();
        let news = observed.apply_list(list(vec![]), asked);
        assert!(matches!(news.as_slice(), [News::Vanished { .. }]));
        assert_eq!(observed.pods().count(), 0);
    }

    #[test]
    fn a_removal_is_told_once_when_it_begins() {
        let mut observed = Observed::default();
        observed.put(container(1, 0, running(1)));
        let news = observed.put(container(1, 0, ObservedState::Removing));
        assert!(matches!(news, Some(News::Vanished { .. })));
        assert_eq!(observed.vanished("id-1-0"), None);
        assert_eq!(observed.of_pod(uid(1)), []);
    }

    #[test]
    fn a_list_that_was_asked_for_before_our_call_ended_does_not_overrule_it() {
        let mut observed = Observed::default();
        let asked = observed.ask();
        observed.put(container(1, 0, running(1)));
        assert_eq!(observed.apply_list(list(vec![]), asked), []);
        assert_eq!(observed.of_pod(uid(1)).len(), 1);

        let asked = observed.ask();
        observed.removed("id-1-0");
        let late = list(vec![container(1, 0, running(1))]);
        assert_eq!(observed.apply_list(late, asked), []);
        assert_eq!(observed.of_pod(uid(1)).len(), 0);
    }

    #[test]
    fn a_look_that_was_overtaken_is_not_taken_over() {
        let mut observed = Observed::default();
        observed.put(container(1, 0, running(1)));
        let asked = observed.ask();
        observed.put(container(1, 0, exited(1, 5)));
        let late = observed.apply_look("id-1-0", Some(container(1, 0, running(1))), asked);
        assert_eq!(late, Err(Overtaken));
        assert!(!observed.of_pod(uid(1))[0].is_running());
        let asked = observed.ask();
        observed.put(container(1, 0, exited(1, 5)));
        let same = observed.apply_look("id-1-0", Some(container(1, 0, exited(1, 5))), asked);
        assert_eq!(same, Ok(None));
    }

    #[test]
    fn a_look_that_was_asked_for_before_a_removal_brings_nothing_back() {
        let mut observed = Observed::default();
        observed.put(container(1, 0, running(1)));
        let asked = observed.ask();
        observed.removed("id-1-0");
        // A list in between does not make the removal forgotten.
        let between = observed.ask();
        observed.apply_list(list(vec![]), between);
        let late = observed.apply_look("id-1-0", Some(container(1, 0, running(1))), asked);
        assert_eq!(late, Err(Overtaken));
        assert_eq!(observed.of_pod(uid(1)), []);
        assert!(observed.removed.is_empty(), "nobody asks any more");
    }

    #[test]
    fn of_two_looks_the_one_that_was_asked_for_later_counts() {
        for later_first in [false, true] {
            let mut observed = Observed::default();
            observed.put(container(1, 0, running(1)));
            let (first, second) = (observed.ask(), observed.ask());
            let mut answers =
                [(first, container(1, 0, running(1))), (second, container(1, 0, exited(1, 5)))];
            if later_first {
                answers.reverse();
            }
            for (asked, seen) in answers {
                let _ = observed.apply_look("id-1-0", Some(seen), asked);
            }
            assert!(!observed.of_pod(uid(1))[0].is_running());
        }
    }

    #[test]
    fn each_container_has_its_turn_to_be_looked_at() {
        let mut observed = Observed::default();
        for number in 1..=3 {
            observed.put(container(number, 0, running(1)));
        }
        let mut turns = Vec::new();
        for _ in 0..3 {
            let ids = observed.longest_unseen(2);
            let asked = observed.ask();
            let seen = ids.iter().filter_map(|id| observed.find(id).cloned()).collect();
            let all = ["id-1-0", "id-2-0", "id-3-0"].map(str::to_owned);
            let unchanged = all.into_iter().filter(|id| !ids.contains(id)).collect();
            observed.apply_list(FullList { unchanged, seen }, asked);
            turns.push(ids);
        }
        // Of those that were looked at together the first by id.
        let expected = [["id-1-0", "id-2-0"], ["id-3-0", "id-1-0"], ["id-2-0", "id-1-0"]];
        assert_eq!(turns, expected.map(|turn| turn.map(str::to_owned).to_vec()));
    }

    #[test]
    fn the_same_container_running_anew_is_news() {
        let mut observed = Observed::default();
        observed.put(container(1, 0, running(1)));
        assert_eq!(observed.put(container(1, 0, running(1))), None);
        let news = observed.put(container(1, 0, running(9)));
        assert!(matches!(news, Some(News::Restarted { .. })));
        observed.put(container(1, 0, exited(9, 10)));
        let news = observed.put(container(1, 0, running(11)));
        assert!(matches!(news, Some(News::Restarted { .. })));
    }
}
