//! What must hold of what is committed, and of the world in the server's memory.

use std::time::Duration;

use dugout_model::{
    Change, DeclaredObjects, Job, Lifecycle, Pod, Release, ReplicaSet, RestartPolicy,
    RevisionContent, Timestamp, Verdict, World,
};

use super::{Breach, Rule, Rules};
use crate::git::Git;
use crate::node::Node;
use crate::server::NODE_TIMEOUT;

/// How long a release may roll though nobody asks for anything else and nothing fails: several times the
/// deadline of each of its workloads, which may wait for each other.
const LONGEST_RELEASE: Duration = Duration::from_secs(6 * 60);

/// How much later than it must a server may notice that a node is silent: word may be under way.
const NOTICE: Duration = Duration::from_secs(10);

/// How long a revert may take that nothing hinders.
const REVERT: Duration = Duration::from_secs(60);

/// What there is beside the books.
pub(crate) struct Seen<'a> {
    pub nodes: &'a [Node],
    pub git: &'a Git,
    /// Since when the server leads.
    pub led_since: Timestamp,
    pub now: Timestamp,
}

impl Rules {
    /// Looks at what was committed, which has led to this world.
    pub fn committed(
        &mut self,
        changes: &[Change],
        after: &World,
        git: &Git,
    ) -> Result<(), Breach> {
        let is_as_before = self.before.as_ref().is_none_or(|before| before == after);
        if changes.is_empty() && !is_as_before {
            let why = format!("after turn {}", after.turn.0);
            return Err(Rule::TransactionsAreWhole.broken(why));
        }
        for change in changes {
            match change {
                Change::DeletePod(uid) => {
                    self.gone.insert(*uid);
                }
                Change::PutPod(pod) => {
                    self.leaves_in_order(pod, after)?;
                    self.has_not_given_up(pod, after)?;
                }
                Change::PutJob(job) => self.has_done_its_work(job)?,
                Change::PutReplicaSet(row) => has_own_template(row, after)?,
                Change::PutRelease(row) => {
                    let before = self.verdicts.insert(row.id, row.verdict);
                    if let (None, Verdict::Rolling | Verdict::Healthy) = (before, row.verdict) {
                        self.keeps_enough(changes, row, git)?;
                    }
                    if row.verdict == Verdict::Healthy && before != Some(Verdict::Healthy) {
                        is_as_declared(after, row, objects_of(git, row))?;
                    }
                }
                _ => {}
            }
        }
        self.before = Some(after.clone());
        Ok(())
    }

    /// A pod that serves leaves every list of endpoints before it is stopped.
    fn leaves_in_order(&mut self, pod: &Pod, after: &World) -> Result<(), Breach> {
        match pod.lifecycle {
            Lifecycle::Active => {}
            Lifecycle::Draining { deadline, .. } => {
                self.drained_by.insert(pod.uid, deadline);
            }
            Lifecycle::Stopping { .. } => {
                let before = self.before.as_ref().and_then(|before| before.pods.get(&pod.uid));
                let served =
                    before.is_some_and(|pod| pod.is_active()) && pod.ready_since().is_some();
                let node = pod.node().and_then(|node| after.nodes.get(node));
                if !node.is_some_and(|node| node.is_ready()) {
                    // Whoever is lost is waited for no longer.
                    self.drained_by.remove(&pod.uid);
                } else if served {
                    let why = format!("pod {} serves and is stopped", pod.name);
                    return Err(Rule::RequestsEnd.broken(why));
                }
            }
        }
        Ok(())
    }

    /// A job makes no pod any more once too many have failed. Where something fails beside its work, its
    /// server may count otherwise.
    fn has_not_given_up(&self, pod: &Pod, after: &World) -> Result<(), Breach> {
        let is_new = self.before.as_ref().is_none_or(|before| !before.pods.contains_key(&pod.uid));
        let Some(job) = after.job_of(pod).filter(|_| is_new) else { return Ok(()) };
        let ended = self.work.get(&job.uid);
        let failed = ended.map_or(0, |pods| pods.values().filter(|is_good| !**is_good).count());
        let is_calm = self.asked_at <= job.created_at;
        let is_pod_for_pod = job.spec.template.restart_policy == RestartPolicy::Never;
        if is_calm && is_pod_for_pod && failed > job.spec.backoff_limit as usize {
            let why = format!("job {} goes on after {failed} failures", job.name);
            return Err(Rule::JobsGiveUp.broken(why));
        }
        Ok(())
    }

    fn has_done_its_work(&mut self, job: &Job) -> Result<(), Breach> {
        let is_new = self.before.as_ref().is_none_or(|before| !before.jobs.contains_key(&job.uid));
        if let Some(at) = job.scheduled_at.filter(|_| is_new)
            && !self.scheduled.insert((job.owner, at))
        {
            let why = format!("job {} was made before", job.name);
            return Err(Rule::TimesRunOnce.broken(why));
        }
        let ended = self.work.get(&job.uid);
        let done = ended.map_or(0, |pods| pods.values().filter(|is_good| **is_good).count());
        if job.is_complete() && job.tally.succeeded as usize > done {
            let why = format!("job {} is complete, and {done} of its pods ended well", job.name);
            return Err(Rule::WorkIsCounted.broken(why));
        }
        Ok(())
    }

