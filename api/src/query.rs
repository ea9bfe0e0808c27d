//! The query of a read, parsed and checked.

use axum::extract::Query;
use axum::http::Uri;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Reason};
use crate::item::{is_history, selectable_fields};
use crate::resource::Resource;
use crate::selector::{FieldQuery, LabelQuery};
use crate::table::IncludeObject;

/// The parameters that a list or a get understands. Those that only tune a client's cache
/// (`resourceVersion`, `timeout` and such) change nothing in an answer that is always the newest.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Parameters {
    label_selector: String,
    field_selector: String,
    limit: String,
    #[serde(rename = "continue")]
    continue_token: String,
    watch: String,
    include_object: String,
    commit: String,
}

/// A list, as asked for.
#[derive(Clone, Debug)]
pub(crate) struct ListQuery {
    pub(crate) labels: LabelQuery,
    pub(crate) fields: FieldQuery,
    /// 0: no limit.
    pub(crate) limit: usize,
    pub(crate) after: Option<After>,
    pub(crate) include: IncludeObject,
    /// The first characters of a commit, for the timeline.
    pub(crate) commit: Option<String>,
}

/// The last thing on the page before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct After {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl After {
    /// The token that a client sends to get the next page.
    pub(crate) fn token(&self) -> String {
        hex::encode(format!("{}/{}", self.namespace, self.name))
    }

    fn parse(token: &str) -> Option<After> {
        let text = String::from_utf8(hex::decode(token).ok()?).ok()?;
        let (namespace, name) = text.split_once('/')?;
        Some(After { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl ListQuery {
    pub(crate) fn parse(uri: &Uri, resource: Resource) -> Result<ListQuery, Failure> {
        let given: Parameters = parameters(uri)?;
        if !matches!(given.watch.as_str(), "" | "0" | "false") {
            return Err(Failure::new(
                Reason::MethodNotAllowed,
                "watching is not offered; list again, or follow 'dugout status'",
            ));
        }
        let wrong = |error: crate::selector::SelectorError| Failure::bad_request(error.to_string());
        let labels = LabelQuery::parse(&given.label_selector).map_err(wrong)?;
        let fields = FieldQuery::parse(&given.field_selector).map_err(wrong)?;
        check_fields(resource, &fields)?;
        if !given.commit.is_empty() && resource != Resource::TimelineEntries {
            return Err(Failure::bad_request("only the timeline is selected by commit"));
        }
        Ok(ListQuery {
            labels,
            fields,
            limit: limit(&given.limit)?,
            after: after(resource, &given.continue_token)?,
            include: include(&given.include_object)?,
            commit: commit(given.commit)?,
        })
    }
}

/// How much of each object a table of one carries.
pub(crate) fn include_object(uri: &Uri) -> Result<IncludeObject, Failure> {
    let given: Parameters = parameters(uri)?;
    include(&given.include_object)
}

/// The query of a request as `T`.
pub(crate) fn parameters<T: DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    Query::try_from_uri(uri)
        .map(|Query(given)| given)
        .map_err(|error| Failure::bad_request(format!("the query cannot be read: {error}")))
}

fn check_fields(resource: Resource, fields: &FieldQuery) -> Result<(), Failure> {
    let known = selectable_fields(resource);
    for requirement in fields.requirements() {
        if !known.contains(&requirement.field.as_str()) {
            return Err(Failure::bad_request(format!(
                "field label not supported: {}; supported here: {}",
                requirement.field,
                known.join(", ")
            )));
        }
    }
    Ok(())
}

fn limit(text: &str) -> Result<usize, Failure> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| Failure::bad_request(format!("limit '{text}' is not a whole number")))
}

fn after(resource: Resource, token: &str) -> Result<Option<After>, Failure> {
    if token.is_empty() {
        return Ok(None);
    }
    if is_history(resource) {
        return Err(Failure::bad_request(
            "this list has no further pages; ask for a larger limit instead",
        ));
    }
    match After::parse(token) {
        Some(after) => Ok(Some(after)),
        None => Err(Failure::bad_request("the continue token is not one of ours")),
    }
}

fn include(text: &str) -> Result<IncludeObject, Failure> {
    match text {
        "" | "Metadata" => Ok(IncludeObject::Metadata),
        "None" => Ok(IncludeObject::None),
        "Object" => Ok(IncludeObject::Object),
        other => Err(Failure::bad_request(format!(
            "includeObject '{other}' is not one of None, Metadata, Object"
        ))),
    }
}

fn commit(text: String) -> Result<Option<String>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let text = text.to_ascii_lowercase();
    if text.len() <= 64 && text.chars().all(|c| c.is_ascii_hexdigit()) {
        Ok(Some(text))
    } else {
        Err(Failure::bad_request(format!("'{text}' is not the beginning of a commit's id")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str, resource: Resource) -> Result<ListQuery, Failure> {
        let uri: Uri = format!("/x?{query}").parse().expect("a uri");
        ListQuery::parse(&uri, resource)
    }

    #[test]
    fn continue_tokens_lead_back_to_the_last_name() {
        let after = After { namespace: "demo".to_owned(), name: "web.1-x".to_owned() };
        let query = format!("limit=2&continue={}", after.token());
        let query = list(&query, Resource::Pods).expect("a good query");
        assert_eq!(query.after, Some(after));
        assert_eq!(query.limit, 2);
    }

    #[test]
    fn what_cannot_be_done_is_refused_rather_than_ignored() {
        for (query, resource) in [
            ("watch=true", Resource::Pods),
            ("watch=1", Resource::Pods),
            ("limit=x", Resource::Pods),
            ("limit=-1", Resource::Pods),
            ("continue=zz", Resource::Pods),
            ("continue=00", Resource::Events),
            ("fieldSelector=spec.hostname%3Da", Resource::Pods),
            ("labelSelector=a%3Db%3Dc", Resource::Pods),
            ("includeObject=All", Resource::Pods),
            ("commit=abc", Resource::Pods),
            ("commit=xyz", Resource::TimelineEntries),
        ] {
            assert!(list(query, resource).is_err(), "{query}");
        }
        assert!(list("timeout=32s&resourceVersion=0&watch=false", Resource::Pods).is_ok());
    }
}
