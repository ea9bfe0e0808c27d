//! The page `docs/compatibility.md`, written from the tables that the reader itself uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::decode::policy::ANNOTATIONS;
use crate::schema::format::Format;
use crate::schema::value::Type;
use crate::schema::{Field, GONE, Handling, KINDS, KindEntry, REMOVED, Schema, Support};
use crate::source::{RENDERED_BYTE_LIMIT, RENDERED_NODE_LIMIT};

const OPENING: &str = "# What Dugout does with Kubernetes manifests

This page is written from the tables in `manifest/src/schema` by a test; do not edit it.
After a change of the tables, run `UPDATE_GOLDEN=1 cargo test -p dugout-manifest`.

Nothing is ignored in silence. YAML is read as kubectl reads it, and so are JSON documents, also several in
one file. Each object is checked as strictly as an API server would: unknown
fields, wrong values, what is missing, and what fields say about each other. Then each field of a kind
that Dugout acts on is one of:

- **acted on**: Dugout does what Kubernetes does with it.
- **notice**: accepted, and a notice says that it has no effect; `dugout validate --strict` makes
  notices errors.
- **refused**: an error, because leaving it out would change what the manifest means.
- **checked**: a part of something that is refused, or of a kind that Dugout does not act on.

A field that is refused or noticed may still hold nothing (null, empty) or the value that is named as
harmless, because that means the same as leaving it out. A field that is in no table does not exist in
Kubernetes and is an error. A star marks what is required. `apiVersion` and `kind` are in every object.
";

/// The whole page.
pub fn compatibility_page() -> String {
    let mut page = OPENING.to_owned();
    write_kinds(&mut page);
    write_removed(&mut page);
    write_annotations(&mut page);
    page.push_str(WORKLOADS);
    page.push_str(LIMITS_AND_QUOTAS);
    let users = users_of_types();
    page.push_str("\n## Fields by kind\n");
    for entry in KINDS {
        let Some(schema) = entry.schema else { continue };
        for own in types_of(schema) {
            if users.get(own.name).is_some_and(|users| users.len() == 1) {
                write_schema(&mut page, own);
            }
        }
    }
    page.push_str("\n## Fields of types that several kinds have\n");
    let mut written = BTreeSet::new();
    for schema in KINDS.iter().filter_map(|entry| entry.schema) {
        for shared in types_of(schema) {
            let several = users.get(shared.name).is_some_and(|users| users.len() > 1);
            if several && written.insert(shared.name) {
                write_schema(&mut page, shared);
            }
        }
    }
    write_kustomize(&mut page);
    write_limits(&mut page);
    page
}

const WORKLOADS: &str = "
## Where workloads differ

Dugout does with each kind of workload what Kubernetes does, but for this:

- A kind without `progressDeadlineSeconds` has ten minutes, or what its annotation says: a rollout that
  could take for ever could never fail, and its release could never go back. A Job whose pods have begun
  may take as long as its `activeDeadlineSeconds` says.
- StatefulSet: a pod that does not serve and has an outdated template is replaced without being waited
  for. In Kubernetes an ordered set waits for it also when a commit takes the broken template back.
- DaemonSet: neither a rollout nor a release waits for a node that is lost. Its pod is replaced when the
  node is back.
- ReplicaSet and ReplicationController: a pod of an earlier template that was never ready is made anew,
  so that the commit that mends a broken template mends it.
- Pod: with another image, label or annotation it is replaced by a pod of the same name, where Kubernetes
  changes the one that runs. All else of its spec that Kubernetes keeps from changing cannot change. It comes anew when it is
  gone and Git still asks for it.
- A StatefulSet's pod, and a bare one, waits for as long as its node is lost: it may still run there, and
  a name belongs to one pod. Kubernetes does so with the first and deletes the second after five minutes.
  Pods of other kinds are made anew on another node. `dugout node delete` says that a node that is not ready
  will not come back: then they start elsewhere, too.
- `dugout node drain` keeps to disruption budgets as `kubectl drain` does. A Deployment's pod that serves
  leaves when its successor serves, as far as `maxSurge` and the room allow; in Kubernetes it leaves first,
  and the only replica fails some requests. A bare pod comes anew on another node, where `kubectl drain`
  refuses it or, forced, deletes it for good. Volumes on the node (`emptyDir`) end with their pods and are not
  asked about. Pods that have ended stay for their logs.
