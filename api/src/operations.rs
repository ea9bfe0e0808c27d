//! Runtime operations: what a person may do without changing desired state. All need the operator
//! token.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use dugout_model::{CommitSha, NodeName, OperatorRequest, SourceName, Verdict, World};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;

use crate::backend::{Backend, Leading, RollbackOnBranch, RollbackRequest, not_leading};
use crate::convert::moment;
use crate::dugout::{
    API_VERSION, ApproveBody, DrainAnswer, DrainingPod, JoinTokenAnswer, JoinTokenBody,
    JoinTokenItem, JoinTokenList, PlanBody, RollbackAnswer, RollbackBody, SyncAnswer,
};
use crate::eviction;
use crate::failure::{Failure, Reason};
use crate::read::json;
use crate::routes::Api;

/// The routes, without their guard.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/apis/dugout.dev/v1/sync", only(post(sync_all)))
        .route("/apis/dugout.dev/v1/rollback", only(post(rollback_only)))
        .route("/apis/dugout.dev/v1/sources/{name}/sync", only(post(sync_one)))
        .route("/apis/dugout.dev/v1/sources/{name}/suspend", only(post(suspend)))
        .route("/apis/dugout.dev/v1/sources/{name}/resume", only(post(resume)))
        .route("/apis/dugout.dev/v1/sources/{name}/rollback", only(post(rollback_one)))
        .route("/apis/dugout.dev/v1/sources/{name}/plan", only(post(plan)))
        .route("/apis/dugout.dev/v1/nodes/{name}/cordon", only(post(cordon)))
        .route("/apis/dugout.dev/v1/nodes/{name}/uncordon", only(post(uncordon)))
        .route("/apis/dugout.dev/v1/nodes/{name}/drain", only(post(drain).get(drain_so_far)))
        .route("/apis/dugout.dev/v1/nodes/{name}/delete", only(post(delete_node)))
        .route("/api/v1/namespaces/{namespace}/pods/{name}/eviction", only(post(eviction::evict)))
        .route("/apis/dugout.dev/v1/sources/{name}/approve", only(post(approve)))
        .route(
            "/apis/dugout.dev/v1/jointokens",
            only(post(create_join_token).get(list_join_tokens)),
        )
        .route("/apis/dugout.dev/v1/jointokens/{name}/revoke", only(post(revoke_join_token)))
}

/// Every other method gets a `Status`, too.
fn only(route: MethodRouter<Api>) -> MethodRouter<Api> {
    route.fallback(|| async {
        Failure::new(Reason::MethodNotAllowed, "this is an operation: send it with POST")
    })
}

async fn sync_all(State(api): State<Api>) -> Result<Response, Failure> {
    sync(api.backend(), None).await
}

