//! Which images may go when the disk fills up. Pure.
//!
//! Only what this agent has pulled goes, and of that only what no container uses, ours or anybody's, what
//! nothing that is assigned names, and what was not used for a while. Of each repository of which something
//! is in use, the image that was used last before stays: what a release that goes back needs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dugout_model::{Assignment, Timestamp};

use crate::credentials::full_name;

/// When images go. Percentages are of the disk that the engine keeps its images on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageGcPolicy {
    /// From here on images go; at 100 none ever does.
    pub high_percent: u8,
    /// Until here.
    pub low_percent: u8,
    /// How long an image stays that is not used.
    pub minimum_age: Duration,
}

impl Default for ImageGcPolicy {
    fn default() -> Self {
        Self { high_percent: 85, low_percent: 80, minimum_age: Duration::from_secs(120) }
    }
}

/// The images of an engine, and how full their disk is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ImageSurvey {
    pub images: Vec<HeldImage>,
    /// The images of all containers, ours or not, running or not, by id.
    pub in_use: BTreeSet<String>,
    /// Absent where it cannot be seen, as that of an engine elsewhere.
    pub disk: Option<DiskUse>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldImage {
    pub id: String,
    /// Its names with a tag; those with a digest go with the last of them.
    pub tags: Vec<String>,
    pub size_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUse {
    pub total_bytes: u64,
    pub used_bytes: u64,
}

/// The images that were pulled, by id.
pub type PulledImages = BTreeMap<String, PulledImage>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledImage {
    /// As they were pulled.
    pub names: BTreeSet<String>,
    pub used_at: Timestamp,
}

/// Notes what is used now, and forgets what is gone.
pub fn note_use(
    pulled: &mut PulledImages,
    survey: &ImageSurvey,
    assignment: &Assignment,
    wall: Timestamp,
) {
    let wanted = wanted_names(assignment);
    let held = by_id(survey);
    pulled.retain(|id, _| held.contains_key(id.as_str()));
    for (id, image) in pulled {
        let is_held = held.get(id.as_str());
        if survey.in_use.contains(id) || is_held.is_some_and(|held| is_wanted(image, held, &wanted))
        {
            image.used_at = wall;
        }
    }
}

/// How much has to go: nothing before the high mark, and from there on all down to the low one.
pub fn wanted_bytes(policy: &ImageGcPolicy, survey: &ImageSurvey) -> u64 {
    let disk = survey.disk.filter(|disk| is_beyond(*disk, policy.high_percent));
    disk.map_or(0, |disk| {
        let low_bytes = disk.total_bytes / 100 * u64::from(policy.low_percent);
        disk.used_bytes.saturating_sub(low_bytes)
    })
}

/// What may go now, those used longest ago first.
pub fn superfluous(
    policy: &ImageGcPolicy,
    survey: &ImageSurvey,
    pulled: &PulledImages,
    assignment: &Assignment,
    wall: Timestamp,
) -> Vec<HeldImage> {
    let wanted = wanted_names(assignment);
    let all = by_id(survey);
    let is_used = |id: &str, image: &PulledImage| {
        survey.in_use.contains(id)
            || all.get(id).is_some_and(|held| is_wanted(image, held, &wanted))
    };
    let mut former: BTreeMap<String, (Timestamp, &str)> = BTreeMap::new();
    let used = pulled.iter().filter(|(id, image)| is_used(id, image));
    let used: BTreeSet<String> = used.flat_map(|(_, image)| repositories(image)).collect();
    let idle: Vec<_> = pulled.iter().filter(|(id, image)| !is_used(id, image)).collect();
    for (id, image) in &idle {
        for repository in repositories(image).filter(|repository| used.contains(repository)) {
            let last = former.entry(repository).or_insert((image.used_at, id));
            *last = (*last).max((image.used_at, id));
        }
    }
    let stays = |id: &str| former.values().any(|(_, last)| *last == id);
    let mut candidates: Vec<(Timestamp, &HeldImage)> = Vec::new();
    for (id, image) in idle {
        let Some(held) = all.get(id.as_str()).copied() else { continue };
        if !stays(id) && is_ours(image, held) && wall.since(image.used_at) >= policy.minimum_age {
            candidates.push((image.used_at, held));
        }
    }
    candidates.sort_by(|(one, a), (other, b)| (one, &a.id).cmp(&(other, &b.id)));
    candidates.into_iter().map(|(_, held)| held.clone()).collect()
}

/// Whether an image goes by this name, however it is written.
pub fn has_name(image: &HeldImage, name: &str) -> bool {
    image.tags.iter().any(|tag| whole_name(tag) == whole_name(name))
}

/// Whether so much of a disk is used.
fn is_beyond(disk: DiskUse, percent: u8) -> bool {
    percent < 100 && disk.used_bytes / 100 >= disk.total_bytes / 10_000 * u64::from(percent)
}

fn wanted_names(assignment: &Assignment) -> BTreeSet<String> {
    let of_pods = assignment.pods.iter().flat_map(|pod| {
        let pins = pod.pins.iter();
        let fixed = pins.filter_map(|pin| Some(pin.digest.as_ref()?.reference(&pin.image)));
        pod.template.all_containers().map(|container| container.image.clone()).chain(fixed)
    });
    let asked = assignment.images.iter();
    let asked = asked.flat_map(|asked| [asked.image.clone(), asked.reference()]);
    of_pods.chain(asked).map(|name| whole_name(&name)).collect()
}

fn by_id(survey: &ImageSurvey) -> BTreeMap<&str, &HeldImage> {
    survey.images.iter().map(|image| (image.id.as_str(), image)).collect()
}

/// Whether a name that was pulled and is wanted still stands for this image. A tag may have moved on to
/// another; a digest never does.
fn is_wanted(image: &PulledImage, held: &HeldImage, wanted: &BTreeSet<String>) -> bool {
    let names = image.names.iter().map(|name| whole_name(name));
    let mut wanted = names.filter(|name| wanted.contains(name));
    wanted.any(|name| name.contains('@') || held.tags.iter().any(|tag| whole_name(tag) == name))
}

/// Somebody who gave it a name of his own wants it.
fn is_ours(image: &PulledImage, held: &HeldImage) -> bool {
    let ours: BTreeSet<String> = image.names.iter().map(|name| whole_name(name)).collect();
    held.tags.iter().all(|tag| ours.contains(&whole_name(tag)))
}

fn repositories(image: &PulledImage) -> impl Iterator<Item = String> {
    image.names.iter().map(|name| {
        let whole = whole_name(name);
        let bare = whole.split('@').next().unwrap_or_default();
        let tag = bare.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        tag.map_or(bare, |(repository, _)| repository).to_owned()
    })
}

/// With its registry, and with the tag that is meant where none is written.
fn whole_name(name: &str) -> String {
    let name = full_name(name);
    let last = name.rsplit('/').next().unwrap_or_default();
    let has_version = last.contains([':', '@']);
    if has_version { name } else { format!("{name}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assignment, at, pod, template};

    const MINUTE: u64 = 60;

    fn held(id: &str, tags: &[&str]) -> HeldImage {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        HeldImage { id: id.to_owned(), tags, size_bytes: 10 << 20 }
    }

    fn pulled(all: &[(&str, &str, u64)]) -> PulledImages {
        let one = |(id, name, minute): &(&str, &str, u64)| {
            let names = [(*name).to_owned()].into();
            ((*id).to_owned(), PulledImage { names, used_at: at(minute * MINUTE) })
        };
        all.iter().map(one).collect()
    }

    fn survey(images: Vec<HeldImage>, used_percent: u64) -> ImageSurvey {
        let total_bytes = 1_000 << 20;
        let used_bytes = total_bytes / 100 * used_percent;
        let disk = Some(DiskUse { total_bytes, used_bytes });
        ImageSurvey { images, in_use: BTreeSet::new(), disk }
    }

    fn gone(survey: &ImageSurvey, pulled: &PulledImages) -> Vec<String> {
        let policy = ImageGcPolicy::default();
        // Its only pod runs `image:1`.
        let assignment = assignment(1, vec![pod(1, template("web"))]);
        let all = superfluous(&policy, survey, pulled, &assignment, at(60 * MINUTE));
        let mut left = wanted_bytes(&policy, survey);
        let needed = all.into_iter().take_while(|image| {
            let is_needed = left > 0;
            left = left.saturating_sub(image.size_bytes);
            is_needed
        });
        needed.map(|image| image.id).collect()
    }

    #[test]
    fn images_go_from_the_high_mark_to_the_low_one_those_unused_for_longest_first() {
        let ids: Vec<String> = (0..9).map(|number| format!("id{number}")).collect();
        let name = |number: usize| format!("r{number}:1");
        let images: Vec<HeldImage> =
            ids.iter().enumerate().map(|(number, id)| held(id, &[&name(number)])).collect();
        let names: Vec<String> = (0..9).map(name).collect();
        let all: Vec<(&str, &str, u64)> = ids
            .iter()
            .zip(&names)
            .enumerate()
            .map(|(number, (id, name))| (id.as_str(), name.as_str(), 9 - number as u64))
            .collect();
        let pulled = pulled(&all);
        assert_eq!(gone(&survey(images.clone(), 84), &pulled), [""; 0]);
        // Five percent are 50 MiB.
        let expected = ["id8", "id7", "id6", "id5", "id4"];
        assert_eq!(gone(&survey(images.clone(), 85), &pulled), expected);
        let unseen = ImageSurvey { disk: None, ..survey(images, 99) };
        assert_eq!(gone(&unseen, &pulled), [""; 0]);
    }

    #[test]
    fn what_is_used_named_young_or_somebodys_stays_and_so_does_the_one_before() {
        let images = vec![
            held("wanted", &["image:1"]),
            held("before", &["image:0"]),
            held("earlier", &["image:00"]),
            held("in-use", &["used:1"]),
            held("young", &["young:1"]),
            held("named", &["named:1", "mine:1"]),
            held("not-ours", &["other:1"]),
            held("untagged", &[]),
        ];
        let pulled = pulled(&[
            ("wanted", "image:1", 1),
            ("before", "image:0", 3),
            ("earlier", "image:00", 2),
            ("in-use", "used:1", 1),
            ("young", "young:1", 59),
            ("named", "named:1", 1),
            ("untagged", "image", 1),
        ]);
        let mut survey = survey(images, 95);
        survey.in_use = ["in-use".to_owned()].into();
        assert_eq!(gone(&survey, &pulled), ["untagged", "earlier"]);
    }

    #[test]
    fn an_image_that_its_tag_left_goes_and_one_that_is_wanted_by_its_digest_stays() {
        // The tag of the only pod's image has moved twice.
        let images = vec![held("first", &[]), held("second", &[]), held("third", &["image:1"])];
        let mut pulled =
            pulled(&[("first", "image:1", 1), ("second", "image:1", 2), ("third", "image:1", 3)]);
        let survey = survey(images, 95);
        assert_eq!(gone(&survey, &pulled), ["first"], "the one before stays");
        let assignment = assignment(1, vec![pod(1, template("web"))]);
        note_use(&mut pulled, &survey, &assignment, at(60 * MINUTE));
        let times: Vec<_> = pulled.values().map(|one| one.used_at).collect();
        assert_eq!(times, [at(MINUTE), at(2 * MINUTE), at(60 * MINUTE)]);
        let digest = format!("image@sha256:{}", "0".repeat(64));
        let mut by_digest = assignment.clone();
        let mut wanted = template("web");
        wanted.containers[0].image.clone_from(&digest);
        by_digest.pods = vec![pod(1, wanted)];
        pulled.get_mut("first").unwrap().names.insert(digest);
        let policy = ImageGcPolicy::default();
        let all = superfluous(&policy, &survey, &pulled, &by_digest, at(120 * MINUTE));
        let ids: Vec<_> = all.iter().map(|image| image.id.as_str()).collect();
        assert_eq!(ids, ["second"]);
    }

    #[test]
    fn what_is_used_is_young_again_and_what_is_gone_is_forgotten() {
        let mut pulled = pulled(&[("a", "image:1", 1), ("b", "b:1", 1), ("c", "c:1", 1)]);
        let mut survey = survey(vec![held("a", &["image:1"]), held("b", &[])], 10);
        let assignment = assignment(1, vec![pod(1, template("web"))]);
        note_use(&mut pulled, &survey, &assignment, at(5));
        let times: Vec<_> = pulled.iter().map(|(id, one)| (id.as_str(), one.used_at)).collect();
        assert_eq!(times, [("a", at(5)), ("b", at(MINUTE))]);
        survey.in_use = ["b".to_owned()].into();
        note_use(&mut pulled, &survey, &assignment, at(6));
        assert_eq!(pulled["b"].used_at, at(6));
    }
}
