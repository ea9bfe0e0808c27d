//! Problems as a SARIF 2.1.0 log, which forges and editors read as the result of a code scan.

use dugout_model::Severity;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Finding, sentence};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The rules, in the order of their indexes. Which rule a problem breaks does not depend on `--strict`.
const RULES: [Rule; 2] = [
    Rule {
        severity: Severity::Error,
        id: "refused",
        name: "Refused",
        level: "error",
        short: "Dugout refuses the manifest",
        full: "A revision with such a problem is rejected whole, and what runs stays as it is.",
    },
    Rule {
        severity: Severity::Notice,
        id: "no-effect",
        name: "NoEffect",
        level: "note",
        short: "What the manifest says has no effect",
        full: "The revision is accepted, and Dugout does not do what is written here. \
               With --strict it is an error.",
    },
];

struct Rule {
    severity: Severity,
    id: &'static str,
    name: &'static str,
    level: &'static str,
    short: &'static str,
    full: &'static str,
}

/// All of a path but what may stand in a URI as it is.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The log of one run, as JSON.
pub(super) fn log(findings: &[Finding]) -> serde_json::Result<String> {
    let rules: Vec<Value> = RULES.iter().map(rule).collect();
    let results: Vec<Value> = findings.iter().map(result).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "Dugout",
                    "version": env!("CARGO_PKG_VERSION"),
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                },
            },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    Ok(serde_json::to_string_pretty(&log)? + "\n")
}

fn rule(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "name": rule.name,
        "shortDescription": { "text": rule.short },
        "fullDescription": { "text": rule.full },
        "help": { "text": "Run 'dugout validate' on the path; a hint says how to mend it." },
        "defaultConfiguration": { "level": rule.level },
    })
}

fn result(finding: &Finding) -> Value {
    let Finding { problem, severity } = finding;
    let index = RULES.iter().position(|rule| rule.severity == *severity).unwrap_or(0);
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Notice => "note",
    };
    // A region begins at line 1; that is where a problem with the whole file is shown.
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": artifact(&problem.file),
            "region": {
                "startLine": problem.line.max(1),
                "startColumn": problem.column.max(1),
            },
        },
    });
    if !problem.field_path.is_empty() {
        location["logicalLocations"] = json!([{ "fullyQualifiedName": problem.field_path }]);
    }
    json!({
        "ruleId": RULES[index].id,
        "ruleIndex": index,
        "level": level,
        "message": { "text": sentence(problem) },
        "locations": [location],
    })
}

/// A file in the repository, or on this machine where it is in none.
fn artifact(path: &str) -> Value {
    let encoded = utf8_percent_encode(path, IN_PATH);
    match path.starts_with('/') {
        true => json!({ "uri": format!("file://{encoded}") }),
        false => json!({ "uri": encoded.to_string(), "uriBaseId": "%SRCROOT%" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_uri() {
        assert_eq!(
            artifact("apps/ä b%:c.yaml"),
            json!({ "uri": "apps/%C3%A4%20b%25%3Ac.yaml", "uriBaseId": "%SRCROOT%" })
        );
        assert_eq!(artifact("/srv/a#b.yaml"), json!({ "uri": "file:///srv/a%23b.yaml" }));
    }
}
