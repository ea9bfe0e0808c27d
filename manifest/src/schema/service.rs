//! The fields of a service.

use super::{Schema, acted, notice, refused, required};

const LOAD_BALANCER: &str = "belongs to services of type LoadBalancer, which Dugout does not serve";

pub(super) static SERVICE_SPEC: Schema = Schema {
    name: "ServiceSpec",
    fields: &[
        acted("type"),
        acted("selector"),
        required("ports").of(&SERVICE_PORT),
        refused(
            "clusterIP",
            "Dugout gives services no cluster address that could be chosen, and serves no headless services",
        ),
        refused(
            "clusterIPs",
            "Dugout gives services no cluster address that could be chosen, and serves no headless services",
        ),
        refused("externalIPs", "Dugout serves node ports only on the nodes' own addresses"),
        refused(
            "externalName",
            "services of type ExternalName need a cluster DNS, which Dugout does not have",
        ),
        refused("externalTrafficPolicy", "node ports serve every ready pod on the node's engine")
            .unless(&["Cluster"]),
        refused("internalTrafficPolicy", "services serve every ready pod on the node's engine")
            .unless(&["Cluster"]),
        refused("sessionAffinity", "connections are spread over all ready pods").unless(&["None"]),
        refused("sessionAffinityConfig", "connections are spread over all ready pods"),
        refused("publishNotReadyAddresses", "only ready pods get connections").unless(&["false"]),
        refused("trafficDistribution", "connections are spread over all ready pods"),
        notice("ipFamilies", "has no effect: a node port listens on every address of its node"),
        notice("ipFamilyPolicy", "has no effect: a node port listens on every address of its node")
            .unless(&["SingleStack"]),
        refused("allocateLoadBalancerNodePorts", LOAD_BALANCER),
        refused("healthCheckNodePort", LOAD_BALANCER).unless(&["0"]),
        refused("loadBalancerClass", LOAD_BALANCER),
        refused("loadBalancerIP", LOAD_BALANCER),
        refused("loadBalancerSourceRanges", LOAD_BALANCER),
    ],
};

static SERVICE_PORT: Schema = Schema {
    name: "ServicePort",
    fields: &[
        acted("name"),
        acted("protocol"),
        required("port"),
        acted("targetPort"),
        acted("nodePort"),
        notice(
            "appProtocol",
            "has no effect: the proxy passes every protocol over TCP through unchanged",
        ),
    ],
};
