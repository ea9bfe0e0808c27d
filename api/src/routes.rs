//! The router: which path leads where, and behind which guard.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};

use crate::access::Access;
use crate::backend::{Backend, Leading, not_leading};
use crate::failure::{Failure, Reason};
use crate::limits::{Gate, Limits, bound};
use crate::read::json;
use crate::resource::Group;
use crate::target::Target;
use crate::{discovery, logs, operations, read, refusal, sessions};

/// What every handler needs.
#[derive(Clone)]
pub(crate) struct Api {
    backend: Arc<dyn Backend>,
    gate: Arc<Gate>,
}

impl Api {
    pub(crate) fn backend(&self) -> &dyn Backend {
        self.backend.as_ref()
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }
}

/// The front door: reads, operations, health, version and a page of links, with their guards and
/// bounds. Serve it with connection information (`into_make_service_with_connect_info`), or no
/// caller counts as local. Other routes of the same port can be merged in; they bring their own
/// guards, and no fallback.
pub fn router(backend: Arc<dyn Backend>, access: &Arc<Access>, limits: Limits) -> Router {
    let gate = Arc::new(Gate::new(limits));
    let api = Api { backend, gate: Arc::clone(&gate) };
    let reads = access.guard_reads(reads());
    let operations = access.guard_operations(operations::routes().merge(sessions::routes()));
    let guarded = reads
        .merge(operations)
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(from_fn_with_state(gate, bound));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/version", get(|| async { json(discovery::version()) }))
        .merge(guarded)
        .with_state(api)
}

/// Everything that only looks. Every method but GET and HEAD on an object is refused here, so a
/// person without a token, too, learns what to commit instead.
fn reads() -> Router<Api> {
    let router = Router::new()
        .route("/", get(index))
        .route("/api", get(|| async { json(discovery::core_versions()) }))
        .route("/apis", get(|| async { json(discovery::groups()) }))
        .route(
            "/openapi/v2",
            get(|| async { ([(CONTENT_TYPE, discovery::OPENAPI_FORM)], discovery::OPENAPI) }),
        );
    Group::ALL
        .into_iter()
        .fold(router, with_group)
        .fallback(unknown_path)
        .method_not_allowed_fallback(|| async {
            Failure::new(Reason::MethodNotAllowed, "this can only be read")
        })
}

type Asked = (Method, Uri, HeaderMap);

/// The paths of one API group.
fn with_group(router: Router<Api>, group: Group) -> Router<Api> {
    let root = format!("/{}", group.segments().join("/"));
    let objects = move |State(api): State<Api>,
                        Path(path): Path<String>,
                        method: Method,
                        uri: Uri,
                        headers: HeaderMap| async move {
        object(&api, group, &path, (method, uri, headers)).await
    };
    let router = router
        .route(&root, get(move || async move { json(discovery::resources(group)) }))
        .route(&format!("{root}/{{*path}}"), any(objects));
    match group {
        // Its versions are told at `/api`.
        Group::Core => router,
        named => router.route(
            &format!("/apis/{}", named.name()),
            get(move || async move { json(discovery::group(named)) }),
        ),
    }
}

async fn object(api: &Api, group: Group, path: &str, asked: Asked) -> Result<Response, Failure> {
    let (method, uri, headers) = asked;
    let target = Target::parse(group, path);
    if !matches!(method, Method::GET | Method::HEAD) {
        return Err(refusal::refuse(&api.backend().world(), target.as_ref()));
    }
    let target = target.ok_or_else(|| no_such_path(&uri))?;
    let backend = api.backend();
    let now = backend.now();
    match (target.name.clone(), target.subresource.as_deref()) {
        (None, _) => read::list(backend, target, &uri, &headers, now).await,
        (Some(name), None) => read::get(backend, &target, &name, &uri, &headers, now).await,
        (Some(name), Some("log")) if target.resource == crate::Resource::Pods => {
            logs::log(backend, &api.gate, &target, &name, &uri, now).await
        }
        (Some(_), Some(_)) => Err(no_such_path(&uri)),
    }
}

/// 200 where this server can do its work.
async fn readyz(State(api): State<Api>) -> Response {
    match api.backend().leading() {
        Leading::Leads => "ok\n".into_response(),
        Leading::StandsBy { leader } => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", not_leading(leader.as_deref())))
                .into_response()
        }
        Leading::NoDatabase { message } => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("the database does not answer: {message}\n"))
                .into_response()
        }
    }
}

async fn index() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

async fn unknown_path(uri: Uri) -> Failure {
    no_such_path(&uri)
}

fn no_such_path(uri: &Uri) -> Failure {
    Failure::new(
        Reason::NotFound,
        format!("the server could not find the requested resource: {}", uri.path()),
    )
}
