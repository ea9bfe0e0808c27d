//! Services and endpoints.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::decode::NodePort;
use crate::decode::ServiceFacts;
use crate::validate::{Context, View};

/// The ports of the nodes that services may take.
pub(crate) const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

pub(crate) fn service(spec: &View<'_>, context: &mut Context) {
    let service_type = spec.text("type").unwrap_or("ClusterIP");
    let headless = is_headless(spec);
    note(spec, context);
    match service_type {
        "ExternalName" => check_external_name(spec),
        _ => {
            if spec.count("ports") == 0 && !headless {
                spec.fail_at(
                    "ports",
                    "must list at least one port",
                    "only headless services have none",
                );
            }
            if spec.is_filled("externalName") {
                spec.fail_at(
                    "externalName",
                    "belongs to type: ExternalName",
                    "remove it, or set the type",
                );
            }
        }
    }
    if headless && matches!(service_type, "NodePort" | "LoadBalancer") {
        let message = format!("must not be None for a service of type {service_type}");
        spec.fail_at("clusterIP", &message, "a headless service has type ClusterIP");
    }
    if service_type != "ExternalName" {
        check_cluster_ips(spec);
    }
    if spec.has("sessionAffinityConfig") && spec.text("sessionAffinity") != Some("ClientIP") {
        spec.fail_at("sessionAffinityConfig", "needs sessionAffinity: ClientIP", "remove it");
    }
    check_outside(spec, service_type);
    check_ports(spec, service_type);
}

fn check_external_name(spec: &View<'_>) {
    if !spec.is_filled("externalName") {
        spec.fail_at("externalName", "is required with type: ExternalName", "write the DNS name");
    }
    for name in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if spec.is_filled(name) {
            spec.fail_at(name, "must not be there with type: ExternalName", "remove it");
        }
    }
}

/// Whether the service has no address of its own by choice.
fn is_headless(spec: &View<'_>) -> bool {
    spec.text("clusterIP") == Some("None")
}

fn check_cluster_ips(spec: &View<'_>) {
    let all = spec.texts("clusterIPs");
    match (spec.text("clusterIP"), all.as_slice()) {
        (_, []) => {}
        (None, [first, ..]) => {
            let hint = format!("write clusterIP: {first} as well, or nothing but that");
            spec.fail_at("clusterIPs", "must not be there without clusterIP", &hint);
        }
        (Some(one), [first, ..]) if one != *first => {
            spec.fail_at("clusterIPs", "must begin with clusterIP", "make them equal");
        }
        (Some("None"), [_, _, ..]) => {
            spec.fail_at("clusterIPs", "must have nothing beside None", "remove the others");
        }
        _ => {}
    }
}

/// What only services have that are reached from outside.
fn check_outside(spec: &View<'_>, service_type: &str) {
    if service_type != "LoadBalancer" {
        for name in
            ["loadBalancerClass", "loadBalancerSourceRanges", "allocateLoadBalancerNodePorts"]
        {
            if spec.has(name) && (spec.is_filled(name) || name.starts_with("allocate")) {
                spec.fail_at(name, "belongs to type: LoadBalancer", "remove it, or set the type");
            }
        }
    }
    let outside = matches!(service_type, "NodePort" | "LoadBalancer");
    let local = spec.text("externalTrafficPolicy") == Some("Local");
    if spec.is_filled("externalTrafficPolicy") && !outside && spec.count("externalIPs") == 0 {
        spec.fail_at(
            "externalTrafficPolicy",
            "belongs to types NodePort and LoadBalancer",
            "remove it, or set the type",
        );
    }
    if spec.is_filled("healthCheckNodePort") && !(service_type == "LoadBalancer" && local) {
        spec.fail_at(
            "healthCheckNodePort",
            "belongs to type: LoadBalancer with externalTrafficPolicy: Local",
            "remove it",
        );
    }
}

