//! Rules over what is not Rust: dashboards, documents, and names that do not belong in the tree.

use std::collections::BTreeSet;

use crate::report;
use crate::source::product_texts;
use crate::tree::{TextFile, join, parent, root, rust_files, text_files};

/// Names that tie the tree to one place. They are written in two parts, so that this list is not
/// found by its own rule.
const FOREIGN_NAMES: [(&str, &str); 12] = [
    ("docker.i", "o/"),
    ("ghcr.i", "o"),
    ("quay.i", "o"),
    ("gcr.i", "o"),
    ("registry.k8s.i", "o"),
    ("mcr.microsoft.c", "om"),
    ("public.ecr.a", "ws"),
    ("registry.gitlab.c", "om"),
    ("/wo", "rk/"),
    ("/tmp", "/t-"),
    ("/tmp/hel", "per"),
    ("/ho", "me/runner"),
];

#[test]
fn every_metric_of_a_dashboard_exists() {
    let files = rust_files();
    let texts = product_texts(&files);
    let exists = |name: &str| is_written(&texts, name);
    let mut wrong = Vec::new();
    for file in text_files().iter().filter(|file| file.path.starts_with("dashboards/")) {
        let mut seen = BTreeSet::new();
        for (line, name) in metric_names(file) {
            let series = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|ending| name.strip_suffix(ending))
                .unwrap_or(&name);
            if !exists(&name) && !exists(series) && seen.insert(name.clone()) {
                wrong.push(format!("{}:{line}: no code makes {name}", file.path));
            }
        }
    }
    report(&wrong, "use the metric's name as the code writes it, or add the metric");
}

/// Whether a literal is the metric's name. A registry adds a room's prefix, a unit's ending and a
/// counter's ending; the literal may be without them.
fn is_written(texts: &[(&str, &str)], name: &str) -> bool {
    let counter = name.strip_suffix("_total").unwrap_or(name);
    let units = ["_seconds", "_bytes"].iter().filter_map(|unit| counter.strip_suffix(unit));
    let full: Vec<&str> = [name, counter].into_iter().chain(units).collect();
    texts.iter().any(|(room, text)| {
        full.iter().any(|full| {
            full.strip_suffix(text).is_some_and(|rest| {
                rest.is_empty()
                    || rest.strip_suffix('_').is_some_and(|prefix| texts.contains(&(room, prefix)))
            })
        })
    })
}

#[test]
fn a_metric_is_found_with_what_the_registry_adds() {
    let texts =
        [("agent", "dugout_agent"), ("agent", "sent"), ("api", "dugout_turns"), ("api", "x")];
    for name in ["dugout_agent_sent_bytes_total", "dugout_agent_sent", "dugout_turns_total"] {
        assert!(is_written(&texts, name), "{name}");
    }
    for name in ["dugout_agent_x", "dugout_turns_sum", "dugout_sent"] {
        assert!(!is_written(&texts, name), "{name}");
    }
}

/// How the names of metrics begin: ours, and those that an agent shows as a kubelet would.
const METRIC_BEGINNINGS: [&str; 4] = ["dugout_", "container_", "machine_", "node_"];

/// Every word that is the name of a metric, with its line.
fn metric_names(file: &TextFile) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for word in
            line.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        {
            let is_name = METRIC_BEGINNINGS.iter().any(|beginning| word.starts_with(beginning));
            if is_name && !word.ends_with('_') {
                names.push((number + 1, word.to_owned()));
            }
        }
    }
    names
}

#[test]
fn every_link_to_a_file_resolves() {
    let mut wrong = Vec::new();
    for file in text_files().iter().filter(|file| file.path.ends_with(".md")) {
        for (line, target) in links(&file.text) {
            let path = target.split(['#', ' ']).next().unwrap_or_default();
            let outside = path.contains(':') || path.is_empty();
            let folder = if path.starts_with('/') { "" } else { parent(&file.path) };
            if !outside && !root().join(join(folder, path)).exists() {
                wrong.push(format!("{}:{line}: {target} leads nowhere", file.path));
            }
        }
    }
    report(&wrong, "mend the path, or take the link out");
}

/// The target of every `[text](target)` outside of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece between back-ticks is code.
        let prose: Vec<&str> = line.split('`').step_by(2).collect();
        for rest in prose.join("`").split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                links.push((number + 1, target.to_owned()));
            }
        }
    }
    links
}

#[test]
fn links_in_code_are_not_links() {
    let text = "a [b](c.md#d) `[x](y)` [`e`](f/)\n```\n[g](h)\n```\n";
    let found: Vec<String> = links(text).into_iter().map(|(_, target)| target).collect();
    assert_eq!(found, ["c.md#d", "f/"]);
}

#[test]
fn nothing_names_a_registry_or_a_place_of_one_machine() {
    let mut wrong = Vec::new();
    for file in text_files().iter().filter(|file| file.path != "Cargo.lock") {
        for (number, line) in file.text.lines().enumerate() {
            for (start, end) in FOREIGN_NAMES {
                if line.contains(&format!("{start}{end}")) {
                    wrong.push(format!("{}:{}: names {start}{end}", file.path, number + 1));
                }
            }
        }
    }
    report(
        &wrong,
        "use a name of the example, as registry.example.com, or a path that is handed in",
    );
}
