//! `vars`: the old way to say a value of one object in others, as `$(NAME)`.

use std::collections::{HashMap, HashSet};

use dugout_model::Severity;

use super::edit::{self, Fault, Owned, Weight};
use super::field_specs::{split, visit};
use super::file::{Text, Var};
use super::load::{Loader, Stop};
use super::references::POD_SPECS;
use super::replace;
use super::resource::{Resource, Type};
use crate::problems::quoted;
use crate::yaml::{Node, ScalarKind, Value};

/// Seen from the spec of a pod.
const IN_PODS: &[&str] = &[
    "containers/args",
    "containers/command",
    "containers/env/value",
    "containers/volumeMounts/mountPath",
    "initContainers/args",
    "initContainers/command",
    "initContainers/env/value",
    "initContainers/volumeMounts/mountPath",
];

/// The fields of other kinds, and of templates where they are elsewhere; of every kind without a name.
const FIELDS: &[(&str, &str)] = &[
    ("", "metadata/labels"),
    ("", "metadata/annotations"),
    // Of no other template.
    ("Deployment", "spec/template/metadata/annotations"),
    ("Pod", "spec/volumes/nfs/server"),
    ("Deployment", "spec/template/spec/volumes/nfs/server"),
    ("ReplicaSet", "spec/template/spec/volumes/nfs/server"),
    ("DaemonSet", "spec/template/spec/volumes/nfs/server"),
    ("Job", "spec/template/spec/volumes/nfs/server"),
    // As the reference has it.
    ("CronJob", "spec/jobTemplate/spec/template/volumes/nfs/server"),
    ("StatefulSet", "spec/volumeClaimTemplates/spec/nfs/server"),
    ("PersistentVolume", "spec/nfs/server"),
    ("Ingress", "spec/rules/host"),
    ("Ingress", "spec/tls/hosts"),
    ("Ingress", "spec/tls/secretName"),
    ("Service", "spec/ports/port"),
    ("Service", "spec/ports/targetPort"),
];

/// Kinds with pods in which no variable is looked for.
const WITHOUT: &[&str] = &["ReplicationController", "PodTemplate"];

/// Notes which object each variable is about, as they are called where the variable is declared.
pub(super) fn bind(vars: &[Var], resources: &mut [Resource], loader: &mut Loader<'_>) {
    for var in vars {
        let is_meant = |resource: &Resource| {
            resource.all_ids().any(|id| {
                let namespace = var.namespace.as_deref();
                id.of == Type::named(&var.group, &var.version, &var.kind)
                    && id.name == var.object
                    && namespace.is_none_or(|namespace| id.namespace == namespace)
            })
        };
        let mut meant: Vec<&mut Resource> =
            resources.iter_mut().filter(|resource| is_meant(resource)).collect();
        match meant.as_mut_slice() {
            [one] => one.vars.push(var.name.text.clone()),
            [] => {}
            [one, other, ..] => {
                let name = quoted(&var.name.text);
                let message = format!("the var {name} may mean {} or {}", one.id(), other.id());
                loader.tell(Fault::new(var.name.at, message).hint("add its namespace to objref"));
            }
        }
    }
}

/// Adds variables to those that are known; a name stands for one.
pub(super) fn merge(known: &mut Vec<Var>, more: &[Var], loader: &mut Loader<'_>) {
    for var in more {
        if known.iter().any(|other| other.name.text == var.name.text) {
            let message = format!("the var {} is declared twice", quoted(&var.name.text));
            loader.tell(Fault::new(var.name.at, message).hint("give it a name of its own"));
        } else {
            known.push(var.clone());
        }
    }
}

/// The values of variables, and which of them were used.
struct Values {
    /// Nothing where the value cannot stand in a text.
    by_name: HashMap<String, Option<(String, ScalarKind)>>,
    used: HashSet<String>,
}

/// Writes the values of variables wherever they are said. Names are the last ones by now.
pub(super) fn resolve(
    resources: &mut [Resource],
    vars: &[Var],
    loader: &mut Loader<'_>,
) -> Result<(), Stop> {
    if vars.is_empty() {
        return Ok(());
    }
    let mut values = Values { by_name: HashMap::new(), used: HashSet::new() };
    for var in vars {
        let value = value_of(var, resources);
        if value.is_err() {
            // Whether it is said is of no matter then.
            values.used.insert(var.name.text.clone());
        }
        values.by_name.insert(var.name.text.clone(), loader.check(value).flatten());
    }
    for resource in resources.iter_mut() {
        let of = resource.original_id().of;
        for path in paths_of(&of) {
            let at = resource.at();
            let mut cost = Weight::default();
            let changed = visit(&mut resource.node, &split(&path), None, &mut |node| {
                expand_field(node, &mut values, &mut cost)
            });
            loader.pay(cost, at)?;
            if let Some(fault) = changed.err().filter(|_| !resource.is_broken) {
                loader.tell(fault);
                resource.is_broken = true;
            }
        }
    }
    let unused = vars.iter().filter(|var| !values.used.contains(&var.name.text));
    unused.for_each(|var| tell_unused(&var.name, loader));
    Ok(())
}

fn paths_of(of: &Type) -> Vec<String> {
    let pods = POD_SPECS.iter().find(|(kind, _)| *kind == of.kind && !WITHOUT.contains(kind));
    let in_pods = pods
        .into_iter()
        .flat_map(|(_, spec)| IN_PODS.iter().map(move |path| format!("{spec}/{path}")));
    let fields = FIELDS.iter().filter(|(kind, _)| kind.is_empty() || *kind == of.kind);
    in_pods.chain(fields.map(|(_, path)| (*path).to_owned())).collect()
}

