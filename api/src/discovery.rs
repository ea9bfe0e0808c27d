//! What the API offers, as Kubernetes' clients ask for it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIGroup, APIGroupList, APIResource, APIResourceList, APIVersions, GroupVersionForDiscovery,
};
use k8s_openapi::apimachinery::pkg::version::Info;

use crate::resource::{Group, Resource};

/// The version of Kubernetes whose types and words we speak.
const KUBERNETES: (&str, &str) = ("1", "33");

/// `/api`
pub(crate) fn core_versions() -> APIVersions {
    APIVersions { server_address_by_client_cidrs: Vec::new(), versions: vec!["v1".to_owned()] }
}

/// `/apis`
pub(crate) fn groups() -> APIGroupList {
    let named = Group::ALL.into_iter().filter(|group| !group.name().is_empty());
    APIGroupList { groups: named.map(group).collect() }
}

/// `/apis/{group}`
pub(crate) fn group(group: Group) -> APIGroup {
    let version = GroupVersionForDiscovery {
        group_version: group.api_version().to_owned(),
        version: "v1".to_owned(),
    };
    APIGroup {
        name: group.name().to_owned(),
        preferred_version: Some(version.clone()),
        server_address_by_client_cidrs: None,
        versions: vec![version],
    }
}

/// `/api/v1` and `/apis/{group}/v1`
pub(crate) fn resources(group: Group) -> APIResourceList {
    let in_group = Resource::ALL.into_iter().map(Resource::describe);
    let mut resources: Vec<APIResource> = in_group
        .filter(|description| description.group == group)
        .map(|description| {
            let verbs: &[&str] = if description.has_get { &["get", "list"] } else { &["list"] };
            APIResource {
                categories: in_all(description.plural).then(|| vec!["all".to_owned()]),
                group: None,
                kind: description.kind.to_owned(),
                name: description.plural.to_owned(),
                namespaced: description.namespaced,
                short_names: (!description.short_names.is_empty())
                    .then(|| description.short_names.iter().map(ToString::to_string).collect()),
                singular_name: description.singular.to_owned(),
                storage_version_hash: None,
                verbs: verbs.iter().map(ToString::to_string).collect(),
                version: None,
            }
        })
        .collect();
    if group == Group::Core {
        resources.push(subresource("log", "Pod", &["get"]));
        resources.push(subresource("exec", "PodExecOptions", &["create", "get"]));
        resources.push(subresource("attach", "PodAttachOptions", &["create", "get"]));
        resources.push(eviction_subresource());
    }
    APIResourceList { group_version: group.api_version().to_owned(), resources }
}

/// `/version`
pub(crate) fn version() -> Info {
    let (major, minor) = KUBERNETES;
    Info {
        build_date: String::new(),
        compiler: "rustc".to_owned(),
        git_commit: String::new(),
        git_tree_state: String::new(),
        git_version: format!("v{major}.{minor}.0+dugout-{}", env!("CARGO_PKG_VERSION")),
        go_version: String::new(),
        major: major.to_owned(),
        minor: minor.to_owned(),
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        ..Info::default()
    }
}

/// `/openapi/v2` without a single schema, in the protocol buffers in which clients ask for it: its one
/// field says which version of OpenAPI it follows. A client that checks what it sends against schemas
/// then lets it pass, so a person who applies something reads what to commit instead.
pub(crate) const OPENAPI: &[u8] = b"\x0a\x032.0";

/// How clients name the form of [`OPENAPI`]; older ones have an at sign in it.
pub(crate) const OPENAPI_FORM: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// What `kubectl get all` shows.
fn in_all(plural: &str) -> bool {
    [
        "pods",
        "services",
        "deployments",
        "replicasets",
        "replicationcontrollers",
        "statefulsets",
        "daemonsets",
        "jobs",
        "cronjobs",
    ]
    .contains(&plural)
}

/// By this clients see that pods can be evicted.
fn eviction_subresource() -> APIResource {
    APIResource {
        group: Some("policy".to_owned()),
        kind: "Eviction".to_owned(),
        name: "pods/eviction".to_owned(),
        namespaced: true,
        verbs: vec!["create".to_owned()],
        version: Some("v1".to_owned()),
        ..APIResource::default()
    }
}

/// What a pod has beside itself.
fn subresource(name: &str, kind: &str, verbs: &[&str]) -> APIResource {
    APIResource {
        kind: kind.to_owned(),
        name: format!("pods/{name}"),
        namespaced: true,
        verbs: verbs.iter().map(ToString::to_string).collect(),
        ..APIResource::default()
    }
}
