//! Roles and those who have them.

use crate::validate::{Context, View};

pub(crate) fn service_account(account: &View<'_>, context: &mut Context) {
    let mut secrets = Vec::new();
    account.each("imagePullSecrets", |secret| secrets.extend(secret.text("name").map(Into::into)));
    if !secrets.is_empty() {
        context.links.admission.get_or_insert_default().pull_secrets = secrets.into();
    }
}

pub(crate) fn role(role: &View<'_>, _: &mut Context) {
    role.each("rules", |rule| {
        if rule.count("nonResourceURLs") > 0 {
            rule.fail_at(
                "nonResourceURLs",
                "must not be there in a Role: they are in no namespace",
                "write a ClusterRole",
            );
        }
    });
}

pub(crate) fn policy_rule(rule: &View<'_>, _: &mut Context) {
    let urls = rule.count("nonResourceURLs") > 0;
    let resources = rule.count("resources") > 0;
    if urls && (resources || rule.count("apiGroups") > 0 || rule.count("resourceNames") > 0) {
        rule.fail_with("has both resources and nonResourceURLs", "make two rules of it");
    }
    if urls {
        return;
    }
    if rule.count("apiGroups") == 0 {
        rule.fail_at("apiGroups", "is required", "the core group is \"\"");
    }
    if !resources {
        rule.fail_missing("resources");
    }
}

pub(crate) fn subject(subject: &View<'_>, _: &mut Context) {
    match subject.text("kind") {
        Some("ServiceAccount") => {
            if !subject.is_filled("namespace") {
                subject.fail_at("namespace", "is required for a ServiceAccount", "name it");
            }
            if subject.is_filled("apiGroup") {
                subject.fail_at("apiGroup", "must be empty for a ServiceAccount", "remove it");
            }
        }
        Some("User" | "Group") if subject.is_filled("namespace") => {
            subject.fail_at("namespace", "belongs to a ServiceAccount", "remove it");
        }
        _ => {}
    }
}
