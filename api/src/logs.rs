//! The log of a pod's container.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use dugout_model::{ObjectName, Pod, Timestamp, World};
use futures_util::StreamExt;
use k8s_openapi::jiff;
use serde::Deserialize;

use crate::backend::{Backend, ByteStream, LogsRequest};
use crate::failure::{Failure, Reason};
use crate::limits::Gate;
use crate::query::parameters;
use crate::read::Snapshot;
use crate::target::Target;

/// What `kubectl logs` may send.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Parameters {
    container: String,
    follow: bool,
    tail_lines: Option<u32>,
    since_seconds: Option<u64>,
    since_time: Option<jiff::Timestamp>,
    timestamps: bool,
    previous: bool,
    limit_bytes: Option<u64>,
    stream: String,
}

/// Answers `GET …/pods/{name}/log`.
pub(crate) async fn log(
    backend: &dyn Backend,
    gate: &Arc<Gate>,
    target: &Target,
    name: &ObjectName,
    uri: &Uri,
    now: Timestamp,
) -> Result<Response, Failure> {
    let given: Parameters = parameters(uri)?;
    let snapshot = Snapshot::of(backend)?;
    let request = request(&snapshot.world, target, name, given, now)?;
    let place = gate.log_stream()?;
    let stream = backend.logs(request).await?;
    Ok(stream_response(stream, place))
}

fn request(
    world: &World,
    target: &Target,
    name: &ObjectName,
    given: Parameters,
    now: Timestamp,
) -> Result<LogsRequest, Failure> {
    refuse_what_is_missing(&given)?;
    let pod = world
        .pods
        .values()
        .find(|pod| Some(&pod.namespace) == target.namespace.as_ref() && pod.name == *name)
        .ok_or_else(|| Failure::object_not_found("pods", name.as_str()))?;
    let container = container(world, pod, given.container)?;
    if pod.node().is_none() {
        return Err(Failure::bad_request(format!(
            "container \"{container}\" in pod \"{name}\" is waiting to start: the pod has no node yet"
        )));
    }
    let since = match (given.since_seconds, given.since_time) {
        (Some(_), Some(_)) => {
            return Err(Failure::bad_request("give sinceSeconds or sinceTime, not both"));
        }
        (Some(seconds), None) => Some(now - Duration::from_secs(seconds)),
        (None, Some(moment)) => Some(Timestamp::from_micros(moment.as_microsecond())),
        (None, None) => None,
    };
    Ok(LogsRequest {
        pod: pod.uid,
        container,
        follow: given.follow,
        tail_lines: given.tail_lines,
        since,
        timestamps: given.timestamps,
    })
}

fn refuse_what_is_missing(given: &Parameters) -> Result<(), Failure> {
    if given.previous {
        return Err(Failure::bad_request(
            "the log of a container's previous run is not kept: it goes with the container. \
             How it ended is in the pod's lastState",
        ));
    }
    if given.limit_bytes.is_some() {
        return Err(Failure::bad_request("limitBytes is not offered; use tailLines"));
    }
    if !matches!(given.stream.as_str(), "" | "All") {
        return Err(Failure::bad_request("only both streams together are offered"));
    }
    Ok(())
}

/// The container that was named, or the only one.
pub(crate) fn container(world: &World, pod: &Pod, named: String) -> Result<String, Failure> {
    let Some(set) = world.replica_set_of(pod) else {
        return Err(Failure::new(
            Reason::Conflict,
            format!("pod \"{}\" is being removed: its replica set is gone", pod.name),
        ));
    };
    let names: Vec<&str> = set.template.all_containers().map(|each| each.name.as_str()).collect();
    match set.template.containers.as_slice() {
        [only] if named.is_empty() => Ok(only.name.clone()),
        _ if names.contains(&named.as_str()) => Ok(named),
        _ if named.is_empty() => Err(Failure::bad_request(format!(
            "pod {} has several containers; choose one of: {}",
            pod.name,
            names.join(", ")
        ))),
        _ => Err(Failure::bad_request(format!(
            "container {named} is not valid for pod {}; it has: {}",
            pod.name,
            names.join(", ")
        ))),
    }
}

/// The bytes as they come. `place` is held until the stream ends or the caller leaves.
fn stream_response(stream: ByteStream, place: impl Send + 'static) -> Response {
    let bytes = stream.map(move |piece: Result<Bytes, _>| {
        let _held = &place;
        piece.inspect_err(|error| tracing::warn!(%error, "a log stream ended early"))
    });
    let mut response = Response::new(Body::from_stream(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
