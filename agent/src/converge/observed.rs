//! The containers that the engine has, as far as is known. Pure.
//!
//! Lists, events and the results of our own calls arrive in any order. A list that began before one
//! of our own calls ended may not know of its effect yet, so each entry remembers when it was last
//! touched, and an older list does not overrule it.

use std::collections::{BTreeMap, HashMap};

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
    removed: HashMap<String, Sequence>,
    sequence: Sequence,
}

/// What became known that matters beyond the container itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A container that was not known before.
    Appeared(ObservedContainer),
    Exited {
        id: String,
        labels: ContainerLabels,
        started_at: Timestamp,
        exit: ContainerExit,
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

    /// Marks the beginning of a list; hand it to [`Observed::apply_list`] with the result.
    pub fn begin_list(&mut self) -> Sequence {
        self.step()
    }

    /// Takes over a complete list of our containers.
    pub fn apply_list(&mut self, list: Vec<ObservedContainer>, began: Sequence) -> Vec<News> {
        let mut news = Vec::new();
        let listed: HashMap<&str, ()> =
            list.iter().map(|container| (container.id.as_str(), ())).collect();
        let gone: Vec<String> = self
            .pods
            .values()
            .flatten()
            .filter(|known| !listed.contains_key(known.id.as_str()))
            .filter(|known| self.touched.get(&known.id).is_none_or(|at| *at <= began))
            .map(|known| known.id.clone())
            .collect();
        news.extend(gone.iter().filter_map(|id| self.take(id)));
        for container in list {
            let newer = |at: Option<&Sequence>| at.is_some_and(|at| *at > began);
            if newer(self.touched.get(&container.id)) || newer(self.removed.get(&container.id)) {
                continue;
            }
            news.extend(self.place(container));
        }
        self.removed.retain(|_, at| *at > began);
        news
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
        self.removed.insert(id.to_owned(), now);
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
            return Some(News::Appeared(container));
        };
        let before = std::mem::replace(known, container);
        match (&before.state, &known.state) {
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
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{container, exited, running, uid};

    #[test]
    fn a_list_is_taken_over_whole() {
        let mut observed = Observed::default();
        let began = observed.begin_list();
        let news = observed.apply_list(vec![container(1, 0, running(1))], began);
        assert!(matches!(news.as_slice(), [News::Appeared(_)]));
        let began = observed.begin_list();
        let news = observed.apply_list(vec![container(1, 0, exited(1, 5))], began);
        assert!(matches!(news.as_slice(), [News::Exited { .. }]));
        let began = observed.begin_list();
        let news = observed.apply_list(vec![], began);
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
    fn a_list_that_began_before_our_call_ended_does_not_overrule_it() {
        let mut observed = Observed::default();
        let began = observed.begin_list();
        observed.put(container(1, 0, running(1)));
        assert_eq!(observed.apply_list(vec![], began), []);
        assert_eq!(observed.of_pod(uid(1)).len(), 1);

        let began = observed.begin_list();
        observed.removed("id-1-0");
        assert_eq!(observed.apply_list(vec![container(1, 0, running(1))], began), []);
        assert_eq!(observed.of_pod(uid(1)).len(), 0);
    }
}
