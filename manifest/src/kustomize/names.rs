//! Names that changed are changed wherever another object says them.

use std::collections::{HashMap, HashSet};

use super::edit::{self, Fault, Owned, get, items, set, text, text_node, text_of};
use super::field_specs::{Spec, split, visit};
use super::load::Loader;
use super::references::{POD_SPECS, REFERENCES, References};
use super::resource::{Id, NO_NAMESPACE, Resource};
use crate::problems::quoted;
use crate::yaml::Value;

/// What an object is called now and was called before, apart from the object, which is being changed.
struct Candidate {
    id: Id,
    /// As it is written; empty where none is.
    namespace: String,
    previous: Vec<Id>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl Candidate {
    fn of(resource: &Resource) -> Self {
        Self {
            id: resource.id(),
            namespace: resource.namespace().to_owned(),
            previous: resource.previous.clone(),
            prefixes: resource.prefixes.clone(),
            suffixes: resource.suffixes.clone(),
        }
    }

    fn is_cluster_scoped(&self) -> bool {
        self.id.namespace == NO_NAMESPACE
    }

    /// Whether both went through the same kustomizations, as far as their names tell. Without affixes
    /// an object goes with all, unless that is not `close` enough.
    fn has_affixes_of(&self, other: &Self, close: bool) -> bool {
        let agree = |own: &[String], others: &[String]| {
            let shared = own.len().min(others.len());
            if shared == 0 {
                return !close || own.len() == others.len();
            }
            own[own.len() - shared..] == others[others.len() - shared..]
        };
        agree(&self.prefixes, &other.prefixes) && agree(&self.suffixes, &other.suffixes)
    }
}

/// All objects, found by the names that they had.
struct Candidates {
    all: Vec<Candidate>,
    by_name: HashMap<String, Vec<usize>>,
}

/// The object that may name others.
struct Referrer<'a> {
    own: &'a Candidate,
    /// Of a role binding: the namespaces of the accounts that it names.
    account_namespaces: HashSet<String>,
    /// Of a role binding: group and kind of the role.
    role: Option<(String, String)>,
}

/// Writes the new names wherever the old ones are said.
pub(super) fn fix(resources: &mut [Resource], loader: &mut Loader<'_>) {
    let all: Vec<Candidate> = resources.iter().map(Candidate::of).collect();
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, candidate) in all.iter().enumerate() {
        let names: HashSet<&str> = candidate.previous.iter().map(|id| id.name.as_str()).collect();
        for name in names {
            by_name.entry(name.to_owned()).or_default().push(index);
        }
    }
    if by_name.is_empty() {
        return;
    }
    let candidates = Candidates { all, by_name };
    for (index, resource) in resources.iter_mut().enumerate() {
        let Some(own) = candidates.all.get(index) else { continue };
        let referrer = Referrer {
            own,
            account_namespaces: account_namespaces(resource),
            role: role_of(&resource.node),
        };
        fix_one(resource, &referrer, &candidates, loader);
    }
}

fn fix_one(
    resource: &mut Resource,
    referrer: &Referrer<'_>,
    candidates: &Candidates,
    loader: &mut Loader<'_>,
) {
    let of = resource.original_id().of;
    let pod_spec = POD_SPECS.iter().find(|(kind, _)| *kind == of.kind).map(|(_, path)| *path);
    for target in REFERENCES {
        let mut paths: Vec<String> = Vec::new();
        if let Some(pod_spec) = pod_spec {
            paths.extend(target.in_pods.iter().map(|path| format!("{pod_spec}/{path}")));
        }
        let specs = target.fields.iter().filter(|spec: &&Spec<'_>| spec.applies(&of));
        paths.extend(specs.map(|spec| spec.path.to_owned()));
        for path in paths {
            let is_role = path == "roleRef/name";
            let chooser = Chooser { target, referrer, candidates, is_role };
            let changed =
                visit(&mut resource.node, &split(&path), None, &mut |node| chooser.change(node));
            resource.is_broken |= loader.check(changed).is_none();
        }
    }
}

/// What is needed to tell which object a field names.
struct Chooser<'a> {
    target: &'a References,
    referrer: &'a Referrer<'a>,
    candidates: &'a Candidates,
    is_role: bool,
}

