//! What the world does not keep and people ask for: past releases, revisions, timelines and events;
//! and the bounded clean-up of all that.

use sqlx::postgres::PgQueryResult;

use dugout_model::{
    CommitSha, Event, EventType, NamespaceName, Release, SourceName, Step, StoredRevision,
    TimelineEntry, Timestamp,
};

use crate::load::understood;
use crate::store::within;
use crate::{Store, StoreError, moment, text};

/// How many releases of each source are kept, however old they are.
const RELEASES_KEPT: i64 = 200;

/// How many rows [`Store::forget_old`] removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Forgotten {
    pub events: u64,
    pub releases: u64,
    pub timeline: u64,
    pub revisions: u64,
}

impl Forgotten {
    /// The most rows of one table. As many as the limit: there may be more of them.
    pub fn largest(&self) -> u64 {
        let Self { events, releases, timeline, revisions } = *self;
        events.max(releases).max(timeline).max(revisions)
    }
}

impl Store {
    /// The newest `limit` steps of a commit of a source, oldest first. `sha_prefix` is the start of the
    /// commit's id; without it, the commit of the source's newest release.
    ///
    /// # Errors
    /// [`StoreError::AmbiguousCommit`] when the prefix fits several commits. A prefix that fits none
    /// gives an empty timeline.
    pub async fn timeline(
        &self,
        source: &SourceName,
        sha_prefix: Option<&str>,
        limit: u32,
    ) -> Result<Vec<TimelineEntry>, StoreError> {
        let sha = match sha_prefix {
            Some(prefix) => self.commit_of_timeline(source, prefix).await?,
            None => self.newest_commit(source).await?,
        };
        let Some(sha) = sha else { return Ok(Vec::new()) };
        // However many pods there are: how the commit itself fared is told whole.
        let query = sqlx::query!(
            "select at, step, subject, message from timeline where source = $1 and sha = $2
             and (subject = '' or id in (
                 select id from timeline where source = $1 and sha = $2
                 order by at desc, id desc limit $3
             ))
             order by at desc, id desc",
            &text::escape(source.as_str()),
            &sha,
            i64::from(limit)
        );
        let rows = within("reading a timeline", query.fetch_all(self.pool())).await?;
        let sha = CommitSha::new(text::unescape(sha));
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows.into_iter().rev() {
            entries.push(TimelineEntry {
                source: source.clone(),
                sha: sha.clone(),
                at: moment::from_sql(row.at),
                step: Step::parse(&row.step).ok_or_else(|| unknown_word("timeline", &row.step))?,
                subject: text::unescape(row.subject),
                message: text::unescape(row.message),
            });
        }
        Ok(entries)
    }

    /// The newest `limit` releases, of one source or of all, newest first.
    pub async fn releases(
        &self,
        source: Option<&SourceName>,
        limit: u32,
    ) -> Result<Vec<Release>, StoreError> {
        const DOING: &str = "reading the releases";
        let limit = i64::from(limit);
        let rows = match source {
            Some(source) => {
                let query = sqlx::query_scalar!(
                    r#"select document::text as "row!" from releases where source = $1
                       order by id desc limit $2"#,
                    &text::escape(source.as_str()),
                    limit
                );
                within(DOING, query.fetch_all(self.pool())).await?
            }
            None => {
                let query = sqlx::query_scalar!(
                    r#"select document::text as "row!" from releases order by id desc limit $1"#,
                    limit
                );
                within(DOING, query.fetch_all(self.pool())).await?
            }
        };
        rows.into_iter().map(|row| understood("releases", row)).collect()
    }

    /// The newest `limit` events, of one namespace or of all, in the order in which they were
    /// recorded: newest last. The empty namespace holds those of nodes and sources.
    pub async fn events(
        &self,
        namespace: Option<&NamespaceName>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let namespace = namespace.map(|name| text::escape(name.as_str()).into_owned());
        let query = sqlx::query!(
            "select at, event_type, kind, namespace, name, reason, message from events
             where $1::text is null or namespace = $1
             order by id desc limit $2",
            namespace as Option<String>,
            i64::from(limit)
        );
        let rows = within("reading the events", query.fetch_all(self.pool())).await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in rows.into_iter().rev() {
            events.push(Event {
                at: moment::from_sql(row.at),
                event_type: event_type(&row.event_type)?,
                kind: text::unescape(row.kind),
                namespace: NamespaceName::new(text::unescape(row.namespace)),
                name: text::unescape(row.name),
                reason: text::unescape(row.reason),
                message: text::unescape(row.message),
            });
        }
        Ok(events)
    }

