//! What containers are made of when a release fixes what their images' names stand for.

use super::*;
use dugout_model::{AssignedPin, ImageDigest};

fn digest(digit: &str) -> ImageDigest {
    ImageDigest::parse(&format!("sha256:{}", digit.repeat(64))).unwrap()
}

fn pinned(policy: PullPolicy, digest: Option<ImageDigest>) -> Node {
    let mut node = Node::with_image_policy(policy);
    node.assignment.pods[0].pins = vec![AssignedPin { image: "image:1".into(), digest }];
    node
}

impl Node {
    fn fix(&mut self, digest: ImageDigest) {
        self.assignment.pods[0].pins[0].digest = Some(digest);
    }

    fn find(&mut self, digest: Option<ImageDigest>) {
        let action = self.plan().actions.remove(0);
        let policy = self.assignment.pods[0].template.containers[0].pull_policy;
        let now = at(self.now);
        self.memory().begin(action, now);
        self.memory().end(&Outcome::Found { digest }, policy, now, now);
    }

    fn found(&mut self) -> Option<ImageDigest> {
        self.report().containers[0].image_digest.clone()
    }
}

fn pull_of(image: &str) -> Action {
    Action::Pull { pod: uid(1), container: "web".into(), image: image.into() }
}

fn find_of(image: &str) -> Action {
    Action::Find { pod: uid(1), container: "web".into(), image: image.into() }
}

fn create_from(image: &str) -> Action {
    let container = "web".to_owned();
    Action::Create { pod: uid(1), container, image: image.into(), attempt: 0, crashes: 0 }
}

#[test]
fn what_is_found_is_told_and_nothing_is_made_before_it_is_said_what_holds() {
    let mut node = pinned(PullPolicy::IfNotPresent, None);
    assert_eq!(node.plan().actions, [find_of("image:1")]);
    node.find(Some(digest("1")));
    assert_eq!(node.plan().actions, []);
    assert_eq!(node.found(), Some(digest("1")));
    assert_eq!(node.waiting(), WaitingReason::ContainerCreating);
    node.fix(digest("1"));
    let image = digest("1").reference("image:1");
    assert_eq!(node.plan().actions, [create_from(&image)]);
}

#[test]
fn one_that_is_missing_is_pulled_by_its_name_and_made_of_its_digest() {
    let mut node = pinned(PullPolicy::IfNotPresent, None);
    node.fail(FailureKind::NotFound);
    assert_eq!(node.plan().actions, [pull_of("image:1")], "at once");
    node.find(Some(digest("1")));
    assert_eq!(node.plan().actions, []);
    node.fix(digest("1"));
    assert_eq!(node.plan().actions, [create_from(&digest("1").reference("image:1"))]);
}

#[test]
fn who_found_another_gets_the_one_that_holds() {
    let held = digest("2").reference("image:1");
    let mut node = pinned(PullPolicy::IfNotPresent, None);
    node.find(Some(digest("1")));
    node.fix(digest("2"));
    assert_eq!(node.plan().actions, [find_of(&held)]);
    node.fail(FailureKind::NotFound);
    assert_eq!(node.plan().actions, [pull_of(&held)]);
    node.find(Some(digest("2")));
    assert_eq!(node.plan().actions, [create_from(&held)]);

    let mut always = pinned(PullPolicy::Always, None);
    assert_eq!(always.plan().actions, [pull_of("image:1")]);
    always.find(Some(digest("1")));
    always.fix(digest("2"));
    assert_eq!(always.plan().actions, [pull_of(&held)]);
    always.find(Some(digest("2")));
    assert_eq!(always.plan().actions, [create_from(&held)]);
}

#[test]
fn the_registry_is_asked_for_what_holds_as_the_policy_has_it() {
    let held = digest("1").reference("image:1");
    let mut node = pinned(PullPolicy::IfNotPresent, Some(digest("1")));
    assert_eq!(node.plan().actions, [create_from(&held)]);
    node.fail(FailureKind::NotFound);
    assert_eq!(node.plan().actions, [pull_of(&held)]);
    let mut always = pinned(PullPolicy::Always, Some(digest("1")));
    assert_eq!(always.plan().actions, [pull_of(&held)]);
    always.find(Some(digest("1")));
    assert_eq!(always.plan().actions, [create_from(&held)]);
    let never = pinned(PullPolicy::Never, Some(digest("1")));
    assert_eq!(never.plan().actions, [create_from("image:1")], "it is what the node has");
}

#[test]
fn an_image_that_no_registry_knows_is_used_as_it_is() {
    for policy in [PullPolicy::IfNotPresent, PullPolicy::Always] {
        let mut node = pinned(policy, None);
        node.find(None);
        assert_eq!(node.plan().actions, [create_from("image:1")]);
        assert_eq!(node.found(), None);
        // Where another node found one that a registry has, that holds.
        node.fix(digest("1"));
        assert_eq!(node.plan().actions, [create_from(&digest("1").reference("image:1"))]);
    }
}

#[test]
fn a_container_that_starts_anew_is_of_what_it_was() {
    let made_of = |node: &Node| match node.plan().actions.as_slice() {
        [Action::Create { image, .. }] => image.clone(),
        other => panic!("{other:?}"),
    };
    let mut node = pinned(PullPolicy::IfNotPresent, Some(digest("1")));
    let mut of_digest = container(1, 0, exited(1, 2));
    of_digest.image_digest = Some(digest("1"));
    node.see(of_digest);
    assert_eq!(made_of(&node), digest("1").reference("image:1"));
    assert_eq!(node.found(), Some(digest("1")));
    // One of before anything was fixed, also when nobody says what holds.
    for fixed in [None, Some(digest("1"))] {
        let mut of_name = pinned(PullPolicy::IfNotPresent, fixed);
        of_name.see(container(1, 0, exited(1, 2)));
        assert_eq!(made_of(&of_name), "image:1");
    }
    // Nor is it held up when somebody removed what was left of it.
    let mut removed = pinned(PullPolicy::IfNotPresent, None);
    removed.memory().container("web").next_attempt = 1;
    assert_eq!(made_of(&removed), "image:1");
}
