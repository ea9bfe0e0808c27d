//! Join tokens. The database knows only their SHA-256, so that reading it lets nobody join.

use std::fmt;

use dugout_model::Timestamp;

use crate::store::within;
use crate::{Store, StoreError, moment, text};

/// What is known of a join token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// For people, to revoke it by; unique.
    pub name: String,
    pub created_at: Timestamp,
    /// Never, when absent.
    pub expires_at: Option<Timestamp>,
}

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TokenHash(…)")
    }
}

impl Store {
    /// # Errors
    /// [`StoreError::TokenExists`] when the name or the hash is taken.
    pub async fn create_join_token(
        &self,
        token: &JoinToken,
        hash: &TokenHash,
    ) -> Result<(), StoreError> {
        let query = sqlx::query!(
            "insert into join_tokens (name, hash, created_at, expires_at) values ($1, $2, $3, $4)
             on conflict do nothing",
            &text::escape(&token.name),
            &hash.0,
            to_sql(token.created_at)?,
            token.expires_at.map(to_sql).transpose()?
        );
        let made = within("storing a join token", query.execute(self.pool())).await?;
        if made.rows_affected() == 0 {
            return Err(StoreError::TokenExists { name: token.name.clone() });
        }
        Ok(())
    }

    /// The token with this hash, unless it has expired or there is none.
    pub async fn verify_join_token(
        &self,
        hash: &TokenHash,
        now: Timestamp,
    ) -> Result<Option<JoinToken>, StoreError> {
        let query = sqlx::query!(
            "select name, created_at, expires_at from join_tokens
             where hash = $1 and (expires_at is null or expires_at > $2)",
            &hash.0,
            to_sql(now)?
        );
        let row = within("checking a join token", query.fetch_optional(self.pool())).await?;
        Ok(row.map(|row| JoinToken {
            name: text::unescape(row.name),
            created_at: moment::from_sql(row.created_at),
            expires_at: row.expires_at.map(moment::from_sql),
        }))
    }

    /// Every token, by name, also the expired ones.
    pub async fn join_tokens(&self) -> Result<Vec<JoinToken>, StoreError> {
        let query =
            sqlx::query!("select name, created_at, expires_at from join_tokens order by name");
        let rows = within("reading the join tokens", query.fetch_all(self.pool())).await?;
        Ok(rows
            .into_iter()
            .map(|row| JoinToken {
                name: text::unescape(row.name),
                created_at: moment::from_sql(row.created_at),
                expires_at: row.expires_at.map(moment::from_sql),
            })
            .collect())
    }

    /// Removes a token; whether there was one. Agents that hold it cannot connect with it any more.
    pub async fn revoke_join_token(&self, name: &str) -> Result<bool, StoreError> {
        let query = sqlx::query!("delete from join_tokens where name = $1", &text::escape(name));
        let gone = within("revoking a join token", query.execute(self.pool())).await?;
        Ok(gone.rows_affected() > 0)
    }
}

fn to_sql(moment: Timestamp) -> Result<chrono::DateTime<chrono::Utc>, StoreError> {
    moment::to_sql(moment).ok_or(StoreError::OutOfRange { what: "a moment" })
}
