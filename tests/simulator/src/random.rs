//! Chance, from a seed.

use std::time::Duration;

use dugout_model::IdSource;

/// A stream of dice that the seed determines.
#[derive(Clone, Debug)]
pub(crate) struct Random(IdSource);

impl Random {
    pub fn from_seed(seed: u64) -> Self {
        Self(IdSource::from_seed(seed))
    }

    /// A stream of its own, so that what one part draws does not shift what another draws.
    pub fn fork(&mut self) -> Self {
        Self::from_seed(self.0.next_u64())
    }

    pub fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    /// A span between two numbers of milliseconds.
    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least + 1))
    }

    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}