/// The value of a variable; nothing where it is no plain one, or where its object is not what it should be.
fn value_of(var: &Var, resources: &[Resource]) -> Result<Option<(String, ScalarKind)>, Fault> {
    let name = quoted(&var.name.text);
    let Some(resource) = resources.iter().find(|one| one.vars.contains(&var.name.text)) else {
        let message = format!("the var {name} is about an object that is not there");
        let hint = "objref says its apiVersion, kind and name, as they are in its file";
        return Err(Fault::new(var.name.at, message).hint(hint).of_missing());
    };
    let (path, at) = match &var.field_path {
        Some(path) => (path.text.as_str(), path.at),
        None => (replace::DEFAULT_FIELD, var.name.at),
    };
    match replace::lookup_indexed(&resource.node, path) {
        Some(Node { value: Value::Scalar { text, kind }, .. }) if *kind != ScalarKind::Null => {
            Ok(Some((text.clone().into_owned(), *kind)))
        }
        Some(Node { value: Value::List(_) | Value::Map(_), .. }) => Ok(None),
        _ if resource.is_broken => Ok(None),
        _ => Err(Fault::new(at, format!("{} has no field {}", resource.id(), quoted(path)))),
    }
}

/// A field is a text, a list of texts, or a map in which texts are.
fn expand_field(node: &mut Owned, values: &mut Values, cost: &mut Weight) -> Result<(), Fault> {
    match &mut node.value {
        Value::Scalar { .. } => expand_node(node, values, cost),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|entry| expand_node(&mut entry.node, values, cost));
        }
        Value::List(items) => {
            for item in items {
                if !matches!(item.value, Value::Scalar { kind: ScalarKind::Text, .. }) {
                    let message = "must be text, as vars are looked for in this list";
                    return Err(Fault::new(item.at, message).hint("put it in quotes"));
                }
                expand_node(item, values, cost);
            }
        }
    }
    Ok(())
}

fn expand_node(node: &mut Owned, values: &mut Values, cost: &mut Weight) {
    let Value::Scalar { text, kind: kind @ ScalarKind::Text } = &mut node.value else { return };
    if !text.contains('$') {
        return;
    }
    let (new, new_kind) = expand(text, values);
    cost.add(Weight { nodes: 1, bytes: new.len() });
    *text = new.into();
    *kind = new_kind;
}

/// A text with the values of its variables. Alone, a variable keeps the type of its value; `$$` is a `$`.
fn expand(input: &str, values: &mut Values) -> (String, ScalarKind) {
    let mut out = String::with_capacity(input.len());
    let mut rest = input;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let variable = behind.strip_prefix('(').and_then(|inside| inside.split_once(')'));
        if let Some((name, after)) = variable {
            match values.by_name.get(name) {
                Some(Some((value, kind))) => {
                    values.used.insert(name.to_owned());
                    if input.len() == name.len() + "$()".len() {
                        return (value.clone(), *kind);
                    }
                    out.push_str(value);
                }
                _ => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else if let Some(after) = behind.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else {
            // What follows is no variable.
            out.push('$');
            rest = behind;
        }
    }
    out.push_str(rest);
    (out, ScalarKind::Text)
}

/// The reference says it in its log; most often it is a mistake.
fn tell_unused(name: &Text, loader: &mut Loader<'_>) {
    if loader.has_missing {
        return;
    }
    loader.problems.add(dugout_model::Problem {
        file: String::new(),
        line: name.at.line,
        column: name.at.column,
        severity: Severity::Notice,
        field_path: String::new(),
        message: format!("the var {} is never used", quoted(&name.text)),
        hint: Some(
            "say it as $(NAME) in a field where vars are looked for, or remove it".to_owned(),
        ),
    });
}

/// Annotations of objects are texts, whatever they were written as: so the reference leaves them.
pub(super) fn annotations_as_texts(object: &mut Owned) {
    let annotations = edit::get_mut(object, "metadata")
        .and_then(|metadata| edit::get_mut(metadata, "annotations"));
    let Some(Node { value: Value::Map(all), .. }) = annotations else { return };
    for entry in all {
        if let Value::Scalar { kind, .. } = &mut entry.node.value
            && *kind != ScalarKind::Null
        {
            *kind = ScalarKind::Text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_in_texts_and_alone() {
        let one = |text: &str, kind| Some((text.to_owned(), kind));
        let by_name = HashMap::from([
            ("A".to_owned(), one("x", ScalarKind::Text)),
            ("N".to_owned(), one("3", ScalarKind::Int(3))),
            ("M".to_owned(), None),
        ]);
        let mut values = Values { by_name, used: HashSet::new() };
        for (input, expected) in [
            ("$(A)", "x"),
            ("a$(A)b$(W)$(N)", "axb$(W)3"),
            ("$$(A)", "$(A)"),
            ("$(A", "$(A"),
            ("$é$", "$é$"),
            ("$(M)", "$(M)"),
            ("$()", "$()"),
        ] {
            assert_eq!(expand(input, &mut values), (expected.to_owned(), ScalarKind::Text));
        }
        assert_eq!(expand("$(N)", &mut values), ("3".to_owned(), ScalarKind::Int(3)));
        assert!(!values.used.contains("M"));
    }
}
