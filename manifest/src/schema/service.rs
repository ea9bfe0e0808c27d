//! Services and their endpoints.

use super::format::Format::{Any, Free, Words};
use super::format::{
    CIDR, CLUSTER_IP, ENDPOINT_IP, IP, LABEL, QUALIFIED_NAME, SUBDOMAIN, SUBDOMAIN_DOT,
};
use super::storage::OBJECT_REFERENCE;
use super::value::{
    BOOL, LABELS, PORT, TEXT, TEXTS, int, object, objects, text, text_map, texts, words,
};
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, acted, checked, notice, refused, table};
use crate::rules::service;

const ADDRESSES: &str = "addresses, which are refused";
const LOAD_BALANCER: &str = "belongs to services of type LoadBalancer, which Dugout does not serve";

pub(super) static SERVICE: Schema = table(
    "Service",
    &[API_VERSION, KIND, METADATA, acted("spec", object(&SERVICE_SPEC)).required(), STATUS],
);

pub(super) static SERVICE_SPEC: Schema = table(
    "ServiceSpec",
    &[
        acted("type", words(&["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]))
            .except("`LoadBalancer`, which is refused"),
        acted("selector", LABELS),
        acted("ports", objects(&SERVICE_PORT)).unique_by("name"),
        acted("clusterIP", text(CLUSTER_IP)).except(ADDRESSES),
        acted("clusterIPs", texts(CLUSTER_IP)).except(ADDRESSES),
        refused(
            "externalIPs",
            texts(IP),
            "Dugout serves node ports only on the nodes' own addresses",
        ),
        acted("externalName", text(SUBDOMAIN_DOT)),
        refused(
            "externalTrafficPolicy",
            words(&["Cluster", "Local"]),
            "node ports serve every ready pod on the node's engine",
        )
        .unless(&["Cluster"]),
        refused(
            "internalTrafficPolicy",
            words(&["Cluster", "Local"]),
            "services serve every ready pod on the node's engine",
        )
        .unless(&["Cluster"]),
        refused(
            "sessionAffinity",
            words(&["None", "ClientIP"]),
            "connections are spread over all ready pods",
        )
        .unless(&["None"]),
        refused(
            "sessionAffinityConfig",
            object(&SESSION_AFFINITY_CONFIG),
            "connections are spread over all ready pods",
        ),
        acted("publishNotReadyAddresses", BOOL)
            .except("`true` with type NodePort, which is refused"),
        refused(
            "trafficDistribution",
            words(&["PreferClose", "PreferSameZone", "PreferSameNode"]),
            "connections are spread over all ready pods",
        ),
        notice(
            "ipFamilies",
            texts(Words(&["IPv4", "IPv6"])),
            "has no effect: a node port listens on every address of its node",
        ),
        notice(
            "ipFamilyPolicy",
            words(&["SingleStack", "PreferDualStack", "RequireDualStack"]),
            "has no effect: a node port listens on every address of its node",
        )
        .unless(&["SingleStack"]),
        refused("allocateLoadBalancerNodePorts", BOOL, LOAD_BALANCER),
        refused("healthCheckNodePort", int(0, 65_535), LOAD_BALANCER).unless(&["0"]),
        refused("loadBalancerClass", text(QUALIFIED_NAME), LOAD_BALANCER),
        refused("loadBalancerIP", text(IP), LOAD_BALANCER),
        refused("loadBalancerSourceRanges", texts(CIDR), LOAD_BALANCER),
    ],
)
.with(&[service::service]);

pub(super) static SERVICE_PORT: Schema = table(
    "ServicePort",
    &[
        acted("name", text(LABEL)),
        acted("protocol", words(&["TCP", "UDP", "SCTP"]))
            .except("`SCTP`, and `UDP` with a node port, which are refused"),
        acted("port", int(1, 65_535)).required(),
        acted("targetPort", PORT),
        acted("nodePort", int(0, 65_535)),
        notice(
            "appProtocol",
            text(QUALIFIED_NAME),
            "has no effect: the proxy passes every protocol over TCP through unchanged",
        ),
    ],
);

pub(super) static SESSION_AFFINITY_CONFIG: Schema =
    table("SessionAffinityConfig", &[checked("clientIP", object(&CLIENT_IP_CONFIG))]);

pub(super) static CLIENT_IP_CONFIG: Schema =
    table("ClientIPConfig", &[checked("timeoutSeconds", int(1, 86_400))]);

pub(super) static ENDPOINTS: Schema = table(
    "Endpoints",
    &[API_VERSION, KIND, METADATA, checked("subsets", objects(&ENDPOINT_SUBSET))],
);

pub(super) static ENDPOINT_SUBSET: Schema = table(
    "EndpointSubset",
    &[
        checked("addresses", objects(&ENDPOINT_ADDRESS)),
        checked("notReadyAddresses", objects(&ENDPOINT_ADDRESS)),
        checked("ports", objects(&ENDPOINTS_PORT)),
    ],
)
.with(&[service::subset]);

pub(super) static ENDPOINT_ADDRESS: Schema = table(
    "EndpointAddress",
    &[
        checked("hostname", text(LABEL)),
        checked("ip", text(ENDPOINT_IP)).required(),
        checked("nodeName", text(SUBDOMAIN)),
        checked("targetRef", object(&OBJECT_REFERENCE)),
    ],
);

pub(super) static ENDPOINTS_PORT: Schema = table(
    "EndpointPort of Endpoints",
    &[
        checked("appProtocol", text(QUALIFIED_NAME)),
        checked("name", text(LABEL)),
        checked("port", int(1, 65_535)).required(),
        checked("protocol", words(&["TCP", "UDP", "SCTP"])),
    ],
);

pub(super) static ENDPOINT_SLICE: Schema = table(
    "EndpointSlice",
    &[
        API_VERSION,
        KIND,
        METADATA,
        checked("addressType", words(&["IPv4", "IPv6", "FQDN"])).required(),
        checked("endpoints", objects(&ENDPOINT)),
        checked("ports", objects(&ENDPOINT_SLICE_PORT)).unique_by("name"),
    ],
)
.with(&[service::slice]);

pub(super) static ENDPOINT: Schema = table(
    "Endpoint",
    &[
        checked("addresses", TEXTS).required(),
        checked("conditions", object(&ENDPOINT_CONDITIONS)),
        checked("deprecatedTopology", text_map(Any, Free)),
        checked("hints", object(&ENDPOINT_HINTS)),
        checked("hostname", text(LABEL)),
        checked("nodeName", text(SUBDOMAIN)),
        checked("targetRef", object(&OBJECT_REFERENCE)),
        checked("zone", TEXT),
    ],
);

pub(super) static ENDPOINT_CONDITIONS: Schema = table(
    "EndpointConditions",
    &[checked("ready", BOOL), checked("serving", BOOL), checked("terminating", BOOL)],
);

pub(super) static ENDPOINT_HINTS: Schema = table(
    "EndpointHints",
    &[checked("forNodes", objects(&FOR_NODE)), checked("forZones", objects(&FOR_ZONE))],
);

pub(super) static FOR_NODE: Schema =
    table("ForNode", &[checked("name", text(SUBDOMAIN)).required()]);

pub(super) static FOR_ZONE: Schema = table("ForZone", &[checked("name", TEXT).required()]);

pub(super) static ENDPOINT_SLICE_PORT: Schema = table(
    "EndpointPort of an EndpointSlice",
    &[
        checked("appProtocol", text(QUALIFIED_NAME)),
        checked("name", text(LABEL)),
        checked("port", int(1, 65_535)),
        checked("protocol", words(&["TCP", "UDP", "SCTP"])),
    ],
);
