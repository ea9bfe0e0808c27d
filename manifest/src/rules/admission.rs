//! What is noted of containers and claims, so that limits and quotas of their namespace can be held against
//! them when those are known.

use dugout_model::StatedRequests;

use crate::decode::{ClaimFacts, ContainerFacts, WorkloadFacts};
use crate::quantity::Quantity;
use crate::validate::{Context, View};

/// The service account of pods that name none.
pub(crate) const DEFAULT_ACCOUNT: &str = "default";

/// In the order in which a template lists its containers.
const CONTAINER_LISTS: [&str; 2] = ["initContainers", "containers"];

pub(crate) fn note_pod(spec: &View<'_>, context: &mut Context) {
    let mut containers = Vec::new();
    for list in CONTAINER_LISTS {
        spec.each(list, |container| containers.push(container_facts(container)));
    }
    let account = spec.text("serviceAccountName").or_else(|| spec.text("serviceAccount"));
    let facts = WorkloadFacts {
        at: spec.value().at(),
        service_account: account.filter(|name| *name != DEFAULT_ACCOUNT).map(Into::into),
        containers: containers.into(),
    };
    context.links.admission.get_or_insert_default().pod = Some(facts);
}

fn container_facts(container: &View<'_>) -> ContainerFacts {
    let states = |resource: &str| {
        container.within("resources", |resources| {
            let has = |list: &View<'_>| list.has(resource);
            ["requests", "limits"].iter().any(|list| resources.within(list, has) == Some(true))
        }) == Some(true)
    };
    let resources = container.get("resources");
    ContainerFacts {
        at: resources.as_ref().map_or_else(|| container.value().at(), |value| value.at()),
        has_resources: resources.is_some(),
        stated: StatedRequests { cpu: states("cpu"), memory: states("memory") },
    }
}

/// The spec of a claim, whoever makes it.
pub(crate) fn note_claim(spec: &View<'_>, context: &mut Context) {
    let storage = spec.within("resources", |resources| {
        resources.within("requests", |requests| {
            let text = requests.written("storage").map(str::to_owned);
            text.and_then(|text| Quantity::parse(&text).ok()?.units().ok())
        })
    });
    context.links.admission.get_or_insert_default().claims.push(ClaimFacts {
        place: spec.value().place(),
        storage_bytes: storage.flatten().flatten(),
        class: spec.text("storageClassName").map(str::to_owned),
        class_at: spec.get("storageClassName").map(|value| value.at()).unwrap_or_default(),
    });
}
