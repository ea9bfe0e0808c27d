//! Config maps and secrets that are made from literals and files; each value knows its file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::edit::{Fault, Owned, bool_node, entry, get, map_at, map_node, set, text_node};
use super::file::{Generator, Makes, Text};
use super::load::{Loader, Stop};
use super::resource::Resource;
use crate::names;
use crate::problems::quoted;
use crate::yaml::{Position, Value};

/// How long a line of base64 is in a secret, as in the reference; the hash depends on it.
const BASE64_LINE: usize = 70;

/// One key with its value.
struct Pair {
    key: String,
    value: Vec<u8>,
    at: Position,
}

/// Makes what a generator asks for; nothing when it has mistakes, which are told.
pub(super) fn generate(
    generator: &Generator,
    folder: &str,
    loader: &mut Loader<'_>,
) -> Result<Option<Resource>, Stop> {
    let errors_before = loader.problems.error_count();
    let mut pairs = Vec::new();
    for env in &generator.envs {
        read_env(env, folder, loader, &mut pairs)?;
    }
    for literal in &generator.literals {
        let pair = loader.check(read_literal(literal, generator));
        pairs.extend(pair);
    }
    for file in &generator.files {
        read_file(file, folder, loader, &mut pairs)?;
    }
    for pair in &pairs {
        if let Err(rule) = names::check_config_key(&pair.key) {
            loader.tell(Fault::new(pair.at, format!("the key {} {rule}", quoted(&pair.key))));
        }
    }
    pairs.sort_by(|a, b| a.key.cmp(&b.key));
    for twice in pairs.windows(2).filter(|two| two[0].key == two[1].key) {
        let message = format!("the key {} is there for the second time", quoted(&twice[1].key));
        loader.tell(Fault::new(twice[1].at, message).hint("keep one of them"));
    }
    if loader.problems.error_count() > errors_before {
        return Ok(None);
    }
    let mut resource = Resource::new(node_of(generator, pairs));
    resource.needs_hash = !generator.options.no_hash;
    Ok(Some(resource))
}

/// What a generator makes, without its keys.
pub(super) fn bare(generator: &Generator) -> Resource {
    Resource::new(node_of(generator, Vec::new()))
}

fn node_of(generator: &Generator, pairs: Vec<Pair>) -> Owned {
    let at = generator.name.at;
    let mut node = map_node(at);
    let mut metadata = map_node(at);
    set(&mut metadata, "name", text_node(generator.name.text.clone(), at));
    if let Some(namespace) = &generator.namespace {
        set(&mut metadata, "namespace", text_node(namespace.text.clone(), namespace.at));
    }
    for (field, tags) in
        [("labels", &generator.options.labels), ("annotations", &generator.options.annotations)]
    {
        for (key, value) in tags {
            if let Some(map) = map_at(&mut metadata, field, value.at) {
                set(map, key, text_node(value.text.clone(), value.at));
            }
        }
    }
    let kind = match generator.makes {
        Makes::ConfigMap => "ConfigMap",
        Makes::Secret { .. } => "Secret",
    };
    set(&mut node, "apiVersion", text_node("v1", at));
    set(&mut node, "kind", text_node(kind, at));
    set(&mut node, "metadata", metadata);
    if let Makes::Secret { secret_type } = &generator.makes {
        let secret_type = match secret_type {
            Some(text) if !text.text.is_empty() => text_node(text.text.clone(), text.at),
            _ => text_node("Opaque", at),
        };
        set(&mut node, "type", secret_type);
    }
    for pair in pairs {
        let (field, value) = match (&generator.makes, String::from_utf8(pair.value)) {
            (Makes::ConfigMap, Ok(text)) => ("data", text),
            (Makes::ConfigMap, Err(error)) => ("binaryData", base64_lines(error.as_bytes())),
            (Makes::Secret { .. }, Ok(text)) => ("data", base64_lines(text.as_bytes())),
            (Makes::Secret { .. }, Err(error)) => ("data", base64_lines(error.as_bytes())),
        };
        if let Some(Value::Map(entries)) =
            map_at(&mut node, field, pair.at).map(|map| &mut map.value)
        {
            // The keys are sorted, and none comes twice.
            entries.push(entry(pair.key, text_node(value, pair.at)));
        }
    }
    if let Some(at) = generator.options.immutable {
        set(&mut node, "immutable", bool_node(true, at));
    }
    node
}

