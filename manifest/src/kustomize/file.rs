//! A kustomization file as a value: what it asks for, each part with its place.

use super::edit::Owned;
use super::schema::KUSTOMIZATION;
use crate::problems::Problems;
use crate::reader::{Object, Report, Value};
use crate::yaml::Position;

/// A text of a kustomization and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub text: String,
    pub at: Position,
}

#[derive(Debug)]
pub(super) struct Kustomization {
    pub is_component: bool,
    pub resources: Vec<Text>,
    pub components: Vec<Text>,
    pub namespace: Option<Text>,
    pub name_prefix: Option<Text>,
    pub name_suffix: Option<Text>,
    /// In the order in which they are applied.
    pub labels: Vec<LabelRule>,
    pub annotations: Vec<(String, Text)>,
    pub images: Vec<ImageRule>,
    pub replicas: Vec<ReplicaRule>,
    /// A path, or the patch itself.
    pub merge_patches: Vec<Text>,
    pub patches: Vec<PatchRule>,
    pub json_patches: Vec<PatchRule>,
    pub generators: Vec<Generator>,
    pub replacements: Vec<ReplacementRule>,
    pub vars: Vec<Var>,
    pub order: Order,
}

#[derive(Debug)]
pub(super) struct LabelRule {
    pub pairs: Vec<(String, Text)>,
    pub reach: LabelReach,
    pub fields: Vec<FieldSpec>,
}

/// Where labels go beside the metadata of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelReach {
    Metadata,
    Templates,
    /// Templates as well.
    Selectors,
}

#[derive(Debug)]
pub(super) struct FieldSpec {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub path: String,
    pub create: bool,
}

#[derive(Debug)]
pub(super) struct ImageRule {
    pub name: Text,
    pub new_name: Option<String>,
    pub new_tag: Option<String>,
    pub tag_suffix: Option<String>,
    pub digest: Option<String>,
}

#[derive(Debug)]
pub(super) struct ReplicaRule {
    pub name: Text,
    pub count: i64,
}

#[derive(Debug)]
pub(super) struct PatchRule {
    pub at: Position,
    pub content: PatchContent,
    pub target: Option<Selector>,
    pub allow_name_change: bool,
    pub allow_kind_change: bool,
}

#[derive(Debug)]
pub(super) enum PatchContent {
    Path(Text),
    Inline(Text),
}

/// Which objects are meant; what is absent fits everything.
#[derive(Debug, Default)]
pub(super) struct Selector {
    pub at: Position,
    pub group: Option<Text>,
    pub version: Option<Text>,
    pub kind: Option<Text>,
    pub name: Option<Text>,
    pub namespace: Option<Text>,
    pub labels: Option<Text>,
    pub annotations: Option<Text>,
}

#[derive(Debug)]
pub(super) struct Generator {
    pub name: Text,
    pub namespace: Option<Text>,
    pub behavior: Behavior,
    /// The type of the secret that is generated; nothing for a config map.
    pub makes: Makes,
    pub literals: Vec<Text>,
    pub files: Vec<Text>,
    pub envs: Vec<Text>,
    pub options: GeneratorOptions,
}

