//! Join tokens: made for a person, kept as hashes, and checked without asking the database each time.
//! What is looked up is a token's SHA-256, so how long it takes tells nothing of a token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dugout_model::Timestamp;
use dugout_store::{JoinToken, Store, StoreError, TokenHash};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::guesses::Guesses;

/// How long a token that was found good is believed. Within it, agents need no database; after it, a
/// revoked token is refused.
const BELIEVED: Duration = Duration::from_secs(60);

/// How long a token found good before is still believed while the database cannot be asked, so that
/// its absence keeps no agent from its assignment.
const BELIEVED_WITHOUT_DATABASE: Duration = Duration::from_secs(24 * 3600);

/// How many tokens are remembered.
const REMEMBERED: usize = 1_024;

/// What begins the name of a server's own token.
const OWN: &str = "own-";

/// A token that was just made.
pub struct NewToken {
    /// To revoke it by.
    pub name: String,
    /// The secret; kept nowhere.
    pub token: String,
}

/// What is known about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    Good,
    Bad,
    /// Too many tokens that are not valid came from there, or from everywhere; come back after this.
    TooMany(Duration),
    /// The database does not answer and the token was not seen before.
    CannotTell,
}

/// The tokens that were found good, and when.
#[derive(Default)]
struct Believed {
    found_good: HashMap<TokenHash, Instant>,
    /// Grows whenever all is forgotten: an answer to a question from before is not remembered.
    question: u64,
}

impl Believed {
    /// The answer to a question that was asked when this was `question`.
    fn found_good(&mut self, hash: TokenHash, question: u64) {
        if question != self.question {
            return;
        }
        if self.found_good.len() >= REMEMBERED {
            self.found_good.retain(|_, at| at.elapsed() < BELIEVED);
        }
        if self.found_good.len() < REMEMBERED {
            self.found_good.insert(hash, Instant::now());
        }
    }

    fn forget_all(&mut self) {
        self.found_good.clear();
        self.question += 1;
    }
}

#[derive(Clone)]
pub struct Tokens {
    store: Store,
    clock: Arc<dyn Clock>,
    believed: Arc<Mutex<Believed>>,
    guesses: Arc<Mutex<Guesses>>,
}

impl Tokens {
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, believed: Arc::default(), guesses: Arc::default() }
    }

    /// Makes a join token of 256 random bits, with what it is called. Only its hash is kept.
    pub async fn create(&self, valid_for: Option<Duration>) -> Result<NewToken, StoreError> {
        let token = format!("dugout-{}", hex::encode(rand::random::<[u8; 32]>()));
        let number: u32 = rand::random();
        let name = format!("join-{number:08x}");
        self.store(&token, name.clone(), valid_for).await?;
        Ok(NewToken { name, token })
    }

    /// Every token but its secret, by name.
    pub async fn list(&self) -> Result<Vec<JoinToken>, StoreError> {
        self.store.join_tokens().await
    }

    /// Ends a token; whether there was one. This server refuses it from now on, another one within the
    /// time for which it believes a token. An agent that holds it goes on with what it was last told.
    pub async fn revoke(&self, name: &str) -> Result<bool, StoreError> {
        let was_there = self.store.revoke_join_token(name).await?;
        // Which of those that were found good it was, only the database knew.
        self.believed().forget_all();
        Ok(was_there)
    }

    /// Makes this very token valid, also when it is already; for the agent that runs in the server's
    /// own process.
    pub async fn admit(&self, token: &str) -> Result<(), StoreError> {
        if self.store.verify_join_token(&hash(token), self.clock.now()).await?.is_some() {
            return Ok(());
        }
        // The name tells tokens of several data directories on one database apart.
        let name = format!("{OWN}{}", hex::encode(&hash(token).0[..4]));
        self.store(token, name, None).await
    }

    /// Whether a token is that of an agent in a server's own process, which would make it anew.
    pub fn is_own(name: &str) -> bool {
        name.starts_with(OWN)
    }

    async fn store(
        &self,
        token: &str,
        name: String,
        valid_for: Option<Duration>,
    ) -> Result<(), StoreError> {
        let created_at: Timestamp = self.clock.now();
        let expires_at = valid_for.map(|span| created_at + span);
        let row = JoinToken { name, created_at, expires_at };
        self.store.create_join_token(&row, &hash(token)).await
    }

    /// Whether a token that came from this address is valid. Tokens that are not are counted against
    /// the address; one that was found good before is not held up by that.
    pub async fn check(&self, token: &str, peer: IpAddr) -> TokenCheck {
        let hash = hash(token);
        let known = self.believed().found_good.get(&hash).copied();
        if known.is_some_and(|at| at.elapsed() < BELIEVED) {
            return TokenCheck::Good;
        }
        if known.is_some() {
            return self.ask(hash, known).await;
        }
        if let Err(wait) = self.guesses().take(peer, Instant::now()) {
            return TokenCheck::TooMany(wait);
        }
        let check = self.ask(hash, known).await;
        if check != TokenCheck::Bad {
            self.guesses().give_back(peer);
        }
        check
    }

    /// Asks the database about a token that was last found good at `known`.
    async fn ask(&self, hash: TokenHash, known: Option<Instant>) -> TokenCheck {
        let question = self.believed().question;
        match self.store.verify_join_token(&hash, self.clock.now()).await {
            Ok(Some(_)) => {
                self.believed().found_good(hash, question);
                TokenCheck::Good
            }
            Ok(None) => {
                self.believed().found_good.remove(&hash);
                TokenCheck::Bad
            }
            Err(_) if known.is_some_and(|at| at.elapsed() < BELIEVED_WITHOUT_DATABASE) => {
                TokenCheck::Good
            }
            Err(_) => TokenCheck::CannotTell,
        }
    }

    fn believed(&self) -> std::sync::MutexGuard<'_, Believed> {
        self.believed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guesses(&self) -> std::sync::MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_a_revocation_overtook_is_not_believed() {
        let mut believed = Believed::default();
        let (kept, revoked) = (TokenHash([1; 32]), TokenHash([2; 32]));
        let question = believed.question;
        // The database found it good, and then it was revoked, before the answer was here.
        believed.forget_all();
        believed.found_good(revoked, question);
        assert!(believed.found_good.is_empty());
        believed.found_good(kept, believed.question);
        assert!(believed.found_good.contains_key(&kept));
    }
}