async fn sync_one(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Failure> {
    sync(api.backend(), Some(&existing_source(api.backend(), &name)?)).await
}

async fn sync(backend: &dyn Backend, source: Option<&SourceName>) -> Result<Response, Failure> {
    must_lead(backend)?;
    let sources = backend.sync(source).await?;
    Ok(json(SyncAnswer {
        api_version: API_VERSION.to_owned(),
        kind: "SyncAnswer".to_owned(),
        sources: sources.iter().map(ToString::to_string).collect(),
    }))
}

async fn suspend(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Failure> {
    let source = existing_source(api.backend(), &name)?;
    operate(api.backend(), OperatorRequest::Suspend(source)).await
}

async fn resume(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Failure> {
    let source = existing_source(api.backend(), &name)?;
    operate(api.backend(), OperatorRequest::Resume(source)).await
}

async fn cordon(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Failure> {
    let node = existing_node(api.backend(), &name)?;
    operate(api.backend(), OperatorRequest::Cordon(node)).await
}

async fn uncordon(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Failure> {
    let node = existing_node(api.backend(), &name)?;
    operate(api.backend(), OperatorRequest::Uncordon(node)).await
}

async fn drain(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, Failure> {
    let node = existing_node(api.backend(), &name)?;
    operate(api.backend(), OperatorRequest::Drain(node)).await
}

/// Forgets a node that is not there. One that is would join again at once.
async fn delete_node(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let node = existing_node(api.backend(), &name)?;
    let must_be_gone = || {
        let world = api.backend().world();
        if world.nodes.get(&node).is_none_or(|row| row.is_silent()) {
            return Ok(());
        }
        let message = format!(
            "node {node} is there, and its agent would join again: drain it, end its agent, and delete it \
             once it is not ready"
        );
        Err(Failure::new(Reason::Conflict, message))
    };
    must_be_gone()?;
    let answer = operate(api.backend(), OperatorRequest::DeleteNode(node.clone())).await?;
    // It may have come back in the same moment.
    must_be_gone().map(|()| answer)
}

/// What still stands on a node that is drained, and why.
async fn drain_so_far(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let node = existing_node(api.backend(), &name)?;
    let world = api.backend().world();
    let Some(row) = world.nodes.get(&node) else {
        return Err(Failure::object_not_found("nodes", node.as_str()));
    };
    let mut pods: Vec<DrainingPod> = world
        .pods_to_drain(&node)
        .map(|pod| DrainingPod {
            namespace: pod.namespace.to_string(),
            name: pod.name.to_string(),
            waits: world.drain_wait(row, pod).to_string(),
        })
        .collect();
    pods.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    Ok(json(DrainAnswer {
        api_version: API_VERSION.to_owned(),
        kind: "DrainAnswer".to_owned(),
        node: node.to_string(),
        draining_since: row.draining_since().and_then(moment),
        pods,
    }))
}

async fn plan(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Failure> {
    let source = existing_source(api.backend(), &name)?;
    let body: PlanBody = match body.is_empty() {
        true => PlanBody::default(),
        false => serde_json::from_slice(&body)
            .map_err(|error| Failure::bad_request(format!("the body asks for no plan: {error}")))?,
    };
    let foreseen = api.backend().foresee(&source, body.reference).await?;
    Ok(json(crate::plan::answer(&foreseen)))
}

pub(crate) async fn operate(
    backend: &dyn Backend,
    request: OperatorRequest,
) -> Result<Response, Failure> {
    must_lead(backend)?;
    backend.operate(request).await?;
    Ok(json(Status { status: Some("Success".to_owned()), ..Status::default() }))
}

async fn rollback_only(State(api): State<Api>, body: Bytes) -> Result<Response, Failure> {
    rollback(api.backend(), None, &body).await
}

async fn rollback_one(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Failure> {
    let source = existing_source(api.backend(), &name)?;
    rollback(api.backend(), Some(source), &body).await
}

async fn rollback(
    backend: &dyn Backend,
    source: Option<SourceName>,
    body: &[u8],
) -> Result<Response, Failure> {
    must_lead(backend)?;
    let body: RollbackBody = if body.is_empty() {
        RollbackBody::default()
    } else {
        serde_json::from_slice(body).map_err(|error| {
            Failure::bad_request(format!("the body is not a rollback in JSON: {error}"))
        })?
    };
    let to = body.to.map(|to| to.to_ascii_lowercase());
    if let Some(to) = &to
        && (to.len() < 4 || to.len() > 64 || !to.chars().all(|c| c.is_ascii_hexdigit()))
    {
        return Err(Failure::bad_request(format!(
            "'{to}' is not the beginning of a commit's id (at least four hexadecimal digits)"
        )));
    }
    let done = backend.rollback(RollbackRequest { source, to, reason: body.reason }).await?;
    let (commit, reverted, delayed_by) = match done.on_branch {
        RollbackOnBranch::Pushed { commit, reverted } => (Some(commit), reverted, None),
        RollbackOnBranch::Owed { why } => (None, Vec::new(), Some(why)),
    };
    Ok(json(RollbackAnswer {
        api_version: API_VERSION.to_owned(),
        kind: "RollbackAnswer".to_owned(),
        source: done.source.to_string(),
        branch: done.branch,
        reverted: reverted.iter().map(ToString::to_string).collect(),
        to: done.to.to_string(),
        commit: commit.map(|commit| commit.to_string()),
        delayed_by,
    }))
}

/// Lets a commit pass that waits for a person.
async fn approve(
    State(api): State<Api>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Failure> {
    let source = existing_source(api.backend(), &name)?;
    let body: ApproveBody = serde_json::from_slice(&body).map_err(|error| {
        Failure::bad_request(format!("the body is not an approval in JSON: {error}"))
    })?;
    let world = api.backend().world();
    let sha = held(&world, &source, &body.commit.to_ascii_lowercase())?;
    operate(api.backend(), OperatorRequest::Approve { source, sha }).await
}

/// The commit that waits, if it is the one that is meant.
fn held(world: &World, source: &SourceName, prefix: &str) -> Result<CommitSha, Failure> {
    let newest = world.newest_release(source).filter(|newest| newest.verdict == Verdict::Held);
    match newest {
        None => Err(Failure::new(
            Reason::Conflict,
            format!("no commit of source {source} waits for an approval"),
        )),
        Some(newest) if newest.commit.sha.as_str().starts_with(prefix) && prefix.len() >= 4 => {
            Ok(newest.commit.sha.clone())
        }
        Some(newest) => Err(Failure::new(
            Reason::Conflict,
            format!(
                "the commit of source {source} that waits for an approval is {}, not '{prefix}'",
                newest.commit.sha.short()
            ),
        )),
    }
}

async fn create_join_token(State(api): State<Api>, body: Bytes) -> Result<Response, Failure> {
    must_lead(api.backend())?;
    let body: JoinTokenBody = if body.is_empty() {
        JoinTokenBody::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            Failure::bad_request(format!("the body is not a join token in JSON: {error}"))
        })?
    };
    let valid_for = body.valid_for_seconds.map(Duration::from_secs);
    let made = api.backend().create_join_token(valid_for).await?;
    let answer = JoinTokenAnswer {
        api_version: API_VERSION.to_owned(),
        kind: "JoinToken".to_owned(),
        name: Some(made.name),
        token: made.token,
    };
    Ok((StatusCode::CREATED, json(answer)).into_response())
}

async fn list_join_tokens(State(api): State<Api>) -> Result<Response, Failure> {
    let tokens = api.backend().join_tokens().await?;
    let items = tokens.into_iter().map(|token| JoinTokenItem {
        name: token.name,
        created_at: moment(token.created_at),
        expires_at: token.expires_at.and_then(moment),
    });
    Ok(json(JoinTokenList {
        api_version: API_VERSION.to_owned(),
        kind: "JoinTokenList".to_owned(),
        items: items.collect(),
    }))
}

async fn revoke_join_token(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    must_lead(api.backend())?;
    api.backend().revoke_join_token(&name).await?;
    Ok(json(Status { status: Some("Success".to_owned()), ..Status::default() }))
}

/// Refuses where nothing could be written.
pub(crate) fn must_lead(backend: &dyn Backend) -> Result<(), Failure> {
    let message = match backend.leading() {
        Leading::Leads => return Ok(()),
        Leading::StandsBy { leader } => not_leading(leader.as_deref()),
        Leading::NoDatabase { message } => {
            format!("the database does not answer ({message}), so nothing can be recorded now")
        }
    };
    Err(Failure::new(Reason::ServiceUnavailable, message))
}

fn existing_source(backend: &dyn Backend, name: &str) -> Result<SourceName, Failure> {
    must_lead(backend)?;
    let name = SourceName::new(name);
    if backend.world().sources.contains_key(&name) {
        Ok(name)
    } else {
        Err(Failure::object_not_found("sources.dugout.dev", name.as_str()))
    }
}

fn existing_node(backend: &dyn Backend, name: &str) -> Result<NodeName, Failure> {
    must_lead(backend)?;
    let name = NodeName::new(name);
    if backend.world().nodes.contains_key(&name) {
        Ok(name)
    } else {
        Err(Failure::object_not_found("nodes", name.as_str()))
    }
}