fn check_ports(spec: &View<'_>, service_type: &str) {
    let several = spec.count("ports") > 1;
    let (mut numbers, mut node_ports) = (BTreeSet::new(), BTreeSet::new());
    spec.each("ports", |port| {
        let protocol = port.text("protocol").unwrap_or("TCP");
        if several && !port.is_filled("name") {
            port.fail_at("name", "is required, because there are several ports", "name each");
        }
        if let Some(number) = port.int("port")
            && !numbers.insert((number, protocol.to_owned()))
            && let Some(value) = port.get("port")
        {
            value.fail(format!("port {number}/{protocol} stands here twice"));
        }
        let Some(number) = port.int("nodePort").filter(|number| *number != 0) else { return };
        if !matches!(service_type, "NodePort" | "LoadBalancer") {
            let message = format!("a service of type {service_type} has no node port");
            port.fail_at("nodePort", &message, "set type: NodePort");
        } else if !NODE_PORTS.contains(&number) {
            let (lowest, highest) = (NODE_PORTS.start(), NODE_PORTS.end());
            if let Some(value) = port.get("nodePort") {
                value.fail(format!("must be between {lowest} and {highest}, not {number}"));
            }
        } else if !node_ports.insert((number, protocol.to_owned()))
            && let Some(value) = port.get("nodePort")
        {
            value.fail(format!("port {number}/{protocol} of the nodes stands here twice"));
        }
    });
}

/// Notes what others may refer to, and whom the service means.
fn note(spec: &View<'_>, context: &mut Context) {
    let (mut ports, mut named_targets, mut node_ports) = (Vec::new(), Vec::new(), Vec::new());
    spec.each("ports", |port| {
        let name = port.text("name").unwrap_or_default().to_owned();
        if let Some(number) = port.int("port").and_then(|number| u16::try_from(number).ok()) {
            ports.push((name, number));
        }
        if let Some(target) = port.get("targetPort")
            && let Some(name) = target.as_text()
        {
            named_targets.push((name.to_owned(), target.place()));
        }
        if let Some(value) = port.get("nodePort")
            && let Some(number) = value.as_int().and_then(|number| u16::try_from(number).ok())
            && number != 0
        {
            let protocol = port.text("protocol").unwrap_or("TCP").to_owned();
            node_ports.push(NodePort { number, protocol, address: None, place: value.place() });
        }
    });
    let pairs = spec.pairs("selector");
    context.links.service = Some(Box::new(ServiceFacts {
        selector: pairs.map(|(key, value)| (key, value.to_owned())).collect(),
        ports: ports.into(),
        named_targets: named_targets.into(),
        node_ports: node_ports.into(),
        is_external: spec.text("type") == Some("ExternalName"),
    }));
}

pub(crate) fn subset(subset: &View<'_>, _: &mut Context) {
    if subset.count("addresses") == 0 && subset.count("notReadyAddresses") == 0 {
        subset.fail("must have addresses or notReadyAddresses");
    }
    let several = subset.count("ports") > 1;
    subset.each("ports", |port| {
        if several && !port.is_filled("name") {
            port.fail_at("name", "is required, because there are several ports", "name each");
        }
    });
}

/// The most endpoints and addresses of a slice.
const ENDPOINT_LIMIT: usize = 1_000;
const ADDRESS_LIMIT: usize = 100;

pub(crate) fn slice(slice: &View<'_>, _: &mut Context) {
    if slice.count("endpoints") > ENDPOINT_LIMIT {
        slice.fail_at(
            "endpoints",
            &format!("may be at most {ENDPOINT_LIMIT}"),
            "make several slices",
        );
    }
    let family = slice.text("addressType").unwrap_or_default();
    slice.each("endpoints", |endpoint| {
        let Some(list) = endpoint.get("addresses") else { return };
        if list.len() > ADDRESS_LIMIT {
            list.fail(format!("may be at most {ADDRESS_LIMIT}"));
        }
        for (index, node) in list.items().unwrap_or_default().iter().enumerate() {
            let item = list.item(index, node);
            let Some(text) = item.as_text() else { continue };
            let fits = match family {
                "IPv4" => text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()),
                "IPv6" => text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()),
                "FQDN" => crate::names::check_subdomain(text).is_ok(),
                _ => true,
            };
            if !fits {
                item.fail(format!("{} is no address of type {family}", item.quote(text)));
            }
        }
    });
}
