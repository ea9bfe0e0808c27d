//! Lists and single objects.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use dugout_model::{NamespaceName, ObjectName, Release, SourceName, Timestamp, World};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use serde::Serialize;

use crate::accept::{Form, form};
use crate::backend::{Backend, BackendError, Leading, not_leading};
use crate::convert::{Object, Uids, View};
use crate::failure::{Failure, Reason};
use crate::item::{History, Item, is_history, items, release_named};
use crate::query::{After, ListQuery, include_object};
use crate::resource::Resource;
use crate::table::table;
use crate::target::Target;

/// The most rows of history that one list gives.
pub const HISTORY_LIMIT: u32 = 1000;
/// The rows of history in a list that names no limit.
const HISTORY_DEFAULT: u32 = 500;
/// From so many objects on, a list is made on a thread of its own, so that it delays nobody.
const LARGE_LIST: usize = 500;

/// Answers a list.
pub(crate) async fn list(
    backend: &dyn Backend,
    target: Target,
    uri: &Uri,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Response, Failure> {
    let form = form(headers)?;
    let query = ListQuery::parse(uri, target.resource)?;
    let snapshot = Snapshot::of(backend)?;
    let history = history(backend, &target, &query).await?;
    let warning = snapshot.warning;
    let world = snapshot.world;
    let rows = world.pods.len() + world.objects.len() + history.events.len();
    let make = move || list_body(&world, &history, &target, &query, form, now);
    let body = if rows < LARGE_LIST {
        make()?
    } else {
        tokio::task::spawn_blocking(make).await.map_err(|error| {
            tracing::error!(%error, "making a list failed");
            Failure::new(Reason::InternalError, "the list could not be made; the log says why")
        })??
    };
    Ok(json_response(body, warning))
}

/// Answers for one object.
pub(crate) async fn get(
    backend: &dyn Backend,
    target: &Target,
    name: &ObjectName,
    uri: &Uri,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Response, Failure> {
    let form = form(headers)?;
    let include = include_object(uri)?;
    let snapshot = Snapshot::of(backend)?;
    let view = View { world: &snapshot.world, now };
    let object = match target.resource {
        Resource::Releases => one_release(backend, view, name).await?,
        Resource::TimelineEntries => {
            return Err(Failure::new(
                Reason::MethodNotAllowed,
                "a step of the timeline cannot be read alone; list timelineentries",
            ));
        }
        Resource::Events => {
            let history = events(backend, target.namespace.as_ref(), HISTORY_LIMIT).await?;
            one_item(view, &history, target, name)?
        }
        _ => one_item(view, &History::default(), target, name)?,
    };
    let body = match form {
        Form::Json => to_json(&object)?,
        Form::Table => {
            let metadata = list_metadata(view, None, None);
            to_json(&table(target.resource, metadata, &[object], include, now))?
        }
    };
    Ok(json_response(body, snapshot.warning))
}

/// The world to read, and what to say with it.
pub(crate) struct Snapshot {
    pub(crate) world: Arc<World>,
    warning: Option<String>,
}

impl Snapshot {
    /// Refuses where there is nothing true to show.
    pub(crate) fn of(backend: &dyn Backend) -> Result<Self, Failure> {
        let world = backend.world();
        match backend.leading() {
            Leading::Leads => Ok(Self { world, warning: None }),
            Leading::StandsBy { leader } => {
                Err(Failure::new(Reason::ServiceUnavailable, not_leading(leader.as_deref())))
            }
            Leading::NoDatabase { message } if world.turn.0 == 0 => Err(Failure::new(
                Reason::ServiceUnavailable,
                format!("the database has not been reached yet: {message}"),
            )),
            Leading::NoDatabase { message } => {
                let warning = format!(
                    "the database does not answer ({message}); this is the last known state"
                );
                Ok(Self { world, warning: Some(warning) })
            }
        }
    }
}

async fn history(
    backend: &dyn Backend,
    target: &Target,
    query: &ListQuery,
) -> Result<History, Failure> {
    let limit = match u32::try_from(query.limit) {
        Ok(0) => HISTORY_DEFAULT,
        Ok(limit) => limit.min(HISTORY_LIMIT),
        Err(_) => HISTORY_LIMIT,
    };
    // What is filtered here is filtered after reading, so it must be read in full.
    let read =
        if query.fields.is_empty() && query.labels.is_empty() { limit } else { HISTORY_LIMIT };
    match target.resource {
        Resource::Events => events(backend, target.namespace.as_ref(), read).await,
        Resource::Releases => {
            let source = query.fields.exact("spec.source").map(SourceName::new);
            let releases = backend.releases(source.as_ref(), read).await?;
            Ok(History { releases, ..History::default() })
        }
        Resource::TimelineEntries => {
            let source = query.fields.exact("source").map(SourceName::new);
            let timeline = backend.timeline(source.as_ref(), query.commit.as_deref(), read).await?;
            Ok(History { timeline, ..History::default() })
        }
        _ => Ok(History::default()),
    }
}

/// Events, oldest first, as `kubectl` prints what it gets.
async fn events(
    backend: &dyn Backend,
    namespace: Option<&NamespaceName>,
    limit: u32,
) -> Result<History, Failure> {
    // The default namespace also shows the events of what has no namespace.
    let namespace =
        namespace.filter(|name| name.as_str() != crate::convert::NAMESPACE_OF_CLUSTER_EVENTS);
    let mut events = backend.events(namespace, limit).await?;
    events.reverse();
    Ok(History { events, ..History::default() })
}

async fn one_release(
    backend: &dyn Backend,
    view: View<'_>,
    name: &ObjectName,
) -> Result<Object, Failure> {
    let missing = || Failure::object_not_found("releases.dugout.dev", name.as_str());
    let open = view.world.releases.values().map(|row| Release::clone(row)).collect::<Vec<_>>();
    let release = match release_named(&open, name.as_str()) {
        Some(release) => release.clone(),
        None => {
            let (source, _) = name.as_str().rsplit_once('-').ok_or_else(missing)?;
            let source = SourceName::new(source);
            let all = backend.releases(Some(&source), HISTORY_LIMIT).await?;
            release_named(&all, name.as_str()).cloned().ok_or_else(missing)?
        }
    };
    let problems = match backend.problems(&release.source, release.commit.sha.as_str()).await {
        Ok(problems) => problems,
        Err(BackendError::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(Object::Release(Box::new(view.release(&release, Some(&problems)))))
}

fn one_item(
    view: View<'_>,
    history: &History,
    target: &Target,
    name: &ObjectName,
) -> Result<Object, Failure> {
    let uids = uids_for(target.resource, view.world);
    items(view.world, history, target.resource, target.namespace.as_ref())
        .into_iter()
        .find(|item| item.name() == name.as_str())
        .map(|item| item.object(view, &uids))
        .ok_or_else(|| {
            let description = target.resource.describe();
            let resource = match description.group.name() {
                "" => description.plural.to_owned(),
                group => format!("{}.{group}", description.plural),
            };
            Failure::object_not_found(&resource, name.as_str())
        })
}

/// Only events need them.
fn uids_for(resource: Resource, world: &World) -> Uids<'_> {
    if resource == Resource::Events { Uids::of(world) } else { Uids::default() }
}

/// A list as it goes over the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListBody {
    api_version: &'static str,
    kind: String,
    metadata: ListMeta,
    items: Vec<Object>,
}

fn list_body(
    world: &World,
    history: &History,
    target: &Target,
    query: &ListQuery,
    form: Form,
    now: Timestamp,
) -> Result<Vec<u8>, Failure> {
    let view = View { world, now };
    let uids = uids_for(target.resource, world);
    let mut items = items(world, history, target.resource, target.namespace.as_ref());
    if let Some(After { namespace, name }) = &query.after {
        items.retain(|item| item.place() > (namespace.as_str(), name.as_str().into()));
    }
    items.retain(|item| item.has_labels(world, &query.labels));
    items.retain(|item| item.has_fields(&uids, &query.fields));
    if !is_history(target.resource) {
        items.sort_unstable_by(|a, b| a.place().cmp(&b.place()));
    }
    let (continue_token, remaining) = cut(&mut items, target.resource, query.limit);
    let metadata = list_metadata(view, continue_token, remaining);
    let objects: Vec<Object> = items.into_iter().map(|item| item.object(view, &uids)).collect();
    match form {
        Form::Table => to_json(&table(target.resource, metadata, &objects, query.include, now)),
        Form::Json => {
            let description = target.resource.describe();
            to_json(&ListBody {
                api_version: description.group.api_version(),
                kind: format!("{}List", description.kind),
                metadata,
                items: objects,
            })
        }
    }
}

/// Cuts a list to its page. Returns the token of the next one and the number of things after this.
/// Of history, which has no further pages, the newest are kept.
fn cut(
    items: &mut Vec<Item<'_>>,
    resource: Resource,
    limit: usize,
) -> (Option<String>, Option<i64>) {
    if limit == 0 || items.len() <= limit {
        return (None, None);
    }
    match resource {
        Resource::Events | Resource::TimelineEntries => {
            items.drain(..items.len() - limit);
            return (None, None);
        }
        Resource::Releases => {
            items.truncate(limit);
            return (None, None);
        }
        _ => {}
    }
    let remaining = i64::try_from(items.len() - limit).ok();
    items.truncate(limit);
    let token = items.last().map(|last| {
        let (namespace, name) = last.place();
        After { namespace: namespace.to_owned(), name: name.into_owned() }.token()
    });
    (token, remaining)
}

fn list_metadata(view: View<'_>, continue_: Option<String>, remaining: Option<i64>) -> ListMeta {
    ListMeta {
        continue_,
        remaining_item_count: remaining,
        resource_version: Some(view.world.turn.0.to_string()),
        ..ListMeta::default()
    }
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Failure::new(Reason::InternalError, "the answer could not be written; the log says why")
    })
}

fn json_response(body: Vec<u8>, warning: Option<String>) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(value) = warning.and_then(|text| warning_value(&text)) {
        headers.insert(header::WARNING, value);
    }
    response
}

/// A `Warning` header, which `kubectl` prints.
fn warning_value(text: &str) -> Option<HeaderValue> {
    let printable: String =
        text.chars().filter(|c| (' '..='~').contains(c) && !"\"\\".contains(*c)).collect();
    HeaderValue::from_str(&format!("299 - \"{printable}\"")).ok()
}

/// A value as the answer to an operation or to discovery.
pub(crate) fn json(value: impl Serialize) -> Response {
    Json(value).into_response()
}