- A pod that is replaced, scaled away or evicted is drained first: it gets no new connection and its busy
  ones end, for at most half of the grace period. Then `preStop` runs, then the stop signal is sent, both within
  the whole grace period. A `preStop` sleep is needed for no connection, and costs its own time.
- A container's `postStart` hook that has not ended is not run again by an agent that is restarted meanwhile.
- `limits.cpu` and `limits.memory` of a `resourceFieldRef` are, where there is no limit, all that the node has.
- `hostNetwork: true` is for nodes whose agent allows it (`--allow hostNetwork`). The pod has its node's name and
  address, and all its ports are ports of the node. Names are those that the node finds, whatever `dnsPolicy` says.
- `hostPort` is for nodes whose agent allows it (`--allow hostPort`); a pod with it waits for one.
- No two pods of one engine have the same port of their node, also where several nodes share an engine:
  a pod waits until another has gone, and while a Service has it as its node port. Ports that anything else on the machine has are found out when the container
  starts. A container that runs to its end before the others has none. A Deployment whose pods come before others
  go gets a notice, and a DaemonSet with `maxSurge` is refused.
- A pod without `imagePullSecrets` has those of its service account, of `default` where it names none, if the
  source declares the account. They are a part of the template; a pod runs also where the account is not there.
- A disruption budget must say how many pods stay or may go; Kubernetes takes one that says neither, which
  holds nothing.
";

const LIMITS_AND_QUOTAS: &str = "
## Limits and quotas

They hold for what the same source declares in their namespace, and a commit that breaks one is refused before
anything of it is rolled out: every container, pod and claim that a LimitRange refuses is told where it stands, and
of a ResourceQuota the sum with what each object adds to it.

- What a LimitRange fills in is a part of the pod template, as if it were written there. A changed default rolls
  all that say nothing themselves. A Job and a bare Pod that are there stay as they were filled in for as long as
  their manifests say the same; in Kubernetes a default reaches only pods that are made later.
- Several LimitRanges of a namespace are asked in the order of their names; Kubernetes has no order.
- A template is held against limits, and against a quota's demand that its containers state what is counted,
  also while there are no replicas.
- Containers can be given cpu and memory. A LimitRange for another of their resources is refused, and a quota
  for one is always kept.
- A quota counts what is declared, not what runs: replicas; of a Job its parallel pods, at most its completions,
  for as long as it is declared and not suspended; of a CronJob the pods of one run; of a DaemonSet one pod, as
  Git does not say how many nodes there are. `count/replicasets.apps` counts those that Git declares.
- The pods that a rollout has beyond the replicas (`maxSurge`) may go beyond a quota for as long as it
  takes, and a notice says so. Kubernetes refuses them, and such a rollout stands still or gives up capacity.
- No pod is in the scopes Terminating, PriorityClass or CrossNamespacePodAffinity: manifests with a deadline of
  pods, a priority class or a required affinity are refused.
- The `status` of a quota says what the objects of its namespace come to, whatever source they are of.
";

const KUSTOMIZE: &str = "
## Kustomize

Kustomizations are rendered in process, as `kubectl kustomize` renders them, and every problem in a
rendered object names the file and the line that must be edited. `kustomization.yaml`,
`kustomization.yml` and `Kustomization` are read; `apiVersion` and `kind` may be left out.

What is read of a source: when its folder has a kustomization, that is rendered and nothing else is read.
Otherwise the folder is walked. Every topmost folder with a kustomization is rendered by itself, unless
another kustomization of the source refers to it; all other manifests are read as they are, unless a
kustomization has read them. `.dugoutignore` files leave out what they match, with the patterns of
`.gitignore`. A folder with a `Chart.yaml` is an error until it is left out. A manifest ends in `.yaml`, `.yml` or
`.json`, in letters of any case. Files and folders whose names begin with a dot are not read, as `.github`;
`dugout validate` tells where there are manifests among them, and beside a kustomization that does not name them.

Paths may lead anywhere inside the repository, also through symbolic links, and never out of it; where
`dugout validate` finds no repository, never out of the working directory, or else of the path that it is given.
Remote bases, Helm charts and plugins (`generators`, `transformers`, `validators`) are refused, and so is what
changes the rules of rendering: `configurations`, which name further fields for names, images, labels and vars, and
`openapi`, which names further keys of lists. `patches`, `replacements` and the `fields` of `labels` say the same.

