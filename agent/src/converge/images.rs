//! What is to be done for the images that a release wants on this node before anybody needs them.

use std::collections::BTreeMap;
use std::time::Duration;

use dugout_model::{AssignedImage, ImageDigest, ImageReport, PullPolicy, ReleaseId, Timestamp};

use super::{Failure, FailureKind};
use crate::backoff::{PERMANENT, TRANSIENT};

/// What is known of each image that is asked for.
#[derive(Clone, Debug, Default)]
pub struct ImageMemories(BTreeMap<ImageKey, ImageMemory>);

impl ImageMemories {
    /// Takes over who asks for what, and forgets what nobody asks for any more.
    pub fn set_asked(&mut self, asked: &[AssignedImage]) {
        let mut newest: BTreeMap<ImageKey, ReleaseId> = BTreeMap::new();
        for each in asked {
            let release = newest.entry(ImageKey::from(each)).or_insert(each.release);
            *release = each.release.max(*release);
        }
        // What was found by name is what it was fixed to, mostly.
        let mut found = BTreeMap::new();
        for key in newest.keys().filter(|key| !self.0.contains_key(key)) {
            let by_name = self.0.get(&ImageKey { digest: None, ..key.clone() });
            let is_it = |memory: &&ImageMemory| {
                let state = ImageKnowledge::Held { digest: key.digest.clone() };
                key.digest.is_some() && memory.state == state
            };
            found.extend(by_name.filter(is_it).map(|memory| (key.clone(), memory.clone())));
        }
        self.0.retain(|key, _| newest.contains_key(key));
        self.0.extend(found);
        for (key, release) in newest {
            self.0.entry(key).or_default().ask_for(release);
        }
    }

    pub fn contains(&self, key: &ImageKey) -> bool {
        self.0.contains_key(key)
    }

    pub fn get_mut(&mut self, asked: &AssignedImage) -> Option<&mut ImageMemory> {
        self.0.get_mut(&ImageKey::from(asked))
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What there is to say to those who ask.
    pub fn reports(&self, asked: &[AssignedImage]) -> BTreeMap<AssignedImage, ImageReport> {
        let known = asked.iter().filter_map(|asked| {
            Some((asked.clone(), self.0.get(&ImageKey::from(asked))?.report()))
        });
        known.collect()
    }
}

/// What several releases may ask for together. A commit that comes while its images are pulled does not
/// begin that anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageKey {
    pub image: String,
    pub policy: PullPolicy,
    pub digest: Option<ImageDigest>,
    /// To be pulled always is to be pulled for each release: a tag may mean something else by then.
    pub release: Option<ReleaseId>,
}

