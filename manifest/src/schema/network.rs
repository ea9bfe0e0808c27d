//! Ingresses and network policies.

use super::format::Format::Words;
use super::format::{CIDR, CONTROLLER, INGRESS_HOST, PORT_NAME, SERVICE_NAME, SUBDOMAIN};
use super::metadata::LABEL_SELECTOR;
use super::storage::TYPED_LOCAL_OBJECT_REFERENCE;
use super::value::{PORT, TEXT, int, object, objects, text, texts, words};
use super::{API_VERSION, KIND, METADATA, STATUS, Schema, checked, table};
use crate::rules::network;

pub(super) static INGRESS: Schema = table(
    "Ingress",
    &[API_VERSION, KIND, METADATA, checked("spec", object(&INGRESS_SPEC)).required(), STATUS],
);

pub(super) static INGRESS_SPEC: Schema = table(
    "IngressSpec",
    &[
        checked("defaultBackend", object(&INGRESS_BACKEND)),
        checked("ingressClassName", text(SUBDOMAIN)),
        checked("rules", objects(&INGRESS_RULE)),
        checked("tls", objects(&INGRESS_TLS)),
    ],
)
.with(&[network::ingress]);

pub(super) static INGRESS_RULE: Schema = table(
    "IngressRule",
    &[checked("host", text(INGRESS_HOST)), checked("http", object(&HTTP_INGRESS_RULE_VALUE))],
);

pub(super) static HTTP_INGRESS_RULE_VALUE: Schema =
    table("HTTPIngressRuleValue", &[checked("paths", objects(&HTTP_INGRESS_PATH)).required()]);

pub(super) static HTTP_INGRESS_PATH: Schema = table(
    "HTTPIngressPath",
    &[
        checked("backend", object(&INGRESS_BACKEND)).required(),
        checked("path", TEXT),
        checked("pathType", words(&["Exact", "Prefix", "ImplementationSpecific"])).required(),
    ],
)
.with(&[network::path]);

pub(super) static INGRESS_BACKEND: Schema = table(
    "IngressBackend",
    &[
        checked("resource", object(&TYPED_LOCAL_OBJECT_REFERENCE)),
        checked("service", object(&INGRESS_SERVICE_BACKEND)),
    ],
)
.with(&[network::backend]);

pub(super) static INGRESS_SERVICE_BACKEND: Schema = table(
    "IngressServiceBackend",
    &[
        checked("name", text(SERVICE_NAME)).required(),
        checked("port", object(&SERVICE_BACKEND_PORT)).required(),
    ],
)
.with(&[network::service_backend]);

pub(super) static SERVICE_BACKEND_PORT: Schema = table(
    "ServiceBackendPort",
    &[checked("name", text(PORT_NAME)), checked("number", int(0, 65_535))],
);

pub(super) static INGRESS_TLS: Schema = table(
    "IngressTLS",
    &[checked("hosts", texts(INGRESS_HOST)), checked("secretName", text(SUBDOMAIN))],
)
.with(&[network::tls]);

pub(super) static INGRESS_CLASS: Schema = table(
    "IngressClass",
    &[API_VERSION, KIND, METADATA, checked("spec", object(&INGRESS_CLASS_SPEC))],
);

pub(super) static INGRESS_CLASS_SPEC: Schema = table(
    "IngressClassSpec",
    &[
        checked("controller", text(CONTROLLER)),
        checked("parameters", object(&INGRESS_CLASS_PARAMETERS_REFERENCE)),
    ],
);

pub(super) static INGRESS_CLASS_PARAMETERS_REFERENCE: Schema = table(
    "IngressClassParametersReference",
    &[
        checked("apiGroup", TEXT),
        checked("kind", TEXT).required(),
        checked("name", TEXT).required(),
        checked("namespace", TEXT),
        checked("scope", words(&["Cluster", "Namespace"])),
    ],
)
.with(&[network::class_parameters]);

pub(super) static NETWORK_POLICY: Schema = table(
    "NetworkPolicy",
    &[API_VERSION, KIND, METADATA, checked("spec", object(&NETWORK_POLICY_SPEC)).required()],
);

pub(super) static NETWORK_POLICY_SPEC: Schema = table(
    "NetworkPolicySpec",
    &[
        checked("egress", objects(&NETWORK_POLICY_EGRESS_RULE)),
        checked("ingress", objects(&NETWORK_POLICY_INGRESS_RULE)),
        checked("podSelector", object(&LABEL_SELECTOR)),
        checked("policyTypes", texts(Words(&["Ingress", "Egress"]))),
    ],
);

pub(super) static NETWORK_POLICY_INGRESS_RULE: Schema = table(
    "NetworkPolicyIngressRule",
    &[
        checked("from", objects(&NETWORK_POLICY_PEER)),
        checked("ports", objects(&NETWORK_POLICY_PORT)),
    ],
);

pub(super) static NETWORK_POLICY_EGRESS_RULE: Schema = table(
    "NetworkPolicyEgressRule",
    &[
        checked("ports", objects(&NETWORK_POLICY_PORT)),
        checked("to", objects(&NETWORK_POLICY_PEER)),
    ],
);

pub(super) static NETWORK_POLICY_PEER: Schema = table(
    "NetworkPolicyPeer",
    &[
        checked("ipBlock", object(&IP_BLOCK)),
        checked("namespaceSelector", object(&LABEL_SELECTOR)),
        checked("podSelector", object(&LABEL_SELECTOR)),
    ],
)
.with(&[network::peer]);

pub(super) static NETWORK_POLICY_PORT: Schema = table(
    "NetworkPolicyPort",
    &[
        checked("endPort", int(1, 65_535)),
        checked("port", PORT),
        checked("protocol", words(&["TCP", "UDP", "SCTP"])),
    ],
)
.with(&[network::policy_port]);

pub(super) static IP_BLOCK: Schema =
    table("IPBlock", &[checked("cidr", text(CIDR)).required(), checked("except", texts(CIDR))])
        .with(&[network::ip_block]);
