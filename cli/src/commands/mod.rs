//! The client commands, one module for each family.

mod drain;
pub mod history;
pub mod logs;
pub mod look;
pub mod operate;
pub mod plan;
pub mod status;
pub mod validate;
pub mod version;

use anyhow::bail;
use dugout_api::dugout::{List, Source};
use dugout_api::{Description, Resource};

use crate::client::{Client, Usage};

/// The resource that a person means by a word.
fn resource_named(word: &str) -> Result<Resource, Usage> {
    Resource::named(word).ok_or_else(|| {
        let known: Vec<&str> =
            Resource::ALL.into_iter().map(|resource| resource.describe().plural).collect();
        Usage(format!("there is no kind '{word}'; the kinds are: {}", known.join(", ")))
    })
}

/// The path of a list, or of one object.
fn path<'a>(
    description: &Description,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
) -> Vec<&'a str> {
    let mut segments: Vec<&str> = description.group.segments();
    if let Some(namespace) = namespace.filter(|_| description.namespaced) {
        segments.extend(["namespaces", namespace]);
    }
    segments.push(description.plural);
    segments.extend(name);
    segments
}

/// The source that was named, or the only one.
async fn source_named(client: &Client, named: Option<String>) -> anyhow::Result<String> {
    if let Some(name) = named {
        return Ok(name);
    }
    let list: List<Source> = client.get(&["apis", "dugout.dev", "v1", "sources"], &[]).await?;
    let names: Vec<String> =
        list.items.into_iter().filter_map(|source| source.metadata.name).collect();
    match names.as_slice() {
        [only] => Ok(only.clone()),
        [] => bail!("the server has no source"),
        _ => {
            Err(Usage(format!("there are several sources; name one of: {}", names.join(", ")))
                .into())
        }
    }
}
