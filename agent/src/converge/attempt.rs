//! How far the newest attempt of a container is. It outlives the container: what became of one that
//! is not started again must not depend on who removed or restarted what is left of it. Pure.

use dugout_model::{ContainerExit, RestartPolicy};

/// One start of a container, by its place among those of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub number: u32,
    pub stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The engine was asked to start it, or it was seen running.
    Begun,
    /// The engine was asked to stop it.
    Stopping(Stopping),
    /// How it ended, and what it was told before. The first end counts: whoever starts the same
    /// container again by hand does not undo it.
    Ended { exit: ContainerExit, after: Option<Stopping> },
}

/// Why we stop a container, as far as it matters for what its end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// A probe gave it up: it failed, whatever its exit code.
    GivenUp,
    /// Its pod leaves, or a person stopped it: its end says nothing of its work, whatever its exit code.
    Ordered,
}

impl Attempt {
    /// How it ended, if no other attempt follows: as the restart policy has it.
    pub fn final_exit(&self, policy: RestartPolicy) -> Option<&ContainerExit> {
        let Stage::Ended { exit, after } = &self.stage else { return None };
        let is_final = match (policy, after) {
            (RestartPolicy::Always, _) | (_, Some(Stopping::Ordered)) => false,
            (RestartPolicy::OnFailure, after) => exit.exit_code == 0 && after.is_none(),
            (RestartPolicy::Never, _) => true,
        };
        is_final.then_some(exit)
    }
}