    /// A release that was not held removes few of the objects.
    fn keeps_enough(&self, changes: &[Change], release: &Release, git: &Git) -> Result<(), Breach> {
        let declared = objects_of(git, release);
        let commit = git.get(&release.commit.sha);
        let is_meant = commit.is_some_and(|commit| commit.message.contains("Dugout-"));
        let is_deletion = |change: &&Change| matches!(change, Change::DeleteObject(_));
        let removed = changes.iter().filter(is_deletion).count();
        let is_all = removed > 0 && declared.is_some_and(|declared| declared.is_empty());
        let all = self.before.as_ref().map_or(0, |before| before.objects.len());
        let is_much = removed > 3 && removed * 100 > all * 30;
        if !is_meant && (is_all || is_much) {
            let sha = release.commit.sha.short();
            let why = format!("{sha} removes {removed} of {all} objects");
            return Err(Rule::DeletionsAreHeld.broken(why));
        }
        Ok(())
    }

    /// Looks at what a server believes.
    pub fn believed(&self, world: &World, database: &World, seen: &Seen<'_>) -> Result<(), Breach> {
        if world != database {
            let why = format!("at turn {}", world.turn.0);
            return Err(Rule::MemoryIsTheDatabase.broken(why));
        }
        world.releases.values().try_for_each(|release| self.comes_to_an_end(release, seen))?;
        seen.nodes.iter().try_for_each(|node| is_noticed(node, world, seen))
    }

    fn comes_to_an_end(&self, release: &Release, seen: &Seen<'_>) -> Result<(), Breach> {
        let sha = release.commit.sha.short();
        let since = |moment: Timestamp| seen.now.since(moment.max(self.asked_at));
        let is_head = seen.git.head.as_ref() == Some(&release.commit.sha);
        match (release.verdict, release.finished_at) {
            (Verdict::Rolling, _) if since(release.started_at) > LONGEST_RELEASE => {
                let why = format!("{sha} rolls for {:?}", since(release.started_at));
                Err(Rule::ReleasesEnd.broken(why))
            }
            (Verdict::Reverted, Some(finished_at))
                if is_head && release.revert.is_none() && since(finished_at) > REVERT =>
            {
                Err(Rule::RevertsCome.broken(format!("the branch still ends with {sha}")))
            }
            _ => Ok(()),
        }
    }
}

fn is_noticed(node: &Node, world: &World, seen: &Seen<'_>) -> Result<(), Breach> {
    let silent_since = node.silent_since.map(|since| since.max(seen.led_since));
    let is_silent = silent_since.is_some_and(|at| seen.now.since(at) > NODE_TIMEOUT + NOTICE);
    if is_silent && world.nodes.get(&node.name).is_some_and(|row| row.is_ready()) {
        let why = format!("node {} is silent and counts as ready", node.name);
        return Err(Rule::SilenceIsNoticed.broken(why));
    }
    Ok(())
}

fn objects_of<'a>(git: &'a Git, release: &Release) -> Option<&'a DeclaredObjects> {
    match &git.get(&release.commit.sha)?.content {
        RevisionContent::Objects { objects, .. } => Some(objects),
        RevisionContent::Problems(_) => None,
    }
}

fn has_own_template(set: &ReplicaSet, world: &World) -> Result<(), Breach> {
    let others = world.replica_sets_of(set.owner).filter(|other| other.uid != set.uid);
    match { others }.find(|other| other.template_hash == set.template_hash) {
        None => Ok(()),
        Some(other) => {
            let why = format!("{} and {} have one template", set.name, other.name);
            Err(Rule::TemplatesAreReused.broken(why))
        }
    }
}

fn is_as_declared(
    world: &World,
    release: &Release,
    declared: Option<&DeclaredObjects>,
) -> Result<(), Breach> {
    let sha = release.commit.sha.short();
    let Some(declared) = declared else {
        let why = format!("{sha} has errors and is healthy");
        return Err(Rule::GitIsTheTruth.broken(why));
    };
    let rows = world.objects.iter();
    let differs = rows
        .map(|(id, row)| (id, declared.get(id).is_some_and(|asked| asked.asks_same(&row.declared))))
        .find_map(|(id, is_asked_for)| (!is_asked_for).then_some(id));
    match differs.or_else(|| declared.keys().find(|id| !world.objects.contains_key(*id))) {
        None => Ok(()),
        Some(id) => {
            let why = format!("{id} is not as {sha} declares it, which is healthy");
            Err(Rule::GitIsTheTruth.broken(why))
        }
    }
}
