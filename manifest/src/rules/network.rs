//! Ingresses and network policies.

use dugout_model::PortRef;

use crate::decode::Part;
use crate::text_forms::parse_cidr;
use crate::validate::{Context, View};

pub(crate) fn ingress(spec: &View<'_>, _: &mut Context) {
    if spec.count("rules") == 0 && !spec.has("defaultBackend") {
        spec.fail("must have rules or a defaultBackend");
    }
}

pub(crate) fn path(path: &View<'_>, _: &mut Context) {
    let text = path.text("path");
    let exact = matches!(path.text("pathType"), Some("Exact" | "Prefix"));
    let Some(text) = text else {
        if exact {
            path.fail_at("path", "is required with this pathType", "write / for all");
        }
        return;
    };
    if !text.starts_with('/') {
        path.fail_at("path", "must begin with a slash", "write a slash before it");
    } else if exact
        && (["//", "/./", "/../", "%2f", "%2F"].iter().any(|part| text.contains(part))
            || text.ends_with("/.")
            || text.ends_with("/.."))
    {
        path.fail_at(
            "path",
            "must not contain //, /./, /../ or %2f",
            "write the path that is meant",
        );
    }
}

pub(crate) fn backend(backend: &View<'_>, _: &mut Context) {
    backend.exactly_one(&["service", "resource"]);
}

pub(crate) fn service_backend(service: &View<'_>, context: &mut Context) {
    let Some(name) = service.text("name") else { return };
    service.within("port", |port| {
        let number = port.int("number").filter(|number| *number != 0);
        match (port.text("name"), number) {
            (Some(_), Some(_)) => port.fail_with("has both name and number", "keep one of them"),
            (None, None) => port.fail("must have a name or a number"),
            (Some(wanted), None) => {
                if let Some(value) = port.get("name") {
                    let part = Part::Port(PortRef::Name(wanted.to_owned()));
                    context.refer_to("Service", name, part, &value);
                }
            }
            (None, Some(number)) => {
                if let (Some(value), Ok(number)) = (port.get("number"), u16::try_from(number)) {
                    let part = Part::Port(PortRef::Number(number));
                    context.refer_to("Service", name, part, &value);
                }
            }
        }
    });
}

pub(crate) fn tls(tls: &View<'_>, context: &mut Context) {
    if let Some(name) = tls.get("secretName") {
        context.refer("Secret", &name, Part::Whole);
    }
}

pub(crate) fn class_parameters(reference: &View<'_>, _: &mut Context) {
    let namespaced = reference.text("scope") == Some("Namespace");
    if namespaced && !reference.is_filled("namespace") {
        reference.fail_at("namespace", "is required with scope: Namespace", "name it");
    }
    if !namespaced && reference.is_filled("namespace") {
        reference.fail_at("namespace", "belongs to scope: Namespace", "remove it");
    }
}

pub(crate) fn peer(peer: &View<'_>, _: &mut Context) {
    let selects = peer.has("podSelector") || peer.has("namespaceSelector");
    match (peer.has("ipBlock"), selects) {
        (true, true) => peer.fail_with("has an ipBlock and a selector", "make two peers of it"),
        (false, false) => peer.fail("must have an ipBlock, a podSelector or a namespaceSelector"),
        _ => {}
    }
}

pub(crate) fn policy_port(port: &View<'_>, _: &mut Context) {
    let Some(last) = port.int("endPort") else { return };
    match port.get("port").map(|first| first.as_int()) {
        Some(Some(first)) if last >= first => {}
        Some(Some(_)) => port.fail_at("endPort", "must be at least port", "swap them"),
        Some(None) => port.fail_at("endPort", "needs a port that is a number", "remove it"),
        None => port.fail_at("endPort", "needs port", "write the first port of the range"),
    }
}

pub(crate) fn ip_block(block: &View<'_>, _: &mut Context) {
    let Some((network, length)) = block.text("cidr").and_then(parse_cidr) else { return };
    let Some(list) = block.get("except") else { return };
    for (index, node) in list.items().unwrap_or_default().iter().enumerate() {
        let item = list.item(index, node);
        let Some((inner, inner_length)) = item.as_text().and_then(parse_cidr) else { continue };
        let inside = inner_length > length
            && match (network, inner) {
                (std::net::IpAddr::V4(a), std::net::IpAddr::V4(b)) => {
                    let shift = 32 - u32::from(length);
                    a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
                }
                (std::net::IpAddr::V6(a), std::net::IpAddr::V6(b)) => {
                    let shift = 128 - u32::from(length);
                    a.to_bits().checked_shr(shift) == b.to_bits().checked_shr(shift)
                }
                _ => false,
            };
        if !inside {
            item.fail("must be a part of cidr");
        }
    }
}