/// Base64 in lines, each with its end, when one line is not enough.
fn base64_lines(bytes: &[u8]) -> String {
    let whole = STANDARD.encode(bytes);
    if whole.len() < BASE64_LINE {
        return whole;
    }
    let mut lines = String::with_capacity(whole.len() + whole.len() / BASE64_LINE + 1);
    for (index, character) in whole.chars().enumerate() {
        if index > 0 && index % BASE64_LINE == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines.push('\n');
    lines
}

fn read_literal(literal: &Text, generator: &Generator) -> Result<Pair, Fault> {
    let (key, value) = match literal.text.split_once('=') {
        Some((key, value)) if !key.is_empty() => (key, value),
        _ => {
            let shown = match generator.makes {
                Makes::ConfigMap => quoted(&literal.text),
                Makes::Secret { .. } => "this literal".to_owned(),
            };
            return Err(Fault::new(literal.at, format!("{shown} is not key=value")));
        }
    };
    let value = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value);
    Ok(Pair { key: key.to_owned(), value: value.as_bytes().to_vec(), at: literal.at })
}

/// `path`, whose name is the key, or `key=path`.
fn read_file(
    file: &Text,
    folder: &str,
    loader: &mut Loader<'_>,
    pairs: &mut Vec<Pair>,
) -> Result<(), Stop> {
    let (key, path) = match file.text.split_once('=') {
        None => (file.text.rsplit('/').next().unwrap_or_default(), file.text.as_str()),
        Some((key, path)) if !key.is_empty() && !path.is_empty() && !path.contains('=') => {
            (key, path)
        }
        Some(_) => {
            let message = format!("{} is neither path nor key=path", quoted(&file.text));
            loader.tell(Fault::new(file.at, message));
            return Ok(());
        }
    };
    let read = loader.bytes(folder, path, file.at)?;
    if let Some((path, value)) = loader.check(read) {
        let line_count = value.iter().filter(|byte| **byte == b'\n').count() + 1;
        let first = loader.start_of(&path, line_count);
        let at = Position { line: first.saturating_add(1), column: 1 };
        pairs.push(Pair { key: key.to_owned(), value, at });
    }
    Ok(())
}

/// A file with `KEY=value` in each line. Comments and empty lines do not count.
fn read_env(
    env: &Text,
    folder: &str,
    loader: &mut Loader<'_>,
    pairs: &mut Vec<Pair>,
) -> Result<(), Stop> {
    let read = loader.bytes(folder, &env.text, env.at)?;
    let Some((path, bytes)) = loader.check(read) else { return Ok(()) };
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let first = loader.start_of(&path, bytes.iter().filter(|byte| **byte == b'\n').count() + 1);
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let at = Position { line: first.saturating_add(number), column: 1 };
        let Ok(line) = std::str::from_utf8(line) else {
            loader.tell(Fault::new(at, "the line is not UTF-8").hint("use files for binary data"));
            continue;
        };
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        pairs.push(Pair { key: key.to_owned(), value: value.as_bytes().to_vec(), at });
    }
    Ok(())
}

/// What `behavior: merge` and `replace` make of a generated object and the one that it means.
pub(super) fn combine(old: &Resource, new: Resource, merge_data: bool) -> Resource {
    let mut node = new.node;
    for field in ["labels", "annotations"] {
        let Some(old) = get(&old.node, "metadata").and_then(|metadata| get(metadata, field)) else {
            continue;
        };
        if let Some(metadata) = map_at(&mut node, "metadata", old.at) {
            fill(metadata, field, old);
        }
    }
    if merge_data {
        for field in ["data", "binaryData"] {
            if let Some(old) = get(&old.node, field) {
                fill(&mut node, field, old);
            }
        }
    }
    if let Some(metadata) = map_at(&mut node, "metadata", old.node.at) {
        for field in ["name", "namespace"] {
            match get(&old.node, "metadata").and_then(|old| get(old, field)) {
                Some(value) => set(metadata, field, value.clone()),
                None => drop(super::edit::remove(metadata, field)),
            }
        }
    }
    Resource {
        vars: old.vars.clone(),
        node,
        previous: old.previous.clone(),
        prefixes: old.prefixes.clone(),
        suffixes: old.suffixes.clone(),
        // As the reference has it: who asked for no suffix once never gets one.
        needs_hash: old.needs_hash && new.needs_hash,
        is_broken: old.is_broken || new.is_broken,
    }
}

/// Puts what only the old map has into the map at a field.
fn fill(node: &mut Owned, field: &str, old: &Owned) {
    let Some(map) = map_at(node, field, old.at) else { return };
    for one in super::edit::entries(old) {
        if get(map, &one.key).is_none() {
            set(map, &one.key, one.node.clone());
        }
    }
}