    /// One commit of a source as it was read, with its problems.
    ///
    /// # Errors
    /// [`StoreError::AmbiguousCommit`] when the prefix fits several commits.
    pub async fn revision(
        &self,
        source: &SourceName,
        sha_prefix: &str,
    ) -> Result<Option<StoredRevision>, StoreError> {
        const DOING: &str = "reading a revision";
        let prefix = sha_prefix.to_ascii_lowercase();
        let source = text::escape(source.as_str());
        let query = sqlx::query!(
            "select min(sha) as first, max(sha) as last from revisions
             where source = $1 and sha >= $2 and sha < $2 || 'g'",
            &source,
            &text::escape(&prefix)
        );
        let fit = within(DOING, query.fetch_one(self.pool())).await?;
        let Some(sha) = the_only_one(prefix, fit.first, fit.last)? else { return Ok(None) };
        let query = sqlx::query_scalar!(
            r#"select document::text as "row!" from revisions where source = $1 and sha = $2"#,
            &source,
            &sha
        );
        let row = within(DOING, query.fetch_optional(self.pool())).await?;
        row.map(|row| understood("revisions", row)).transpose()
    }

    /// Removes history from before a moment, at most `limit` rows of each table per call, so that it
    /// never holds up a turn for long: events; and of each source the closed releases beyond the
    /// newest 200, with the timelines and revisions that no release needs any more. What the world
    /// holds always stays.
    pub async fn forget_old(&self, before: Timestamp, limit: u32) -> Result<Forgotten, StoreError> {
        const DOING: &str = "removing old history";
        let before = moment::to_sql(before).ok_or(StoreError::OutOfRange { what: "a moment" })?;
        let limit = i64::from(limit);
        let events = sqlx::query!(
            "delete from events where id in
                 (select id from events where at < $1 order by at limit $2)",
            before,
            limit
        );
        let events = within(DOING, events.execute(self.pool())).await?;
        let releases = sqlx::query!(
            "delete from releases where id in (
                 select old.id from releases as old
                 where old.started_at < $1
                     and old.verdict not in ('pending', 'held', 'rolling')
                     and old.id < (select id from releases where source = old.source
                         order by id desc offset $3 limit 1)
                     and old.id is distinct from (select max(id) from releases
                         where source = old.source and verdict = 'healthy')
                 order by old.id limit $2)",
            before,
            limit,
            RELEASES_KEPT - 1
        );
        let releases = within(DOING, releases.execute(self.pool())).await?;
        let timeline = sqlx::query!(
            "delete from timeline where id in (
                 select old.id from timeline as old
                 where old.at < $1 and not exists (select from releases
                     where releases.source = old.source and releases.sha = old.sha)
                 order by old.at limit $2)",
            before,
            limit
        );
        let timeline = within(DOING, timeline.execute(self.pool())).await?;
        let revisions = self.forget_revisions(before, limit).await?;
        Ok(Forgotten {
            events: events.rows_affected(),
            releases: releases.rows_affected(),
            timeline: timeline.rows_affected(),
            revisions: revisions.rows_affected(),
        })
    }

    async fn forget_revisions(
        &self,
        before: chrono::DateTime<chrono::Utc>,
        limit: i64,
    ) -> Result<PgQueryResult, StoreError> {
        let query = sqlx::query!(
            "delete from revisions where (source, sha) in (
                 select old.source, old.sha from revisions as old
                 where old.validated_at < $1
                     and not exists (select from releases
                         where releases.source = old.source and releases.sha = old.sha)
                     and not exists (select from sources where name = old.source and old.sha in (
                         document #>> '{status,head}', document #>> '{status,applied}',
                         document #>> '{status,healthy}'))
                 limit $2)",
            before,
            limit
        );
        within("removing old history", query.execute(self.pool())).await
    }

    async fn newest_commit(&self, source: &SourceName) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar!(
            "select sha from releases where source = $1 order by id desc limit 1",
            &text::escape(source.as_str())
        );
        within("finding the newest release", query.fetch_optional(self.pool())).await
    }

    async fn commit_of_timeline(
        &self,
        source: &SourceName,
        prefix: &str,
    ) -> Result<Option<String>, StoreError> {
        let prefix = prefix.to_ascii_lowercase();
        let query = sqlx::query!(
            "select min(sha) as first, max(sha) as last from timeline
             where source = $1 and sha >= $2 and sha < $2 || 'g'",
            &text::escape(source.as_str()),
            &text::escape(&prefix)
        );
        let fit = within("finding a commit", query.fetch_one(self.pool())).await?;
        the_only_one(prefix, fit.first, fit.last)
    }
}

/// The commit that a prefix means, from the first and the last that fit it. (Ids are hexadecimal, so
/// those with a prefix are the ones from the prefix itself up to the prefix with a `g`.)
fn the_only_one(
    prefix: String,
    first: Option<String>,
    last: Option<String>,
) -> Result<Option<String>, StoreError> {
    match (first, last) {
        (Some(first), Some(last)) if first != last => Err(StoreError::AmbiguousCommit {
            prefix,
            first: CommitSha::new(first),
            second: CommitSha::new(last),
        }),
        (first, _) => Ok(first),
    }
}

fn event_type(word: &str) -> Result<EventType, StoreError> {
    [EventType::Normal, EventType::Warning]
        .into_iter()
        .find(|candidate| candidate.as_str() == word)
        .ok_or_else(|| unknown_word("events", word))
}

fn unknown_word(table: &'static str, word: &str) -> StoreError {
    StoreError::UnreadableRow { table, source: format!("the word {word:?} is unknown").into() }
}