#[derive(Clone, Debug)]
pub(super) enum Makes {
    ConfigMap,
    Secret { secret_type: Option<Text> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behavior {
    Create,
    Replace,
    Merge,
}

#[derive(Clone, Debug, Default)]
pub(super) struct GeneratorOptions {
    pub labels: Vec<(String, Text)>,
    pub annotations: Vec<(String, Text)>,
    pub no_hash: bool,
    pub immutable: Option<Position>,
}

#[derive(Debug)]
pub(super) enum ReplacementRule {
    Path(Text),
    Inline(Box<Replacement>),
}

#[derive(Debug)]
pub(super) struct Replacement {
    pub source: Selector,
    pub field_path: Option<Text>,
    pub options: FieldOptions,
    pub targets: Vec<ReplacementTarget>,
}

#[derive(Debug)]
pub(super) struct ReplacementTarget {
    pub select: Selector,
    pub reject: Vec<Selector>,
    pub field_paths: Vec<Text>,
    pub options: FieldOptions,
}

/// A name for a value of an object, which others say as `$(NAME)`.
#[derive(Clone, Debug)]
pub(super) struct Var {
    pub name: Text,
    pub group: String,
    pub version: String,
    pub kind: String,
    pub object: String,
    pub namespace: Option<String>,
    pub field_path: Option<Text>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FieldOptions {
    pub delimiter: Option<String>,
    pub index: i64,
    pub create: bool,
}

/// The order of the objects that are made. It matters to people who read them, not to Dugout.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// What kubectl does where nothing is asked for.
    Default,
    /// As they come.
    Fifo,
    Legacy {
        first: Vec<String>,
        last: Vec<String>,
    },
}

/// Reads a kustomization, as far as it has no errors, which are told; nothing when it is no map.
pub(super) fn read(root: &Owned, problems: &mut Problems) -> Option<Kustomization> {
    let report = Report::new(std::mem::take(problems));
    let kustomization = Value::root(root, &report, Some(&KUSTOMIZATION))
        .object()
        .map(|object| read_object(&object));
    *problems = report.into_problems();
    kustomization
}

/// Reads replacements from a file of their own, which holds one or a list.
pub(super) fn read_replacements(root: &Owned, problems: &mut Problems) -> Vec<Replacement> {
    let report = Report::new(std::mem::take(problems));
    let value = Value::root(root, &report, Some(&super::schema::REPLACEMENT));
    let rules = match value.is_list() {
        true => value.each(|item| item.object().and_then(|object| read_replacement(&object))),
        false => value.object().and_then(|object| read_replacement(&object)).into_iter().collect(),
    };
    let read = rules.into_iter().filter_map(|rule| match rule {
        ReplacementRule::Inline(replacement) => Some(*replacement),
        ReplacementRule::Path(path) => {
            let value = Value::root(root, &report, None);
            value.fail(format!("{:?} is named in a file of replacements; put it here", path.text));
            None
        }
    });
    let read = read.collect();
    *problems = report.into_problems();
    read
}

const API_GROUP: &str = "kustomize.config.k8s.io/";

fn read_object(object: &Object<'_>) -> Kustomization {
    let is_component = read_type(object);
    object.field("metadata");
    let mut resources = texts(object, "resources");
    resources.extend(texts(object, "bases"));
    let mut images = objects(object, "images", read_image);
    images.extend(objects(object, "imageTags", read_image));
    let mut patches = Vec::new();
    let mut merge_patches = texts(object, "patchesStrategicMerge");
    if let Some(value) = object.field("patches") {
        value.each(|item| {
            // Before it had targets, `patches` was a list of paths.
            match item.kind() {
                Some(_) => merge_patches.extend(text(&item)),
                None => patches.extend(item.object().and_then(|patch| read_patch(&patch))),
            }
            Some(())
        });
    }
    let options = object.field("generatorOptions").and_then(|value| value.object());
    let options = options.map(|options| read_generator_options(&options)).unwrap_or_default();
    let mut generators = objects(object, "configMapGenerator", |one| {
        read_generator(one, Makes::ConfigMap, &options)
    });
    generators.extend(objects(object, "secretGenerator", |one| {
        let secret_type = one.field("type").and_then(|value| text(&value));
        read_generator(one, Makes::Secret { secret_type }, &options)
    }));
    let mut labels = objects(object, "labels", read_label);
    let common = pairs(object, "commonLabels");
    if !common.is_empty() {
        let reach = LabelReach::Selectors;
        labels.push(LabelRule { pairs: common, reach, fields: Vec::new() });
    }
    let order = object.field("sortOptions").and_then(|value| value.object());
    Kustomization {
        is_component,
        resources,
        components: texts(object, "components"),
        namespace: filled(object, "namespace"),
        name_prefix: filled(object, "namePrefix"),
        name_suffix: filled(object, "nameSuffix"),
        labels,
        annotations: pairs(object, "commonAnnotations"),
        images,
        replicas: objects(object, "replicas", read_replica),
        merge_patches,
        patches,
        json_patches: objects(object, "patchesJson6902", read_patch),
        generators,
        replacements: objects(object, "replacements", read_replacement),
        vars: objects(object, "vars", read_var),
        order: order.map_or(Order::Default, |order| read_order(&order)),
    }
}

/// Whether it is a component. Files without `apiVersion` and `kind` are kustomizations.
fn read_type(object: &Object<'_>) -> bool {
    let kind = object.field("kind");
    let is_component = kind
        .and_then(|kind| kind.one_of(&[("Kustomization", false), ("Component", true)]))
        .unwrap_or(false);
    if let Some(value) = object.field("apiVersion") {
        let right = if is_component { "v1alpha1" } else { "v1beta1" };
        let written = value.text().unwrap_or_default();
        let known = written.strip_prefix(API_GROUP);
        if known != Some(right) {
            value.fail_with(
                "is no version of a kustomization",
                format!(
                    "write {API_GROUP}{right}; if it is meant for another program, rename the file"
                ),
            );
        }
    }
    is_component
}

fn read_label(object: &Object<'_>) -> Option<LabelRule> {
    let reach = match (flag(object, "includeSelectors"), flag(object, "includeTemplates")) {
        (true, _) => LabelReach::Selectors,
        (false, true) => LabelReach::Templates,
        (false, false) => LabelReach::Metadata,
    };
    let fields = objects(object, "fields", |spec| {
        let part = |name| word(spec, name).unwrap_or_default();
        Some(FieldSpec {
            group: part("group"),
            version: part("version"),
            kind: part("kind"),
            path: part("path"),
            create: flag(spec, "create"),
        })
    });
    Some(LabelRule { pairs: pairs(object, "pairs"), reach, fields })
}

fn read_image(object: &Object<'_>) -> Option<ImageRule> {
    Some(ImageRule {
        name: object.field("name").and_then(|value| text(&value))?,
        new_name: word(object, "newName"),
        new_tag: word(object, "newTag"),
        tag_suffix: word(object, "tagSuffix"),
        digest: word(object, "digest"),
    })
}

fn read_replica(object: &Object<'_>) -> Option<ReplicaRule> {
    let name = object.field("name").and_then(|value| text(&value));
    let count = object.field("count").and_then(|value| value.int(0, i64::from(i32::MAX)));
    Some(ReplicaRule { name: name?, count: count? })
}

fn read_patch(object: &Object<'_>) -> Option<PatchRule> {
    let path = filled(object, "path");
    let inline = filled(object, "patch");
    let target = object
        .field("target")
        .and_then(|value| value.object().map(|object| read_selector(&object, value.at())));
    let options = object.field("options").and_then(|value| value.object());
    let option = |name| options.as_ref().is_some_and(|options| flag(options, name));
    // Also without it, a target that fits nothing is a notice.
    option("allowNoTargetMatch");
    let (allow_name_change, allow_kind_change) =
        (option("allowNameChange"), option("allowKindChange"));
    let content = match (path, inline) {
        (Some(path), None) => PatchContent::Path(path),
        (None, Some(inline)) => PatchContent::Inline(inline),
        _ => {
            let hint = "path names a file, patch holds the patch itself";
            object.fail_with("a patch has one of path and patch", hint);
            return None;
        }
    };
    Some(PatchRule { at: object.at(), content, target, allow_name_change, allow_kind_change })
}

fn read_selector(object: &Object<'_>, at: Position) -> Selector {
    Selector { at, ..read_named(object) }
        .with(filled(object, "labelSelector"), filled(object, "annotationSelector"))
}

fn read_named(object: &Object<'_>) -> Selector {
    Selector {
        at: object.at(),
        group: filled(object, "group"),
        version: filled(object, "version"),
        kind: filled(object, "kind"),
        name: filled(object, "name"),
        namespace: filled(object, "namespace"),
        labels: None,
        annotations: None,
    }
}

impl Selector {
    fn with(self, labels: Option<Text>, annotations: Option<Text>) -> Self {
        Self { labels, annotations, ..self }
    }
}

fn read_generator(
    object: &Object<'_>,
    makes: Makes,
    common: &GeneratorOptions,
) -> Option<Generator> {
    let own = object.field("options").and_then(|value| value.object());
    let own = own.map(|options| read_generator_options(&options)).unwrap_or_default();
    let behavior = object.field("behavior").and_then(|value| {
        value.one_of(&[
            ("create", Behavior::Create),
            ("replace", Behavior::Replace),
            ("merge", Behavior::Merge),
            ("unspecified", Behavior::Create),
            ("", Behavior::Create),
        ])
    });
    let mut envs = texts(object, "envs");
    envs.extend(filled(object, "env"));
    let name = object.field("name").and_then(|value| text(&value));
    let (literals, files) = (texts(object, "literals"), texts(object, "files"));
    Some(Generator {
        namespace: filled(object, "namespace"),
        name: name?,
        behavior: behavior.unwrap_or(Behavior::Create),
        makes,
        literals,
        files,
        envs,
        options: own.over(common),
    })
}

fn read_generator_options(object: &Object<'_>) -> GeneratorOptions {
    GeneratorOptions {
        labels: pairs(object, "labels"),
        annotations: pairs(object, "annotations"),
        no_hash: flag(object, "disableNameSuffixHash"),
        immutable: object.field("immutable").and_then(|value| value.boolean()?.then(|| value.at())),
    }
}

impl GeneratorOptions {
    /// These options where they say something, and otherwise the common ones.
    fn over(mut self, common: &Self) -> Self {
        let add = |own: &mut Vec<(String, Text)>, common: &[(String, Text)]| {
            for (key, value) in common {
                if !own.iter().any(|(known, _)| known == key) {
                    own.push((key.clone(), value.clone()));
                }
            }
        };
        add(&mut self.labels, &common.labels);
        add(&mut self.annotations, &common.annotations);
        self.no_hash |= common.no_hash;
        self.immutable = self.immutable.or(common.immutable);
        self
    }
}

fn read_replacement(object: &Object<'_>) -> Option<ReplacementRule> {
    let path = filled(object, "path");
    let source = object.field("source").and_then(|value| value.object());
    let source = source.map(|source| {
        let options = read_field_options(&source);
        (read_named(&source), filled(&source, "fieldPath"), options)
    });
    let targets = objects(object, "targets", |target| {
        let select = target
            .field("select")
            .and_then(|value| value.object().map(|object| read_selector(&object, value.at())));
        Some(ReplacementTarget {
            reject: objects(target, "reject", |one| Some(read_selector(one, one.at()))),
            field_paths: texts(target, "fieldPaths"),
            options: read_field_options(target),
            select: select?,
        })
    });
    match (path, source) {
        (Some(path), None) if targets.is_empty() => Some(ReplacementRule::Path(path)),
        (None, Some((source, field_path, options))) if !targets.is_empty() => {
            let replacement = Replacement { source, field_path, options, targets };
            Some(ReplacementRule::Inline(Box::new(replacement)))
        }
        _ if object.has_errors() => None,
        _ => {
            let hint = "path names a file that has them";
            object.fail_with("a replacement has a source and targets, or a path", hint);
            None
        }
    }
}

fn read_var(object: &Object<'_>) -> Option<Var> {
    let name = object.field("name").and_then(|value| text(&value));
    let about = object.field("objref").and_then(|value| value.object());
    let field = object.field("fieldref").and_then(|value| value.object());
    // Both spellings are in use.
    let paths = field.map(|field| (filled(&field, "fieldPath"), filled(&field, "fieldpath")));
    let about = about?;
    let part = |name| word(&about, name).unwrap_or_default();
    let (mut group, mut version) = (part("group"), part("version"));
    if let Some(written) = word(&about, "apiVersion") {
        match written.split_once('/') {
            Some((of, number)) => (group, version) = (of.to_owned(), number.to_owned()),
            None => version = written,
        }
    }
    Some(Var {
        name: name?,
        group,
        version,
        kind: part("kind"),
        object: part("name"),
        namespace: filled(&about, "namespace").map(|text| text.text),
        field_path: paths.and_then(|(path, other)| path.or(other)),
    })
}

fn read_field_options(object: &Object<'_>) -> FieldOptions {
    let Some(options) = object.field("options").and_then(|value| value.object()) else {
        return FieldOptions::default();
    };
    FieldOptions {
        delimiter: word(&options, "delimiter").filter(|delimiter| !delimiter.is_empty()),
        index: options
            .field("index")
            .and_then(|value| value.int(i64::from(i32::MIN), i64::from(i32::MAX)))
            .unwrap_or(0),
        create: flag(&options, "create"),
    }
}

fn read_order(object: &Object<'_>) -> Order {
    let legacy = object
        .field("order")
        .and_then(|value| value.one_of(&[("fifo", false), ("legacy", true)]))
        .unwrap_or(false);
    let lists = object.field("legacySortOptions").and_then(|value| value.object());
    let lists = lists.map(|lists| {
        let words = |name| texts(&lists, name).into_iter().map(|text| text.text).collect();
        Order::Legacy { first: words("orderFirst"), last: words("orderLast") }
    });
    match lists {
        Some(order) if legacy => order,
        Some(_) => {
            object.fail_with("legacySortOptions go with order: legacy", "remove them");
            Order::Fifo
        }
        None if legacy => Order::Default,
        None => Order::Fifo,
    }
}

fn text(value: &Value<'_>) -> Option<Text> {
    Some(Text { text: value.text()?.to_owned(), at: value.at() })
}

/// A text that is there and not empty.
fn filled(object: &Object<'_>, name: &'static str) -> Option<Text> {
    object.field(name).and_then(|value| text(&value)).filter(|text| !text.text.is_empty())
}

fn word(object: &Object<'_>, name: &'static str) -> Option<String> {
    object.field(name).and_then(|value| value.text()).map(str::to_owned)
}

fn flag(object: &Object<'_>, name: &'static str) -> bool {
    object.field(name).and_then(|value| value.boolean()).unwrap_or(false)
}

fn texts(object: &Object<'_>, name: &'static str) -> Vec<Text> {
    object.field(name).map(|value| value.each(|item| text(&item))).unwrap_or_default()
}

fn objects<T>(
    object: &Object<'_>,
    name: &'static str,
    mut read: impl FnMut(&Object<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(value) = object.field(name) else { return Vec::new() };
    value.each(|item| item.object().and_then(|object| read(&object)))
}

/// A map of texts, in the order of its keys.
fn pairs(object: &Object<'_>, name: &'static str) -> Vec<(String, Text)> {
    let mut pairs = Vec::new();
    if let Some(value) = object.field(name) {
        value.each_entry(|key, value| {
            pairs.extend(text(&value).map(|text| (key.to_owned(), text)));
        });
    }
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    pairs
}
