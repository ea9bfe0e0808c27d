//! `policy/v1` Eviction: a pod starts anew, as another pod, if disruption budgets allow that. `dugout restart`
//! asks for it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dugout_model::{NamespaceName, ObjectName, OperatorRequest, Pod, World};
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Preconditions, Status};

use crate::failure::{Failure, Reason};
use crate::operations::{must_lead, operate};
use crate::read::json;
use crate::routes::Api;

/// Answers 201 when the pod leaves, also when it did before, and 429 while a budget holds it.
pub(crate) async fn evict(
    State(api): State<Api>,
    Path((namespace, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Failure> {
    let backend = api.backend();
    must_lead(backend)?;
    let asked = asked(&body, &name)?;
    let world = backend.world();
    let pod = existing_pod(&world, &namespace, &name)?;
    let uid = pod.uid;
    if asked.uid.as_ref().is_some_and(|wanted| *wanted != uid.to_string()) {
        let message = format!("pod {name} has the uid {uid} now");
        return Err(Failure::new(Reason::Conflict, message));
    }
    allowed(&world, &pod)?;
    if asked.is_dry_run {
        return Ok(done());
    }
    operate(backend, OperatorRequest::Evict(uid)).await?;
    // Another may have left in the same moment, and the budget with it.
    let world = backend.world();
    match world.pods.get(&uid).filter(|pod| pod.is_active()) {
        Some(pod) => {
            allowed(&world, pod)?;
            let message = "a disruption budget held the pod a moment ago; try again";
            Err(Failure::new(Reason::TooManyRequests, message))
        }
        None => Ok(done()),
    }
}

fn done() -> Response {
    let status = Status { status: Some("Success".to_owned()), ..Status::default() };
    (StatusCode::CREATED, json(status)).into_response()
}

struct Asked {
    uid: Option<String>,
    is_dry_run: bool,
}

/// What the body asks for; an empty one asks for the pod in the path.
fn asked(body: &Bytes, name: &str) -> Result<Asked, Failure> {
    if body.is_empty() {
        return Ok(Asked { uid: None, is_dry_run: false });
    }
    let eviction: Eviction = serde_json::from_slice(body).map_err(|error| {
        Failure::bad_request(format!("the body is not an Eviction in JSON: {error}"))
    })?;
    if eviction.metadata.name.as_ref().is_some_and(|named| named != name) {
        return Err(Failure::bad_request("the body names another pod than the path"));
    }
    let options = eviction.delete_options.unwrap_or_default();
    if options.grace_period_seconds.is_some() {
        return Err(Failure::bad_request(
            "a pod leaves with the grace that its manifest gives it: gracePeriodSeconds cannot be set",
        ));
    }
    let Preconditions { uid, resource_version } = options.preconditions.unwrap_or_default();
    if resource_version.is_some() {
        return Err(Failure::bad_request(
            "of preconditions only the uid is looked at: resourceVersion cannot be set",
        ));
    }
    let is_dry_run = options.dry_run.is_some_and(|stages| !stages.is_empty());
    Ok(Asked { uid, is_dry_run })
}

fn existing_pod(world: &World, namespace: &str, name: &str) -> Result<Arc<Pod>, Failure> {
    let (namespace, name) = (NamespaceName::new(namespace), ObjectName::new(name));
    let pod = world.pods_in(&namespace).find(|pod| pod.name == name);
    pod.cloned().ok_or_else(|| Failure::object_not_found("pods", name.as_str()))
}

/// Refuses while a budget holds the pod. One that leaves already needs nobody's leave.
fn allowed(world: &World, pod: &Pod) -> Result<(), Failure> {
    if !pod.is_active() {
        return Ok(());
    }
    world.may_evict(pod).map_err(|hold| {
        let message =
            format!("Cannot evict pod as it would violate the pod's disruption budget: {hold}");
        Failure::new(Reason::TooManyRequests, message)
    })
}