Where Dugout differs from the reference (kustomize 5.5), it does so on purpose:

- `$retainKeys`, `$setElementOrder` and `$deleteFromPrimitiveList` in a strategic merge patch do what an
  API server does; the reference leaves them in the object.
- A port of a patch without `protocol` is merged with the port of that number, as an API server does;
  the reference loses what the patch adds.
- `tagSuffix` of an image is added once; the reference adds it twice to some kinds.
- Files, not only folders, may be named outside the folder of the kustomization.
- A target that selects nothing, and a var that nobody says, are notices.
- A JSON 6902 patch may be one operation without a list around it.
- A time that is written with a space or a small `t` is written anew everywhere; the reference does so
  unless it stands in braces.
- Of a file with several JSON documents all are read; the reference takes the first and drops the others.
- JSON 6902: `add` at the empty path replaces the whole object, `test` compares numbers by value, and an
  empty list of operations does nothing, as the standard has it; the reference refuses the first and the
  last.
- Numbers and `true` may be keys without quotes in resources; the reference cannot write them.
";

const LIMITS: &str = "
## Limits

So that no commit can exhaust the memory. What is larger is an error that names the limit, and nothing of
the commit is applied.

| of | at most |
|---|---|
";

fn write_kustomize(page: &mut String) {
    page.push_str(KUSTOMIZE);
    for schema in types_of(&crate::kustomize::schema::KUSTOMIZATION) {
        write_schema(page, schema);
    }
}

fn write_limits(page: &mut String) {
    page.push_str(LIMITS);
    let mebibytes = |bytes: usize| format!("{} MiB", bytes >> 20);
    for (what, limit) in [
        ("bytes of one file", mebibytes(crate::source::MANIFEST_LIMIT_BYTES as usize)),
        ("documents of one file", crate::yaml::DOCUMENT_LIMIT.to_string()),
        ("values of one document", crate::yaml::NODE_LIMIT.to_string()),
        ("depth of values within values", crate::yaml::DEPTH_LIMIT.to_string()),
        ("manifests of one source", crate::source::FILE_LIMIT.to_string()),
        ("bytes of them together", mebibytes(crate::source::BYTE_LIMIT as usize)),
        ("files and folders of one source", crate::source::ENTRY_LIMIT.to_string()),
        ("values that one kustomization makes", crate::kustomize::NODE_LIMIT.to_string()),
        ("bytes of text that it makes", mebibytes(crate::kustomize::BYTE_LIMIT)),
        (
            "kustomizations that one is made from, each as often as it is referred to",
            crate::kustomize::KUSTOMIZATION_LIMIT.to_string(),
        ),
        (
            "values that the kustomizations of one source make together",
            RENDERED_NODE_LIMIT.to_string(),
        ),
        ("bytes of text that they make together", mebibytes(RENDERED_BYTE_LIMIT)),
    ] {
        writeln!(page, "| {what} | {limit} |").ok();
    }
}

/// A type and all that it is made of, each once, in the order of the tables.
fn types_of(schema: &'static Schema) -> Vec<&'static Schema> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting = vec![schema];
    while let Some(schema) = waiting.pop() {
        if seen.insert(schema.name) {
            found.push(schema);
            waiting.extend(schema.fields.iter().rev().filter_map(|field| field.value.schema()));
        }
    }
    found
}

/// Which kinds have something of a type, by the type's name.
fn users_of_types() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in KINDS {
        for schema in entry.schema.map(types_of).unwrap_or_default() {
            users.entry(schema.name).or_default().insert(entry.kind);
        }
    }
    users
}

fn write_annotations(page: &mut String) {
    page.push_str("\n## Annotations of Dugout's own\n\n| annotation | values | what it does |\n|---|---|---|\n");
    for (name, values, meaning) in ANNOTATIONS {
        let _ = writeln!(page, "| `{name}` | {values} | {meaning} |");
    }
    page.push_str("\nAny other that begins with `dugout.dev/` is an error.\n");
}

