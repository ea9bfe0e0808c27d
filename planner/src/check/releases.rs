//! A release has one verdict, and one that went back is back whole.

use std::sync::Arc;

use dugout_model::{
    Change, ObjectId, Quarantine, Release, ReleaseId, SourceName, StoredObject, Verdict, World,
};

use super::{Checker, Violation};
use crate::Plan;

impl Checker<'_> {
    pub(super) fn releases(&mut self, plan: &Plan) {
        let newest_before = self.before.releases.keys().next_back().copied();
        for change in &plan.changes {
            match change {
                Change::PutRelease(row) => self.release(row, newest_before),
                Change::PutObject(row) => {
                    let quarantine =
                        Quarantine { source: row.source.clone(), sha: row.sha.clone() };
                    let known = self.before.objects.get(&row.declared.id());
                    // What is there already may become an orphan.
                    let is_clean = !self.before.quarantine.contains(&quarantine)
                        || self.is_baseline(row)
                        || known.is_some_and(|known| known.sha == row.sha);
                    self.require(is_clean, || Violation::QuarantinedObject {
                        object: row.declared.id(),
                    });
                }
                _ => {}
            }
        }
    }

    /// Whether an object is what its source was last healthy with, whichever commit that was.
    fn is_baseline(&self, row: &StoredObject) -> bool {
        let baseline = self.before.baselines.get(&(row.source.clone(), row.declared.id()));
        let baseline = baseline.filter(|baseline| baseline.role.is_gone_back_to());
        let before = baseline.and_then(|baseline| baseline.before.as_ref());
        before.is_some_and(|before| before.declared.asks_same(&row.declared))
    }

    /// Whether an object is again what it was, unless another source has it now.
    fn is_back(&self, source: &SourceName, id: &ObjectId) -> bool {
        let baseline = self.before.baselines.get(&(source.clone(), id.clone()));
        let Some(baseline) = baseline.filter(|baseline| baseline.role.is_gone_back_to()) else {
            return true;
        };
        match (&baseline.before, self.after.objects.get(id)) {
            (_, Some(now)) if now.source != *source => true,
            (Some(before), Some(now)) => before.declared.asks_same(&now.declared),
            (None, None) => true,
            _ => false,
        }
    }

    fn release(&mut self, row: &Arc<Release>, newest_before: Option<ReleaseId>) {
        let release = row.id;
        match self.before.releases.get(&release) {
            Some(before) => {
                let may_change = before.verdict.is_open() || before.verdict == row.verdict;
                self.require(may_change, || Violation::VerdictChanged { release });
                if before.verdict.is_open() && row.verdict == Verdict::Reverted {
                    let is_whole = row.touched.iter().all(|id| self.is_back(&row.source, id))
                        && !may_go_back_further(self.after, &row.source);
                    self.require(is_whole, || Violation::WayBackIncomplete { release });
                }
            }
            None => {
                let is_new = newest_before.is_none_or(|newest| release > newest);
                self.require(is_new, || Violation::ReleaseIdReused { release });
            }
        }
    }
}

/// Whether something is kept that a source would go back to.
fn may_go_back_further(world: &World, source: &SourceName) -> bool {
    world.baselines_of(source).any(|row| row.role.is_gone_back_to())
}