impl Chooser<'_> {
    /// A name, a map with a name and a namespace, or a list of those.
    fn change(&self, node: &mut Owned) -> Result<(), Fault> {
        let at = node.at;
        match &mut node.value {
            Value::List(items) => items.iter_mut().try_for_each(|item| self.change(item)),
            Value::Map(_) => self.change_map(node),
            Value::Scalar { .. } => {
                let Some(old) = text(node) else { return Ok(()) };
                if let Some(found) = self.choose(old, None, node)? {
                    *node = text_node(found.id.name.clone(), at);
                }
                Ok(())
            }
        }
    }

    fn change_map(&self, node: &mut Owned) -> Result<(), Fault> {
        let Some(name) = get(node, "name") else { return Ok(()) };
        let (Some(old), name_at) = (text(name), name.at) else { return Ok(()) };
        let namespace = get(node, "namespace");
        let namespace_at = namespace.map_or(name_at, |namespace| namespace.at);
        let Some(found) = self.choose(old, namespace.and_then(text), name)? else { return Ok(()) };
        set(node, "name", text_node(found.id.name.clone(), name_at));
        // What is in no namespace that is written must not take the place of one that is.
        if !found.namespace.is_empty() {
            set(node, "namespace", text_node(found.namespace.clone(), namespace_at));
        }
        Ok(())
    }

    /// The object that is meant by an old name, if it is one of ours.
    fn choose(
        &self,
        old: &str,
        namespace: Option<&str>,
        node: &Owned,
    ) -> Result<Option<&Candidate>, Fault> {
        let named = self.candidates.by_name.get(old).map(Vec::as_slice).unwrap_or_default();
        let mut found: Vec<&Candidate> = named
            .iter()
            .filter_map(|index| self.candidates.all.get(*index))
            .filter(|one| self.may_mean(one))
            .collect();
        if let Some(namespace) = namespace {
            let original =
                |one: &Candidate| one.previous.first().unwrap_or(&one.id).namespace == namespace;
            match found.iter().any(|one| original(one)) {
                true => found.retain(|one| original(one)),
                false => found.retain(|one| one.id.namespace == namespace),
            }
        }
        for close in [false, true] {
            if found.len() > 1 {
                found.retain(|one| one.has_affixes_of(self.referrer.own, close));
            }
        }
        let Some(first) = found.first() else { return Ok(None) };
        let same = |one: &&Candidate| {
            one.id.name == first.id.name
                && (namespace.is_none() || one.namespace == first.namespace)
        };
        if found.iter().all(same) {
            return Ok(Some(first));
        }
        let names: Vec<String> = found.iter().take(5).map(|one| one.id.to_string()).collect();
        let message = format!("{} may mean {}", quoted(old), names.join(" or "));
        Err(Fault::new(node.at, message).hint("give the objects names of their own"))
    }

    fn may_mean(&self, one: &Candidate) -> bool {
        let of_kind = |kind: &str, group: &str| {
            one.previous
                .iter()
                .any(|id| id.of.kind == kind && (group.is_empty() || id.of.group == group))
        };
        if !of_kind(self.target.kind, self.target.group) {
            return false;
        }
        if let (true, Some((group, kind))) = (self.is_role, &self.referrer.role)
            && !of_kind(kind, group)
        {
            return false;
        }
        let referrer = self.referrer;
        referrer.own.is_cluster_scoped()
            || one.is_cluster_scoped()
            || one.id.namespace == referrer.own.id.namespace
            || one.id.of.kind == "ServiceAccount"
                && referrer.account_namespaces.contains(&one.namespace)
    }
}

fn account_namespaces(resource: &Resource) -> HashSet<String> {
    if resource.kind() != "RoleBinding" {
        return HashSet::new();
    }
    let subjects = get(&resource.node, "subjects").map(items).unwrap_or_default();
    subjects
        .iter()
        .filter(|subject| text_of(subject, "kind") == Some("ServiceAccount"))
        .filter_map(|subject| text_of(subject, "namespace").map(str::to_owned))
        .collect()
}

fn role_of(node: &Owned) -> Option<(String, String)> {
    let role = edit::get(node, "roleRef")?;
    Some((text_of(role, "apiGroup")?.to_owned(), text_of(role, "kind")?.to_owned()))
}
