//! `/metrics`: a registry as Prometheus reads it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dugout_agent::usage::Usage;
use prometheus_client::registry::Registry;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a process shows of itself, and of its node where it has one.
#[derive(Default)]
pub struct Exposition {
    pub registry: Registry,
    /// What is read anew when somebody asks; registered already.
    pub usage: Option<Usage>,
}

/// The route, without a guard.
pub fn router(exposition: Exposition) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(Arc::new(exposition))
}

async fn metrics(State(exposition): State<Arc<Exposition>>) -> Response {
    if let Some(usage) = &exposition.usage {
        usage.refresh().await;
    }
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &exposition.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
