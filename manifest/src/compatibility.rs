//! The page `docs/compatibility.md`, written from the tables that the reader itself uses.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::schema::{Field, Handling, KINDS, KindEntry, REMOVED, Schema, Support};

const OPENING: &str = "# What Dugout does with Kubernetes manifests

This page is written from the tables in `manifest/src/schema` by a test; do not edit it.
After a change of the tables, run `UPDATE_GOLDEN=1 cargo test -p dugout-manifest`.

Nothing is ignored in silence. Each field of each kind is one of:

- **acted on**: Dugout does what Kubernetes does with it; **required** ones must be there.
- **notice**: accepted, and a notice says that it has no effect; `dugout validate --strict` makes
  notices errors.
- **refused**: an error, because leaving it out would change what the manifest means.

A field that is refused or noticed may still hold nothing (null, empty) or the value that is named as
harmless, because that means the same as leaving it out. A field that is in no table does not exist in
Kubernetes and is an error. `apiVersion` and `kind` are in every object.
";

/// The whole page.
pub fn compatibility_page() -> String {
    let mut page = OPENING.to_owned();
    write_kinds(&mut page);
    page.push_str("\n## Fields\n");
    let mut seen = BTreeSet::new();
    for entry in KINDS {
        if let Handling::Read { schema, .. } = &entry.handling {
            write_schema(&mut page, schema, &mut seen);
        }
    }
    write_kustomize(&mut page, &mut seen);
    write_removed(&mut page);
    page
}

const KUSTOMIZE: &str = "
## Kustomize

Kustomizations are rendered in process, as `kubectl kustomize` renders them, and every problem in a
rendered object names the file and the line that must be edited. `kustomization.yaml`,
`kustomization.yml` and `Kustomization` are read; `apiVersion` and `kind` may be left out.

What is read of a source: when its folder has a kustomization, that is rendered and nothing else is read.
Otherwise the folder is walked. Every topmost folder with a kustomization is rendered by itself, unless
another kustomization of the source refers to it; all other manifests are read as they are, unless a
kustomization has read them. `.dugoutignore` files leave out what they match, with the patterns of
`.gitignore`. A folder with a `Chart.yaml` is an error until it is left out.

Paths may lead anywhere inside the repository, also through symbolic links, and never out of it. Remote
bases, Helm charts and plugins are refused.

Where Dugout differs from the reference (kustomize 5.5), it does so on purpose:

- `$retainKeys`, `$setElementOrder` and `$deleteFromPrimitiveList` in a strategic merge patch do what an
  API server does; the reference leaves them in the object.
- A port of a patch without `protocol` is merged with the port of that number, as an API server does;
  the reference loses what the patch adds.
- `tagSuffix` of an image is added once; the reference adds it twice to some kinds.
- Files, not only folders, may be named outside the folder of the kustomization.
- A target that selects nothing is a notice.
";

fn write_kustomize(page: &mut String, seen: &mut BTreeSet<&'static str>) {
    page.push_str(KUSTOMIZE);
    write_schema(page, &crate::kustomize::schema::KUSTOMIZATION, seen);
}

fn write_kinds(page: &mut String) {
    page.push_str("\n## Kinds\n\n| kind | API version | |\n|---|---|---|\n");
    for KindEntry { api_version, kind, handling } in KINDS {
        let what = match handling {
            Handling::Read { .. } => "**acted on**".to_owned(),
            Handling::Notice(why) => format!("**notice**: {why}"),
            Handling::Refused(why) => format!("**refused**: {why}"),
        };
        line(page, format_args!("| {kind} | {api_version} | {what} |"));
    }
    page.push_str("\nEvery other kind is a custom resource, and refused.\n");
}

fn write_schema(page: &mut String, schema: &'static Schema, seen: &mut BTreeSet<&'static str>) {
    if !seen.insert(schema.name) {
        return;
    }
    line(page, format_args!("\n### {}\n\n| field | |\n|---|---|", schema.name));
    let own = |field: &&Field| !matches!(field.name, "apiVersion" | "kind");
    for field in schema.fields.iter().filter(own) {
        line(page, format_args!("| `{}` | {} |", field.name, describe(field)));
    }
    for inner in schema.fields.iter().filter_map(|field| field.inner) {
        write_schema(page, inner, seen);
    }
}

fn describe(field: &Field) -> String {
    let (word, why, harmless) = match field.support {
        Support::Acted { required: true } => return "**acted on**, required".to_owned(),
        Support::Acted { required: false } => return "**acted on**".to_owned(),
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
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(page, "{text}");
}
