//! `metadata`: labels and annotations.

use dugout_model::StringMap;

use crate::reader::{Object, Value};

/// A copy of the object, which kubectl leaves; of a secret, it holds the content.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Annotations by which other programs are steered; the sentence follows the key.
const FOREIGN_ANNOTATIONS: &[(&str, &str)] = &[
    ("service.beta.kubernetes.io/", "steers a cloud's load balancers, of which Dugout makes none"),
    ("service.kubernetes.io/", "steers how Kubernetes spreads traffic"),
    ("cloud.google.com/", "steers a cloud's load balancers, of which Dugout makes none"),
    ("networking.gke.io/", "steers a cloud's load balancers, of which Dugout makes none"),
    ("alb.ingress.kubernetes.io/", "steers a cloud's load balancers, of which Dugout makes none"),
    ("eks.amazonaws.com/", GIVES_CREDENTIALS),
    ("iam.gke.io/", GIVES_CREDENTIALS),
    ("azure.workload.identity/", GIVES_CREDENTIALS),
    (
        "container.apparmor.security.beta.kubernetes.io/",
        "sets an AppArmor profile, which Dugout does not",
    ),
    ("seccomp.security.alpha.kubernetes.io/", "sets a seccomp profile, which Dugout does not"),
    ("cluster-autoscaler.kubernetes.io/", "steers an autoscaler, which Dugout does not have"),
    ("deployment.kubernetes.io/revision", "is set by Kubernetes; Dugout counts revisions itself"),
    ("argocd.argoproj.io/", "steers Argo CD; Dugout applies a commit as one"),
    ("helm.sh/hook", "makes a hook of Helm; here the object is as any other"),
    (
        "helm.sh/resource-policy",
        "steers Helm; dugout.dev/prune says what becomes of what leaves Git",
    ),
    (
        "kustomize.toolkit.fluxcd.io/",
        "steers Flux; dugout.dev/prune says what becomes of what leaves Git",
    ),
    ("helm.toolkit.fluxcd.io/", "steers Flux"),
    ("sidecar.istio.io/", ADDS_PROXY),
    ("linkerd.io/", ADDS_PROXY),
    ("config.linkerd.io/", ADDS_PROXY),
    ("vault.hashicorp.com/", "has secrets written into pods, which Dugout does not"),
    ("cert-manager.io/", "asks for certificates, which Dugout does not issue"),
    ("external-dns.alpha.kubernetes.io/", "has names published, which Dugout does not"),
    ("nginx.ingress.kubernetes.io/", "steers an ingress controller"),
    ("traefik.ingress.kubernetes.io/", "steers an ingress controller"),
    ("reloader.stakater.com/", RELOADS),
    ("configmap.reloader.stakater.com/", RELOADS),
    ("secret.reloader.stakater.com/", RELOADS),
    ("iam.amazonaws.com/", GIVES_CREDENTIALS),
    ("backup.velero.io/", BACKS_UP),
    ("pre.hook.backup.velero.io/", BACKS_UP),
    ("post.hook.backup.velero.io/", BACKS_UP),
    ("k8s.v1.cni.cncf.io/", JOINS_NETWORKS),
    ("cni.projectcalico.org/", JOINS_NETWORKS),
    ("kubernetes.io/ingress-bandwidth", "limits what a pod receives, which Dugout does not"),
    ("kubernetes.io/egress-bandwidth", "limits what a pod sends, which Dugout does not"),
    ("traffic.sidecar.istio.io/", ADDS_PROXY),
    ("proxy.istio.io/", ADDS_PROXY),
    ("inject.istio.io/", ADDS_PROXY),
    ("networking.istio.io/", ADDS_PROXY),
    ("kuma.io/", ADDS_PROXY),
    ("consul.hashicorp.com/", ADDS_PROXY),
    ("dapr.io/", ADDS_CONTAINERS),
    ("instrumentation.opentelemetry.io/", ADDS_CONTAINERS),
    ("sidecar.opentelemetry.io/", ADDS_CONTAINERS),
    ("sidecar.jaegertracing.io/", ADDS_CONTAINERS),
    ("secrets-store.csi.k8s.io/", "has secrets mounted into pods, which Dugout does not"),
    ("sealedsecrets.bitnami.com/", "steers Sealed Secrets; Dugout takes secrets as they are"),
    ("replicator.v1.mittwald.de/", COPIES),
    ("reflector.v1.k8s.emberstack.com/", COPIES),
    ("keel.sh/", UPDATES_IMAGES),
    ("argocd-image-updater.argoproj.io/", UPDATES_IMAGES),
    ("fluxcd.io/", "steers Flux"),
    ("downscaler/", "has workloads scaled by the clock, which Dugout does not"),
    ("controller.kubernetes.io/pod-deletion-cost", "steers which pods Kubernetes removes first"),
    ("scheduler.alpha.kubernetes.io/", "steers how Kubernetes places pods"),
    ("descheduler.alpha.kubernetes.io/", "steers how Kubernetes moves pods"),
    ("karpenter.sh/", "steers an autoscaler, which Dugout does not have"),
    ("metallb.universe.tf/", BALANCES),
    ("metallb.io/", BALANCES),
    ("kube-vip.io/", BALANCES),
    ("load-balancer.hetzner.cloud/", BALANCES),
    ("tailscale.com/", "has a service published, which Dugout does not"),
    ("haproxy.org/", "steers an ingress controller"),
    ("konghq.com/", "steers an ingress controller"),
];