fn write_kinds(page: &mut String) {
    page.push_str("\n## Kinds\n\n| kind | API version | |\n|---|---|---|\n");
    for KindEntry { api_version, kind, handling, schema, .. } in KINDS {
        let what = match handling {
            Handling::Acted(_) => "**acted on**".to_owned(),
            Handling::NotYet { what, hint: "" } => {
                format!("checked, then **refused**: Dugout does not {what} yet")
            }
            Handling::NotYet { what, hint } => {
                format!("checked, then **refused**: Dugout does not {what} yet; {hint}")
            }
            Handling::Notice(why) => format!("checked, **notice**: {why}"),
            Handling::Refused(why) if schema.is_some() => {
                format!("checked, then **refused**: {why}")
            }
            Handling::Refused(why) => format!("**refused**: {why}"),
            Handling::List => "its items are read as documents".to_owned(),
        };
        line(page, format_args!("| {kind} | {api_version} | {what} |"));
    }
    page.push_str(
        "
A list of one of these kinds, as ConfigMapList, is read like List. Every other kind is a custom
resource: an error, unless the source skips its group (`--skip-group`), which is a notice.
",
    );
}

fn write_schema(page: &mut String, schema: &'static Schema) {
    line(page, format_args!("\n### {}\n\n| field | value | |\n|---|---|---|", schema.name));
    let is_object = schema.fields.iter().any(|field| field.name == "metadata");
    let own = |field: &&Field| !is_object || !matches!(field.name, "apiVersion" | "kind");
    for field in schema.fields.iter().filter(own) {
        let star = if field.required { "*" } else { "" };
        let (value, what) = (describe_value(&field.value), describe_support(field));
        line(page, format_args!("| `{}`{star} | {value} | {what} |", field.name));
    }
}

fn describe_value(value: &Type) -> String {
    let range = |lowest: i64, highest: i64| match (lowest, highest) {
        (i64::MIN, _) => "whole number".to_owned(),
        (lowest, i64::MAX) => format!("whole number from {lowest}"),
        (lowest, highest) if highest == i64::from(i32::MAX) => {
            format!("whole number from {lowest}")
        }
        (lowest, highest) => format!("whole number {lowest} to {highest}"),
    };
    match value {
        Type::Text(format) => describe_format(format),
        Type::Texts(format) => format!("list of {}", describe_format(format)),
        Type::TextMap { values, .. } => format!("map of {}", describe_format(values)),
        Type::Bool => "true or false".to_owned(),
        Type::Int { lowest, highest } => range(*lowest, *highest),
        Type::Mode => "permissions, as 0644".to_owned(),
        Type::Ints { lowest, highest } => format!("list of {}", range(*lowest, *highest)),
        Type::Number => "number".to_owned(),
        Type::Quantity => "quantity".to_owned(),
        Type::Quantities => "map of quantities".to_owned(),
        Type::IntOrPercent { .. } => "whole number or percentage".to_owned(),
        Type::Port => "port number or name".to_owned(),
        Type::Object(schema) => schema.name.to_owned(),
        Type::Objects(schema) => format!("list of {}", schema.name),
        Type::ObjectMap(schema) => format!("map of {}", schema.name),
        Type::AnyMap => "map".to_owned(),
        Type::Any => "anything".to_owned(),
    }
}

fn describe_format(format: &Format) -> String {
    match format {
        Format::Any | Format::Free => "text".to_owned(),
        Format::Words(words) => format!("`{}`", words.join("`, `")),
        Format::Rule { name, .. } | Format::Private { name, .. } => (*name).to_owned(),
    }
}

fn describe_support(field: &Field) -> String {
    let (word, why, harmless) = match field.support {
        Support::Acted if field.except.is_empty() => return "**acted on**".to_owned(),
        Support::Acted => return format!("**acted on**, except {}", field.except),
        Support::Checked => return "checked".to_owned(),
        Support::Notice { why, harmless } => ("notice", why, harmless),
        Support::Refused { why, harmless } => ("refused", why, harmless),
    };
    let harmless = match harmless {
        [] => String::new(),
        values => format!(" (harmless: `{}`)", values.join("`, `")),
    };
    format!("**{word}**: {why}{harmless}")
}

fn write_removed(page: &mut String) {
    page.push_str("\n## API versions that Kubernetes removed\n\nThey are refused, with the version to use.\n\n");
    page.push_str("| kind | removed | use |\n|---|---|---|\n");
    for removed in REMOVED {
        line(
            page,
            format_args!("| {} | {} | {} |", removed.kind, removed.api_version, removed.instead),
        );
    }
    for (api_version, kind, instead) in GONE {
        line(page, format_args!("| {kind} | {api_version} | {instead} |"));
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(page, "{text}");
}
