//! Who waits for whom in a release: nobody for itself, by whatever detour.

use std::collections::BTreeSet;

use dugout_model::{Hook, Severity};

use super::{Member, Revision, Told};
use crate::decode::{Identity, Part, Reference};

/// How many members of a circle a message names.
const SHOWN: usize = 8;

impl<'a> Revision<'a> {
    pub(super) fn check_order(&self, found: &mut Vec<Told<'a>>) {
        let mut done = BTreeSet::new();
        for member in self.members.values() {
            if awaited_by(member).next().is_some() {
                self.check_hooks(member, found);
                self.look_for_circles(member, &mut done, found);
            }
        }
    }

    /// A hook that comes after everything waits for whoever waits for it.
    fn check_hooks(&self, member: &Member<'a>, found: &mut Vec<Told<'a>>) {
        if hook_of(member) == Some(Hook::After) {
            return;
        }
        for reference in awaited_by(member) {
            let target = self.find(reference.kind, member.namespace(), &reference.name);
            if target.is_some_and(|target| hook_of(target) == Some(Hook::After)) {
                let (kind, name) = (reference.kind, &reference.name);
                let message =
                    format!("waits for {kind} {name}, a hook that comes after everything else");
                let hint = "only another hook with dugout.dev/hook: after can wait for it";
                found.push(member.tell(&reference.place, Severity::Error, message, hint));
            }
        }
    }

    /// A walk along everything that a workload waits for, without recursion: a chain may be long.
    fn look_for_circles(
        &self,
        from: &Member<'a>,
        done: &mut BTreeSet<&'a Identity>,
        found: &mut Vec<Told<'a>>,
    ) {
        if !done.insert(&from.object.id) {
            return;
        }
        // Who waits, with those that are still to be followed.
        let mut way = vec![(*from, awaited_by(from))];
        while let Some((member, rest)) = way.last_mut() {
            let Some(reference) = rest.next() else {
                way.pop();
                continue;
            };
            let member = *member;
            let next = self.find(reference.kind, member.namespace(), &reference.name);
            let Some(next) = next.copied() else { continue };
            let start = way.iter().position(|(each, _)| each.object.id == next.object.id);
            if let Some(start) = start {
                let circle: Vec<&Identity> =
                    way.iter().skip(start).map(|(each, _)| &each.object.id).collect();
                let hint = "take one of them out of dugout.dev/depends-on";
                let message = circle_message(&circle);
                found.push(member.tell(&reference.place, Severity::Error, message, hint));
            } else if done.insert(&next.object.id) {
                way.push((next, awaited_by(&next)));
            }
        }
    }
}

/// Whom a workload names as one to wait for.
fn awaited_by<'a>(member: &Member<'a>) -> impl Iterator<Item = &'a Reference> + use<'a> {
    let references = member.object.links.references.iter();
    references.filter(|reference| reference.part == Part::Rollout)
}

fn hook_of(member: &Member<'_>) -> Option<Hook> {
    member.object.declared().and_then(|declared| declared.policy.hook)
}

fn circle_message(circle: &[&Identity]) -> String {
    let mut names: Vec<String> = circle
        .iter()
        .chain(circle.first())
        .map(|id| format!("{} {}", id.kind, id.key.name))
        .collect();
    if names.len() > SHOWN {
        names.splice(SHOWN - 1..names.len() - 1, ["…".to_owned()]);
    }
    format!("waits for itself: {}", names.join(" → "))
}
