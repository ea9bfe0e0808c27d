//! The client commands, one module for each family.

pub mod agent;
pub mod copy;
mod drain;
pub mod exec;
pub mod history;
pub mod logs;
pub mod look;
pub mod operate;
pub mod plan;
pub mod status;
mod targets;
pub mod validate;
pub mod version;

use anyhow::bail;
use dugout_api::dugout::{List, Source};
use dugout_api::{Description, Resource};
use k8s_openapi::api::core::v1::Pod;

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

/// A pod by its place.
struct Place {
    namespace: String,
    name: String,
}

fn place(pod: Pod) -> Option<Place> {
    Some(Place { namespace: pod.metadata.namespace?, name: pod.metadata.name? })
}

/// The pod with this name; without a namespace, in whichever it is.
async fn one_pod(client: &Client, namespace: Option<&str>, name: &str) -> anyhow::Result<Place> {
    let name = name.strip_prefix("pod/").unwrap_or(name);
    if let Some(namespace) = namespace {
        return Ok(Place { namespace: namespace.to_owned(), name: name.to_owned() });
    }
    let query = [("fieldSelector", format!("metadata.name={name}"))];
    let list: List<Pod> = client.get(&["api", "v1", "pods"], &query).await?;
    let mut places: Vec<Place> = list.items.into_iter().filter_map(place).collect();
    match places.len() {
        1 => Ok(places.remove(0)),
        0 => bail!("pods \"{name}\" not found; 'dugout get pods' lists them"),
        _ => Err(Usage(format!("pods named {name} are in several namespaces; choose one with -n"))
            .into()),
    }
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
