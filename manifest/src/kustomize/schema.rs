//! What Dugout does with every field of a kustomization, as tables like those of Kubernetes' objects.

use crate::schema::format::Format;
use crate::schema::value::{
    ANY, BOOL, COUNT, INT32_MAX, INT32_MIN, TEXT, TEXTS, Type, int, object, objects, text_map,
};
use crate::schema::{Schema, acted, notice, refused, table};

const TEXT_MAP: Type = text_map(Format::Any, Format::Free);

pub(crate) static KUSTOMIZATION: Schema = table(
    "Kustomization",
    &[
        acted("apiVersion", TEXT),
        acted("kind", TEXT),
        acted("metadata", ANY),
        acted("resources", TEXTS),
        acted("bases", TEXTS),
        acted("components", TEXTS),
        acted("namespace", TEXT),
        acted("namePrefix", TEXT),
        acted("nameSuffix", TEXT),
        acted("labels", objects(&LABEL)),
        acted("commonLabels", TEXT_MAP),
        acted("commonAnnotations", TEXT_MAP),
        acted("images", objects(&IMAGE)),
        acted("imageTags", objects(&IMAGE)),
        acted("replicas", objects(&REPLICA)),
        acted("patches", objects(&PATCH)),
        acted("patchesStrategicMerge", TEXTS),
        acted("patchesJson6902", objects(&PATCH)),
        acted("configMapGenerator", objects(&CONFIG_MAP_ARGS)),
        acted("secretGenerator", objects(&SECRET_ARGS)),
        acted("generatorOptions", object(&GENERATOR_OPTIONS)),
        acted("replacements", objects(&REPLACEMENT)),
        acted("sortOptions", object(&SORT_OPTIONS)),
        notice(
            "buildMetadata",
            TEXTS,
            "has no effect: Dugout keeps the file and line of every field by itself",
        ),
        notice("crds", TEXTS, "has no effect: Dugout has no custom resources"),
        refused("configurations", ANY, "write patches or replacements for what it is to change"),
        refused("openapi", ANY, "lists are merged by the keys of Kubernetes' own types"),
        acted("vars", objects(&VAR)),
        refused(
            "helmCharts",
            ANY,
            "commit what `helm template` prints, and name that as a resource",
        ),
        refused(
            "helmGlobals",
            ANY,
            "commit what `helm template` prints, and name that as a resource",
        ),
        refused(
            "helmChartInflationGenerator",
            ANY,
            "commit what `helm template` prints, and name that as a resource",
        ),
        refused(
            "generators",
            ANY,
            "no plugin is run; commit what it makes, and name that as a resource",
        ),
        refused(
            "transformers",
            ANY,
            "no plugin is run; use the fields of the kustomization, or patches",
        ),
        refused("validators", ANY, "no plugin is run; Dugout validates by itself"),
        refused("inventory", ANY, "Dugout keeps the record of what it applied by itself"),
    ],
);

pub(crate) static LABEL: Schema = table(
    "Label",
    &[
        acted("pairs", TEXT_MAP).required(),
        acted("includeSelectors", BOOL),
        acted("includeTemplates", BOOL),
        acted("fields", objects(&FIELD_SPEC)),
    ],
);

pub(crate) static FIELD_SPEC: Schema = table(
    "FieldSpec",
    &[
        acted("group", TEXT),
        acted("version", TEXT),
        acted("kind", TEXT),
        acted("path", TEXT).required(),
        acted("create", BOOL),
    ],
);

pub(crate) static IMAGE: Schema = table(
    "Image",
    &[
        acted("name", TEXT).required(),
        acted("newName", TEXT),
        acted("newTag", TEXT),
        acted("tagSuffix", TEXT),
        acted("digest", TEXT),
    ],
);

pub(crate) static REPLICA: Schema =
    table("Replica", &[acted("name", TEXT).required(), acted("count", COUNT).required()]);

pub(crate) static PATCH: Schema = table(
    "Patch",
    &[
        acted("path", TEXT),
        acted("patch", TEXT),
        acted("target", object(&SELECTOR)),
        acted("options", object(&PATCH_OPTIONS)),
    ],
);

