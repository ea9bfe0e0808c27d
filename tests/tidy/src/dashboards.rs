//! The dashboard and the alert rules: Prometheus' own tool accepts every rule and every query.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[test]
fn the_rules_are_sound_and_do_what_their_worked_cases_say() {
    promtool(&folder(), &["check", "rules", "rules.yaml"]);
    promtool(&folder(), &["test", "rules", "rules_test.yaml"]);
}

#[test]
fn the_sample_configuration_is_sound() {
    promtool(&folder(), &["check", "config", "prometheus.yml"]);
}

#[test]
fn every_query_of_the_dashboard_is_promql() {
    let dashboard = dashboard();
    let mut rules = Vec::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            rules.push(rule(rules.len(), target["expr"].as_str().unwrap()));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        rules.push(rule(rules.len(), annotation["expr"].as_str().unwrap()));
    }
    assert!(rules.len() > 30, "only {} queries were found", rules.len());
    // Prometheus reads JSON as well, because it is YAML.
    let file = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let scratch = Scratch::new();
    fs::write(scratch.0.join("rules.json"), file.to_string()).unwrap();
    promtool(&scratch.0, &["check", "rules", "rules.json"]);
}

#[test]
fn every_panel_explains_itself_and_has_its_own_place() {
    let dashboard = dashboard();
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's too");
        let place = &panel["gridPos"];
        let number = |name: &str| place[name].as_u64().unwrap();
        for x in number("x")..number("x") + number("w") {
            for y in number("y")..number("y") + number("h") {
                assert!(x < 24 && places.insert((x, y)), "{title}: lies over another panel");
            }
        }
        if panel["type"] != "row" {
            let description = panel["description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.'), "{title}: needs a sentence as its description");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}: fixed data source");
        }
    }
}

fn folder() -> PathBuf {
    crate::tree::root().join("dashboards")
}

fn dashboard() -> Value {
    let text = fs::read_to_string(folder().join("dugout-overview.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter()
}

/// A query as a recording rule, which promtool can check; Grafana's variables get a value.
fn rule(number: usize, query: &str) -> Value {
    let mut query = query.replace("$__rate_interval", "5m");
    for variable in ["$instance", "$source", "$namespace"] {
        query = query.replace(variable, ".*");
    }
    assert!(!query.contains('$'), "a variable without a value: {query}");
    serde_json::json!({ "record": format!("dashboard:query_{number}"), "expr": query })
}

fn promtool(folder: &Path, arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| {
        panic!("promtool cannot be run ({error}); install it: apt-get install prometheus")
    });
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}:\n{said}\n{complained}");
}

/// A folder of this test's own, gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        let folder = std::env::temp_dir().join(format!("dugout-tidy-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it lies among the temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
