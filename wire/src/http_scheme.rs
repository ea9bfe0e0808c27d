//! How a probe speaks HTTP.

use dugout_model as model;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpScheme {
    Http,
    Https,
}

impl From<model::HttpScheme> for HttpScheme {
    fn from(value: model::HttpScheme) -> Self {
        match value {
            model::HttpScheme::Http => HttpScheme::Http,
            model::HttpScheme::Https => HttpScheme::Https,
        }
    }
}

impl From<HttpScheme> for model::HttpScheme {
    fn from(value: HttpScheme) -> Self {
        match value {
            HttpScheme::Http => model::HttpScheme::Http,
            HttpScheme::Https => model::HttpScheme::Https,
        }
    }
}
