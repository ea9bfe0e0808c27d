//! What Dugout does with every field of a kustomization, as tables like those of Kubernetes' objects.

use crate::schema::{Schema, acted, notice, refused, required};

pub(crate) static KUSTOMIZATION: Schema = Schema {
    name: "Kustomization",
    fields: &[
        acted("apiVersion"),
        acted("kind"),
        acted("metadata"),
        acted("resources"),
        acted("bases"),
        acted("components"),
        acted("namespace"),
        acted("namePrefix"),
        acted("nameSuffix"),
        acted("labels").of(&LABEL),
        acted("commonLabels"),
        acted("commonAnnotations"),
        acted("images").of(&IMAGE),
        acted("imageTags").of(&IMAGE),
        acted("replicas").of(&REPLICA),
        acted("patches").of(&PATCH),
        acted("patchesStrategicMerge"),
        acted("patchesJson6902").of(&PATCH),
        acted("configMapGenerator").of(&CONFIG_MAP_ARGS),
        acted("secretGenerator").of(&SECRET_ARGS),
        acted("generatorOptions").of(&GENERATOR_OPTIONS),
        acted("replacements").of(&REPLACEMENT),
        acted("sortOptions").of(&SORT_OPTIONS),
        notice(
            "buildMetadata",
            "has no effect: Dugout keeps the file and line of every field by itself",
        ),
        notice("crds", "has no effect: Dugout has no custom resources"),
        refused("configurations", "write patches or replacements for what it is to change"),
        refused("openapi", "lists are merged by the keys of Kubernetes' own types"),
        refused("vars", "write replacements, which took their place"),
        refused("helmCharts", "commit what `helm template` prints, and name that as a resource"),
        refused("helmGlobals", "commit what `helm template` prints, and name that as a resource"),
        refused(
            "helmChartInflationGenerator",
            "commit what `helm template` prints, and name that as a resource",
        ),
        refused(
            "generators",
            "no plugin is run; commit what it makes, and name that as a resource",
        ),
        refused(
            "transformers",
            "no plugin is run; use the fields of the kustomization, or patches",
        ),
        refused("validators", "no plugin is run; Dugout validates by itself"),
        refused("inventory", "Dugout keeps the record of what it applied by itself"),
    ],
};

pub(crate) static LABEL: Schema = Schema {
    name: "Label",
    fields: &[
        required("pairs"),
        acted("includeSelectors"),
        acted("includeTemplates"),
        acted("fields").of(&FIELD_SPEC),
    ],
};

pub(crate) static FIELD_SPEC: Schema = Schema {
    name: "FieldSpec",
    fields: &[acted("group"), acted("version"), acted("kind"), required("path"), acted("create")],
};

pub(crate) static IMAGE: Schema = Schema {
    name: "Image",
    fields: &[
        required("name"),
        acted("newName"),
        acted("newTag"),
        acted("tagSuffix"),
        acted("digest"),
    ],
};

pub(crate) static REPLICA: Schema =
    Schema { name: "Replica", fields: &[required("name"), required("count")] };

pub(crate) static PATCH: Schema = Schema {
    name: "Patch",
    fields: &[
        acted("path"),
        acted("patch"),
        acted("target").of(&SELECTOR),
        acted("options").of(&PATCH_OPTIONS),
    ],
};

pub(crate) static PATCH_OPTIONS: Schema = Schema {
    name: "PatchOptions",
    fields: &[acted("allowNameChange"), acted("allowKindChange"), acted("allowNoTargetMatch")],
};

pub(crate) static SELECTOR: Schema = Schema {
    name: "Selector",
    fields: &[
        acted("group"),
        acted("version"),
        acted("kind"),
        acted("name"),
        acted("namespace"),
        acted("labelSelector"),
        acted("annotationSelector"),
    ],
};

pub(crate) static CONFIG_MAP_ARGS: Schema = Schema {
    name: "ConfigMapArgs",
    fields: &[
        required("name"),
        acted("namespace"),
        acted("behavior"),
        acted("literals"),
        acted("files"),
        acted("envs"),
        acted("env"),
        acted("options").of(&GENERATOR_OPTIONS),
    ],
};

pub(crate) static SECRET_ARGS: Schema = Schema {
    name: "SecretArgs",
    fields: &[
        required("name"),
        acted("namespace"),
        acted("behavior"),
        acted("type"),
        acted("literals"),
        acted("files"),
        acted("envs"),
        acted("env"),
        acted("options").of(&GENERATOR_OPTIONS),
    ],
};

pub(crate) static GENERATOR_OPTIONS: Schema = Schema {
    name: "GeneratorOptions",
    fields: &[
        acted("labels"),
        acted("annotations"),
        acted("disableNameSuffixHash"),
        acted("immutable"),
    ],
};

pub(crate) static REPLACEMENT: Schema = Schema {
    name: "Replacement",
    fields: &[
        acted("path"),
        acted("source").of(&SOURCE_SELECTOR),
        acted("targets").of(&TARGET_SELECTOR),
    ],
};

pub(crate) static SOURCE_SELECTOR: Schema = Schema {
    name: "SourceSelector",
    fields: &[
        acted("group"),
        acted("version"),
        acted("kind"),
        acted("name"),
        acted("namespace"),
        acted("fieldPath"),
        acted("options").of(&FIELD_OPTIONS),
    ],
};

pub(crate) static TARGET_SELECTOR: Schema = Schema {
    name: "TargetSelector",
    fields: &[
        required("select").of(&SELECTOR),
        acted("reject").of(&SELECTOR),
        acted("fieldPaths"),
        acted("options").of(&FIELD_OPTIONS),
    ],
};

pub(crate) static FIELD_OPTIONS: Schema =
    Schema { name: "FieldOptions", fields: &[acted("delimiter"), acted("index"), acted("create")] };

pub(crate) static SORT_OPTIONS: Schema = Schema {
    name: "SortOptions",
    fields: &[required("order"), acted("legacySortOptions").of(&LEGACY_SORT_OPTIONS)],
};

pub(crate) static LEGACY_SORT_OPTIONS: Schema =
    Schema { name: "LegacySortOptions", fields: &[acted("orderFirst"), acted("orderLast")] };
