//! Errors as Kubernetes' clients understand them: a `Status` object with the right reason and code.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dugout_model::chain;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusDetails};

use crate::backend::BackendError;

/// A refused or failed request. Its message is a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    pub message: String,
    /// The resource (plural) and the name that it is about, where there is one.
    pub about: Option<(String, String)>,
}

/// Kubernetes' reasons, each with one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Conflict,
    Expired,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    TooManyRequests,
    InternalError,
    ServiceUnavailable,
    Timeout,
}

impl Reason {
    pub fn code(self) -> StatusCode {
        match self {
            Reason::BadRequest => StatusCode::BAD_REQUEST,
            Reason::Unauthorized => StatusCode::UNAUTHORIZED,
            Reason::Forbidden => StatusCode::FORBIDDEN,
            Reason::NotFound => StatusCode::NOT_FOUND,
            Reason::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Reason::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Reason::Conflict => StatusCode::CONFLICT,
            Reason::Expired => StatusCode::GONE,
            Reason::RequestEntityTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Reason::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Reason::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Reason::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Reason::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Reason::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The word in the `reason` field.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::BadRequest => "BadRequest",
            Reason::Unauthorized => "Unauthorized",
            Reason::Forbidden => "Forbidden",
            Reason::NotFound => "NotFound",
            Reason::MethodNotAllowed => "MethodNotAllowed",
            Reason::NotAcceptable => "NotAcceptable",
            Reason::Conflict => "Conflict",
            Reason::Expired => "Expired",
            Reason::RequestEntityTooLarge => "RequestEntityTooLarge",
            Reason::UnsupportedMediaType => "UnsupportedMediaType",
            Reason::TooManyRequests => "TooManyRequests",
            Reason::InternalError => "InternalError",
            Reason::ServiceUnavailable => "ServiceUnavailable",
            Reason::Timeout => "Timeout",
        }
    }
}

impl Failure {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), about: None }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// The named object does not exist, in the words that Kubernetes' clients know.
    pub fn object_not_found(resource: &str, name: &str) -> Self {
        Self {
            reason: Reason::NotFound,
            message: format!("{resource} \"{name}\" not found"),
            about: Some((resource.to_owned(), name.to_owned())),
        }
    }

    /// The `Status` object that goes over the wire.
    pub fn status(&self) -> Status {
        let details = self.about.as_ref().map(|(kind, name)| StatusDetails {
            kind: Some(kind.clone()),
            name: Some(name.clone()),
            ..StatusDetails::default()
        });
        Status {
            code: Some(i32::from(self.reason.code().as_u16())),
            details,
            message: Some(self.message.clone()),
            reason: Some(self.reason.as_str().to_owned()),
            status: Some("Failure".to_owned()),
            ..Status::default()
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.reason.code(), Json(self.status())).into_response();
        let headers = response.headers_mut();
        match self.reason {
            Reason::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Reason::TooManyRequests | Reason::ServiceUnavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let reason = match &error {
            BackendError::NotFound { .. } => Reason::NotFound,
            BackendError::Conflict { .. } => Reason::Conflict,
            BackendError::Unavailable { .. } | BackendError::NotLeading { .. } => {
                Reason::ServiceUnavailable
            }
            BackendError::Refused { .. } => Reason::Forbidden,
            BackendError::Failed { what, source } => {
                tracing::error!(what, cause = %chain(source.as_ref()), "a request failed");
                Reason::InternalError
            }
        };
        Self::new(reason, error.to_string())
    }
}
