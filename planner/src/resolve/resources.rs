//! Variables that hold what a container requests or may use at most.

use dugout_model::{
    Container, EnvContent, EnvSource, NodeResource, PodTemplate, ResourceFieldSelector,
};

/// In whole divisors, rounded up, as Kubernetes has it. Where there is no limit, all that the node has
/// is the limit, which is known there.
pub(super) fn content(
    template: &PodTemplate,
    own: &Container<EnvSource>,
    selector: &ResourceFieldSelector,
) -> EnvContent {
    let ResourceFieldSelector { container, field, divisor } = selector;
    let named = container.as_ref().and_then(|name| {
        let mut containers = template.all_containers();
        containers.find(|candidate| candidate.name == *name)
    });
    match field.amount(&named.unwrap_or(own).resources) {
        Some(amount) => EnvContent::Text(amount.div_ceil(*divisor).to_string()),
        None => EnvContent::NodeResource(NodeResource { kind: field.of_node(), divisor: *divisor }),
    }
}
