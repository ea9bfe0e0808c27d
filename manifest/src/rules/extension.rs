//! Custom resources and webhooks.

use crate::validate::{Context, View};

pub(crate) fn definition(definition: &View<'_>, _: &mut Context) {
    let expected = definition
        .within("spec", |spec| {
            check_versions(spec);
            let plural = spec.within("names", |names| names.text("plural").map(str::to_owned));
            Some(format!("{}.{}", plural??, spec.text("group")?))
        })
        .flatten();
    let Some(expected) = expected else { return };
    definition.within("metadata", |metadata| {
        if metadata.text("name").is_some_and(|name| name != expected) {
            metadata.fail_at(
                "name",
                &format!("must be {expected}"),
                "it is the plural and the group",
            );
        }
    });
}

fn check_versions(spec: &View<'_>) {
    let mut stored = 0;
    spec.each("versions", |version| {
        stored += u32::from(version.is_true("storage"));
        let schema = version.within("schema", |schema| schema.has("openAPIV3Schema"));
        if schema != Some(true) {
            version.fail_at("schema", "must have an openAPIV3Schema", "add it");
        }
    });
    if stored != 1 && spec.count("versions") > 0 {
        spec.fail_at("versions", "must have exactly one with storage: true", "choose one");
    }
}

pub(crate) fn client(client: &View<'_>, _: &mut Context) {
    client.exactly_one(&["url", "service"]);
}

pub(crate) fn conversion(conversion: &View<'_>, _: &mut Context) {
    if conversion.text("strategy") == Some("Webhook") && !conversion.has("webhook") {
        conversion.fail_at("webhook", "is required with strategy: Webhook", "add it");
    }
}
