//! Variables and files that hold what a container requests or may use at most.

use dugout_model::{
    Container, ContainerResources, EnvContent, EnvSource, FileContent, NodeResource, PodTemplate,
    ResourceFieldSelector,
};

/// The content of a container's variable.
pub(super) fn content(
    template: &PodTemplate,
    own: &Container<EnvSource>,
    selector: &ResourceFieldSelector,
) -> EnvContent {
    match amount(&named(template, selector).unwrap_or(own).resources, selector) {
        Ok(text) => EnvContent::Text(text),
        Err(of_node) => EnvContent::NodeResource(of_node),
    }
}

/// The content of a file, which names its container; nothing where there is none of that name.
pub(super) fn file_content(
    template: &PodTemplate,
    selector: &ResourceFieldSelector,
) -> Option<FileContent> {
    let container = named(template, selector)?;
    Some(match amount(&container.resources, selector) {
        Ok(text) => FileContent::Plain(text.into_bytes().into()),
        Err(of_node) => FileContent::NodeResource(of_node),
    })
}

fn named<'a>(
    template: &'a PodTemplate,
    selector: &ResourceFieldSelector,
) -> Option<&'a Container<EnvSource>> {
    let name = selector.container.as_ref()?;
    template.all_containers().find(|candidate| candidate.name == *name)
}

/// In whole divisors, rounded up, as Kubernetes has it. Where there is no limit, all that the node has
/// is the limit, which is known there.
fn amount(
    resources: &ContainerResources,
    selector: &ResourceFieldSelector,
) -> Result<String, NodeResource> {
    let ResourceFieldSelector { field, divisor, .. } = selector;
    match field.amount(resources) {
        Some(amount) => Ok(amount.div_ceil(*divisor).to_string()),
        None => Err(NodeResource { kind: field.of_node(), divisor: *divisor }),
    }
}