pub(crate) static PATCH_OPTIONS: Schema = table(
    "PatchOptions",
    &[
        acted("allowNameChange", BOOL),
        acted("allowKindChange", BOOL),
        acted("allowNoTargetMatch", BOOL),
    ],
);

pub(crate) static SELECTOR: Schema = table(
    "Selector",
    &[
        acted("group", TEXT),
        acted("version", TEXT),
        acted("kind", TEXT),
        acted("name", TEXT),
        acted("namespace", TEXT),
        acted("labelSelector", TEXT),
        acted("annotationSelector", TEXT),
    ],
);

pub(crate) static CONFIG_MAP_ARGS: Schema = table(
    "ConfigMapArgs",
    &[
        acted("name", TEXT).required(),
        acted("namespace", TEXT),
        acted("behavior", TEXT),
        acted("literals", TEXTS),
        acted("files", TEXTS),
        acted("envs", TEXTS),
        acted("env", TEXT),
        acted("options", object(&GENERATOR_OPTIONS)),
    ],
);

pub(crate) static SECRET_ARGS: Schema = table(
    "SecretArgs",
    &[
        acted("name", TEXT).required(),
        acted("namespace", TEXT),
        acted("behavior", TEXT),
        acted("type", TEXT),
        acted("literals", TEXTS),
        acted("files", TEXTS),
        acted("envs", TEXTS),
        acted("env", TEXT),
        acted("options", object(&GENERATOR_OPTIONS)),
    ],
);

pub(crate) static GENERATOR_OPTIONS: Schema = table(
    "GeneratorOptions",
    &[
        acted("labels", TEXT_MAP),
        acted("annotations", TEXT_MAP),
        acted("disableNameSuffixHash", BOOL),
        acted("immutable", BOOL),
    ],
);

pub(crate) static REPLACEMENT: Schema = table(
    "Replacement",
    &[
        acted("path", TEXT),
        acted("source", object(&SOURCE_SELECTOR)),
        acted("targets", objects(&TARGET_SELECTOR)),
    ],
);

pub(crate) static SOURCE_SELECTOR: Schema = table(
    "SourceSelector",
    &[
        acted("group", TEXT),
        acted("version", TEXT),
        acted("kind", TEXT),
        acted("name", TEXT),
        acted("namespace", TEXT),
        acted("fieldPath", TEXT),
        acted("options", object(&FIELD_OPTIONS)),
    ],
);

pub(crate) static TARGET_SELECTOR: Schema = table(
    "TargetSelector",
    &[
        acted("select", object(&SELECTOR)).required(),
        acted("reject", object(&SELECTOR)),
        acted("fieldPaths", TEXTS),
        acted("options", object(&FIELD_OPTIONS)),
    ],
);

pub(crate) static FIELD_OPTIONS: Schema = table(
    "FieldOptions",
    &[acted("delimiter", TEXT), acted("index", int(INT32_MIN, INT32_MAX)), acted("create", BOOL)],
);

pub(crate) static VAR: Schema = table(
    "Var",
    &[
        acted("name", TEXT).required(),
        acted("objref", object(&VAR_TARGET)).required(),
        acted("fieldref", object(&FIELD_SELECTOR)),
    ],
);

pub(crate) static VAR_TARGET: Schema = table(
    "Target of a var",
    &[
        acted("apiVersion", TEXT),
        acted("group", TEXT),
        acted("version", TEXT),
        acted("kind", TEXT),
        acted("name", TEXT).required(),
        acted("namespace", TEXT),
    ],
);

pub(crate) static FIELD_SELECTOR: Schema =
    table("FieldSelector", &[acted("fieldPath", TEXT), acted("fieldpath", TEXT)]);

pub(crate) static SORT_OPTIONS: Schema = table(
    "SortOptions",
    &[acted("order", TEXT).required(), acted("legacySortOptions", object(&LEGACY_SORT_OPTIONS))],
);

pub(crate) static LEGACY_SORT_OPTIONS: Schema =
    table("LegacySortOptions", &[acted("orderFirst", TEXTS), acted("orderLast", TEXTS)]);
