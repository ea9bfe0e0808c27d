//! Where pods may run: affinity, spreading, tolerations.

use super::format::{LABEL, LABEL_VALUE, QUALIFIED_NAME};
use super::metadata::LABEL_SELECTOR;
use super::value::{
    INT32_MAX, INT64_MAX, INT64_MIN, TEXTS, int, object, objects, text, texts, words,
};
use super::{Schema, acted, checked, notice, refused, table};
use crate::rules::placement;

pub(crate) const PLACEMENT: &str = "Dugout places pods by nodeSelector, free CPU and memory, and spreads them evenly; the pod could land where this forbids it";
/// Of what is wished for and forbids nothing.
const PREFERENCE: &str = "has no effect: it is a preference, and Dugout spreads pods evenly over the nodes that may run them";

pub(super) static AFFINITY: Schema = table(
    "Affinity",
    &[
        acted("nodeAffinity", object(&NODE_AFFINITY)),
        acted("podAffinity", object(&POD_AFFINITY)),
        acted("podAntiAffinity", object(&POD_ANTI_AFFINITY)),
    ],
);

pub(super) static NODE_AFFINITY: Schema = table(
    "NodeAffinity",
    &[
        notice(
            "preferredDuringSchedulingIgnoredDuringExecution",
            objects(&PREFERRED_SCHEDULING_TERM),
            PREFERENCE,
        ),
        refused(
            "requiredDuringSchedulingIgnoredDuringExecution",
            object(&NODE_SELECTOR),
            PLACEMENT,
        ),
    ],
);

pub(super) static POD_AFFINITY: Schema = table(
    "PodAffinity",
    &[
        notice(
            "preferredDuringSchedulingIgnoredDuringExecution",
            objects(&WEIGHTED_POD_AFFINITY_TERM),
            PREFERENCE,
        ),
        refused(
            "requiredDuringSchedulingIgnoredDuringExecution",
            objects(&POD_AFFINITY_TERM),
            PLACEMENT,
        ),
    ],
);

pub(super) static POD_ANTI_AFFINITY: Schema = table(
    "PodAntiAffinity",
    &[
        notice(
            "preferredDuringSchedulingIgnoredDuringExecution",
            objects(&WEIGHTED_POD_AFFINITY_TERM),
            PREFERENCE,
        ),
        refused(
            "requiredDuringSchedulingIgnoredDuringExecution",
            objects(&POD_AFFINITY_TERM),
            PLACEMENT,
        ),
    ],
);

pub(super) static PREFERRED_SCHEDULING_TERM: Schema = table(
    "PreferredSchedulingTerm",
    &[
        checked("preference", object(&NODE_SELECTOR_TERM)).required(),
        checked("weight", int(1, 100)).required(),
    ],
);

pub(super) static WEIGHTED_POD_AFFINITY_TERM: Schema = table(
    "WeightedPodAffinityTerm",
    &[
        checked("podAffinityTerm", object(&POD_AFFINITY_TERM)).required(),
        checked("weight", int(1, 100)).required(),
    ],
);

pub(super) static POD_AFFINITY_TERM: Schema = table(
    "PodAffinityTerm",
    &[
        checked("labelSelector", object(&LABEL_SELECTOR)),
        checked("matchLabelKeys", texts(QUALIFIED_NAME)),
        checked("mismatchLabelKeys", texts(QUALIFIED_NAME)),
        checked("namespaceSelector", object(&LABEL_SELECTOR)),
        checked("namespaces", texts(LABEL)),
        checked("topologyKey", text(QUALIFIED_NAME)).required(),
    ],
);

pub(super) static NODE_SELECTOR: Schema =
    table("NodeSelector", &[acted("nodeSelectorTerms", objects(&NODE_SELECTOR_TERM)).required()]);

pub(super) static NODE_SELECTOR_TERM: Schema = table(
    "NodeSelectorTerm",
    &[
        acted("matchExpressions", objects(&NODE_SELECTOR_REQUIREMENT)),
        acted("matchFields", objects(&NODE_SELECTOR_REQUIREMENT)),
    ],
);

pub(super) static NODE_SELECTOR_REQUIREMENT: Schema = table(
    "NodeSelectorRequirement",
    &[
        acted("key", text(QUALIFIED_NAME)).required(),
        acted("operator", words(&["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]))
            .required()
            .except("`Gt`, `Lt`"),
        acted("values", TEXTS),
    ],
)
.with(&[placement::node_requirement]);

pub(super) static TOLERATION: Schema = table(
    "Toleration",
    &[
        checked("effect", words(&["NoSchedule", "PreferNoSchedule", "NoExecute"])),
        checked("key", text(QUALIFIED_NAME)),
        checked("operator", words(&["Equal", "Exists", "Lt", "Gt"])),
        checked("tolerationSeconds", int(INT64_MIN, INT64_MAX)),
        checked("value", text(LABEL_VALUE)),
    ],
)
.with(&[placement::toleration]);

pub(super) static TOPOLOGY_SPREAD_CONSTRAINT: Schema = table(
    "TopologySpreadConstraint",
    &[
        checked("labelSelector", object(&LABEL_SELECTOR)),
        checked("matchLabelKeys", texts(QUALIFIED_NAME)),
        checked("maxSkew", int(1, INT32_MAX)).required(),
        checked("minDomains", int(1, INT32_MAX)),
        checked("nodeAffinityPolicy", words(&["Honor", "Ignore"])),
        checked("nodeTaintsPolicy", words(&["Honor", "Ignore"])),
        checked("topologyKey", text(QUALIFIED_NAME)).required(),
        checked("whenUnsatisfiable", words(&["DoNotSchedule", "ScheduleAnyway"])).required(),
    ],
)
.with(&[placement::spread]);