const BALANCES: &str = "steers load balancers, of which Dugout makes none";
const GIVES_CREDENTIALS: &str = "gives pods a cloud's credentials, which Dugout does not";
const RELOADS: &str = "has pods replaced when their configuration changes, as Dugout always does";
const BACKS_UP: &str = "steers backups, which Dugout does not make";
const JOINS_NETWORKS: &str = "gives pods other networks or addresses, which Dugout does not";
const ADDS_CONTAINERS: &str = "has containers added to pods, which Dugout does not";
const COPIES: &str = "has an object copied to other namespaces, which Dugout does not";
const UPDATES_IMAGES: &str = "has images changed past Git, which Dugout does not";

/// The same of labels. They are kept, as selectors may name them.
const FOREIGN_LABELS: &[(&str, &str)] = &[
    ("pod-security.kubernetes.io/", "asks for a check of pods that Dugout does not make"),
    ("istio-injection", ADDS_PROXY),
    ("istio.io/", ADDS_PROXY),
    ("sidecar.istio.io/", ADDS_PROXY),
    ("kustomize.toolkit.fluxcd.io/", "steers Flux"),
];

const ADDS_PROXY: &str = "steers a service mesh, of which Dugout adds none to pods";

/// Labels and annotations of an object.
pub(super) fn read(metadata: &Object<'_>) -> (StringMap, StringMap) {
    for name in ["name", "namespace"] {
        // Read with the identity; asking again says that they were not overlooked.
        metadata.field(name);
    }
    let labels = metadata.field("labels").map(|value| read_own_labels(&value)).unwrap_or_default();
    let annotations =
        metadata.field("annotations").map(|value| read_annotations(&value)).unwrap_or_default();
    (labels, annotations)
}

/// The labels of an object or of what is made from a template.
pub(super) fn read_own_labels(value: &Value<'_>) -> StringMap {
    value.each_entry(|key, value| tell_foreign(FOREIGN_LABELS, key, &value));
    read_labels(value)
}

/// Tells what steers another program.
fn tell_foreign(foreign: &[(&str, &str)], key: &str, value: &Value<'_>) {
    if let Some((_, why)) = foreign.iter().find(|(start, _)| key.starts_with(start)) {
        value.notice_key(format!("has no effect: it {why}"), None);
    }
}

/// Labels, or a selector's `matchLabels`, or a node selector.
pub(super) fn read_labels(value: &Value<'_>) -> StringMap {
    read_texts(value)
}

/// A map of texts.
pub(super) fn read_texts(value: &Value<'_>) -> StringMap {
    let mut texts = Vec::with_capacity(value.entries().map_or(0, <[_]>::len));
    value.each_entry(|key, value| {
        if let Some(text) = text_or_empty(&value) {
            texts.push((key.to_owned(), text.to_owned()));
        }
    });
    texts.into_iter().collect()
}

pub(super) fn read_annotations(value: &Value<'_>) -> StringMap {
    let mut annotations = Vec::new();
    value.each_entry(|key, value| {
        if key == LAST_APPLIED {
            let message = "has no effect, and is not kept: kubectl left it";
            value.notice_key(message, Some("remove it"));
            return;
        }
        tell_foreign(FOREIGN_ANNOTATIONS, key, &value);
        if let Some(text) = text_or_empty(&value) {
            annotations.push((key.to_owned(), text.to_owned()));
        }
    });
    annotations.into_iter().collect()
}

/// Text in a map of texts, where Kubernetes takes null for the empty text.
pub(super) fn text_or_empty<'s>(value: &Value<'s>) -> Option<&'s str> {
    if value.is_null() { Some("") } else { value.text() }
}