impl From<&AssignedImage> for ImageKey {
    fn from(asked: &AssignedImage) -> Self {
        let AssignedImage { release, image, policy, digest } = asked;
        let release = (*policy == PullPolicy::Always).then_some(*release);
        Self { image: image.clone(), policy: *policy, digest: digest.clone(), release }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ImageMemory {
    /// The newest release that asks for it.
    pub release: Option<ReleaseId>,
    /// The same when the effect in flight began.
    pub begun_for: Option<ReleaseId>,
    pub is_in_flight: bool,
    pub state: ImageKnowledge,
    /// What went wrong last and may go well next time.
    pub trouble: Option<String>,
    pub failures: u32,
    pub not_before: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ImageKnowledge {
    #[default]
    Unknown,
    /// The engine has no such image, and it was not asked for yet.
    Missing,
    Held {
        digest: Option<ImageDigest>,
    },
    /// It cannot be had.
    Failed {
        message: String,
    },
}

/// An effect for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageAction {
    /// Whether the engine has it.
    Look,
    Pull,
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageOutcome {
    /// With what its registry calls it, where that is known.
    Present {
        digest: Option<ImageDigest>,
    },
    Absent,
    /// The engine did not answer: nothing is learned.
    EngineUnavailable,
    Failed(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageStep {
    Nothing,
    Wait(Timestamp),
    Act(ImageAction),
}

/// What to do for an image now.
pub fn image_step(asked: &AssignedImage, memory: &ImageMemory, now: Timestamp) -> ImageStep {
    if memory.is_in_flight {
        return ImageStep::Nothing;
    }
    let action = match (asked.policy, &memory.state) {
        (_, ImageKnowledge::Held { .. }) => return ImageStep::Nothing,
        // Somebody may bring it.
        (PullPolicy::Never, _) | (PullPolicy::IfNotPresent, ImageKnowledge::Unknown) => {
            ImageAction::Look
        }
        (PullPolicy::Always | PullPolicy::IfNotPresent, _) => ImageAction::Pull,
    };
    match memory.not_before.filter(|at| *at > now) {
        Some(at) => ImageStep::Wait(at),
        None => ImageStep::Act(action),
    }
}

impl ImageMemory {
    /// A release asks for it. What a newer one asks for may be there by now, or with other credentials:
    /// what went wrong for an earlier one is forgotten.
    pub fn ask_for(&mut self, release: ReleaseId) {
        let known = self.release.replace(release);
        if known.is_some_and(|known| known >= release) {
            return;
        }
        if !matches!(self.state, ImageKnowledge::Held { .. }) {
            self.state = ImageKnowledge::Unknown;
            self.trouble = None;
            self.failures = 0;
            self.not_before = None;
        }
    }

    pub fn begin(&mut self) {
        self.is_in_flight = true;
        self.begun_for = self.release;
    }

    /// The effect in flight ended.
    pub fn end(&mut self, asked: &AssignedImage, outcome: ImageOutcome, now: Timestamp) {
        self.is_in_flight = false;
        let is_of_earlier = self.begun_for.take() < self.release;
        match outcome {
            ImageOutcome::Failed(_) if is_of_earlier => {}
            ImageOutcome::Present { digest } => {
                self.state = ImageKnowledge::Held { digest };
                self.trouble = None;
                self.failures = 0;
                self.not_before = None;
            }
            ImageOutcome::Absent if asked.policy == PullPolicy::Never => {
                let message = "it is not on the node, and its policy is never to pull it";
                self.state = ImageKnowledge::Failed { message: message.to_owned() };
                self.wait(PERMANENT.after(self.failures + 1), now);
            }
            ImageOutcome::Absent => self.state = ImageKnowledge::Missing,
            ImageOutcome::EngineUnavailable => {}
            ImageOutcome::Failed(Failure { kind, message }) => match kind {
                FailureKind::NotFound | FailureKind::Permanent | FailureKind::Configuration => {
                    self.state = ImageKnowledge::Failed { message };
                    self.wait(PERMANENT.after(self.failures + 1), now);
                }
                FailureKind::Transient | FailureKind::NoVolumes => {
                    self.trouble = Some(message);
                    self.wait(TRANSIENT.after(self.failures + 1), now);
                }
            },
        }
    }

    fn wait(&mut self, wait: Duration, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + wait);
    }

    pub fn report(&self) -> ImageReport {
        match &self.state {
            ImageKnowledge::Unknown | ImageKnowledge::Missing => {
                ImageReport::Pulling { trouble: self.trouble.clone() }
            }
            ImageKnowledge::Held { digest } => ImageReport::Held { digest: digest.clone() },
            ImageKnowledge::Failed { message } => ImageReport::Failed { message: message.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use dugout_model::ReleaseId;

    use super::*;

    const PRESENT: ImageOutcome = ImageOutcome::Present { digest: None };

    fn asked(policy: PullPolicy) -> AssignedImage {
        AssignedImage { release: ReleaseId(1), image: "web:1".to_owned(), policy, digest: None }
    }

    fn second(number: i64) -> Timestamp {
        Timestamp::from_micros(number * 1_000_000)
    }

    fn failed(kind: FailureKind) -> ImageOutcome {
        ImageOutcome::Failed(Failure { kind, message: "no such tag".to_owned() })
    }

    #[test]
    fn an_image_that_is_there_is_not_pulled_unless_always() {
        let step = |policy| image_step(&asked(policy), &ImageMemory::default(), second(1));
        assert_eq!(step(PullPolicy::IfNotPresent), ImageStep::Act(ImageAction::Look));
        assert_eq!(step(PullPolicy::Never), ImageStep::Act(ImageAction::Look));
        assert_eq!(step(PullPolicy::Always), ImageStep::Act(ImageAction::Pull));
        let asked = asked(PullPolicy::IfNotPresent);
        let mut memory = ImageMemory { is_in_flight: true, ..ImageMemory::default() };
        assert_eq!(image_step(&asked, &memory, second(1)), ImageStep::Nothing);
        memory.end(&asked, PRESENT, second(1));
        assert_eq!(memory.report(), ImageReport::Held { digest: None });
        assert_eq!(image_step(&asked, &memory, second(1)), ImageStep::Nothing);
    }

    #[test]
    fn one_that_is_missing_is_pulled_and_its_failure_told_and_tried_again() {
        let asked = asked(PullPolicy::IfNotPresent);
        let mut memory = ImageMemory::default();
        memory.end(&asked, ImageOutcome::Absent, second(1));
        assert_eq!(image_step(&asked, &memory, second(1)), ImageStep::Act(ImageAction::Pull));
        memory.end(&asked, failed(FailureKind::Transient), second(1));
        let trouble = Some("no such tag".to_owned());
        assert_eq!(memory.report(), ImageReport::Pulling { trouble });
        let soon = Timestamp::from_micros(1_200_000);
        assert_eq!(image_step(&asked, &memory, second(1)), ImageStep::Wait(soon));
        assert_eq!(image_step(&asked, &memory, soon), ImageStep::Act(ImageAction::Pull));
        memory.end(&asked, failed(FailureKind::Permanent), second(2));
        let message = "no such tag".to_owned();
        assert_eq!(memory.report(), ImageReport::Failed { message });
        assert_eq!(image_step(&asked, &memory, second(2)), ImageStep::Wait(second(22)));
        memory.end(&asked, PRESENT, second(22));
        assert_eq!(
            memory,
            ImageMemory { state: ImageKnowledge::Held { digest: None }, ..ImageMemory::default() }
        );
    }

    #[test]
    fn one_that_may_not_be_pulled_has_failed_while_it_is_missing() {
        let asked = asked(PullPolicy::Never);
        let mut memory = ImageMemory::default();
        memory.end(&asked, ImageOutcome::Absent, second(1));
        assert!(matches!(memory.report(), ImageReport::Failed { .. }));
        assert_eq!(image_step(&asked, &memory, second(11)), ImageStep::Act(ImageAction::Look));
    }

    #[test]
    fn an_engine_that_does_not_answer_says_nothing_of_the_image() {
        let asked = asked(PullPolicy::IfNotPresent);
        let mut memory = ImageMemory { is_in_flight: true, ..ImageMemory::default() };
        memory.end(&asked, ImageOutcome::EngineUnavailable, second(1));
        assert_eq!(memory, ImageMemory::default());
    }

    #[test]
    fn a_newer_release_takes_over_what_is_pulled_and_tries_anew_what_failed() {
        let newer = |policy| AssignedImage { release: ReleaseId(2), ..asked(policy) };
        let is_shared = |policy| ImageKey::from(&asked(policy)) == ImageKey::from(&newer(policy));
        assert!(is_shared(PullPolicy::IfNotPresent));
        assert!(!is_shared(PullPolicy::Always));

        let mut memory = ImageMemory::default();
        memory.ask_for(ReleaseId(1));
        memory.begin();
        memory.ask_for(ReleaseId(2));
        let newer = newer(PullPolicy::IfNotPresent);
        assert_eq!(image_step(&newer, &memory, second(1)), ImageStep::Nothing);
        // What the earlier one was refused says nothing of what the newer one may have.
        let asked = asked(PullPolicy::IfNotPresent);
        memory.end(&asked, failed(FailureKind::Permanent), second(1));
        assert_eq!(memory.report(), ImageReport::Pulling { trouble: None });
        memory.begin();
        memory.end(&newer, failed(FailureKind::Permanent), second(1));
        assert!(matches!(memory.report(), ImageReport::Failed { .. }));
        memory.ask_for(ReleaseId(3));
        assert_eq!(image_step(&newer, &memory, second(1)), ImageStep::Act(ImageAction::Look));
        memory.end(&asked, PRESENT, second(1));
        memory.ask_for(ReleaseId(4));
        assert_eq!(memory.report(), ImageReport::Held { digest: None });
    }

    #[test]
    fn two_that_ask_at_once_hear_of_one_failure_and_wait_together() {
        let older = asked(PullPolicy::IfNotPresent);
        let newer = AssignedImage { release: ReleaseId(2), ..older.clone() };
        let both = [older.clone(), newer.clone()];
        let mut memories = ImageMemories::default();
        for outcome in [ImageOutcome::Absent, failed(FailureKind::Permanent)] {
            memories.set_asked(&both);
            // Whoever is looked at first begins it.
            let memory = memories.get_mut(&older).expect("it is asked for");
            assert!(matches!(image_step(&older, memory, second(1)), ImageStep::Act(_)));
            memory.begin();
            memory.end(&older, outcome, second(1));
        }
        memories.set_asked(&both);
        for each in &both {
            assert!(matches!(memories.reports(&both)[each], ImageReport::Failed { .. }));
            let memory = memories.get_mut(each).expect("it is asked for");
            assert!(matches!(image_step(each, memory, second(1)), ImageStep::Wait(_)));
        }
        // The newer one is withdrawn: nothing of it keeps what the older one is refused from being heard.
        memories.set_asked(&both[..1]);
        let memory = memories.get_mut(&older).expect("it is asked for");
        memory.begin();
        memory.end(&older, failed(FailureKind::Transient), second(30));
        assert!(memory.not_before.is_some_and(|at| at > second(30)));
    }
}
