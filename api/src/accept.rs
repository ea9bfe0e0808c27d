//! Which form of an answer the caller wants: the objects, or a table of them.

use axum::http::{HeaderMap, header};

use crate::failure::{Failure, Reason};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Table,
}

/// The first form in `Accept` that we have. No header means JSON.
pub(crate) fn form(headers: &HeaderMap) -> Result<Form, Failure> {
    let mut accepted = headers.get_all(header::ACCEPT).iter().peekable();
    if accepted.peek().is_none() {
        return Ok(Form::Json);
    }
    let texts = accepted.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).find_map(one).ok_or_else(|| {
        Failure::new(
            Reason::NotAcceptable,
            "only application/json is served, also as a table (as=Table;v=v1;g=meta.k8s.io)",
        )
    })
}

/// One media type with its parameters.
fn one(text: &str) -> Option<Form> {
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let parameter =
        |name: &str| parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let is_json = matches!(media_type.as_str(), "application/json" | "application/*" | "*/*");
    match parameter("as") {
        _ if !is_json => None,
        None => Some(Form::Json),
        Some("Table") if parameter("v") == Some("v1") => Some(Form::Table),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn accept(text: &'static str) -> Result<Form, Reason> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(text));
        form(&headers).map_err(|failure| failure.reason)
    }

    #[test]
    fn the_first_form_that_we_have_wins() {
        assert_eq!(form(&HeaderMap::new()), Ok(Form::Json));
        assert_eq!(accept("*/*"), Ok(Form::Json));
        assert_eq!(accept("application/vnd.kubernetes.protobuf,application/json"), Ok(Form::Json));
        assert_eq!(
            accept("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
            Ok(Form::Table)
        );
        assert_eq!(
            accept("application/json;as=Table;g=meta.k8s.io;v=v1beta1, application/json"),
            Ok(Form::Json)
        );
        assert_eq!(accept("application/yaml"), Err(Reason::NotAcceptable));
    }
}
