//! `dugout validate` as teams run it: every form of output, standard input, exit codes, the hook.
//! `UPDATE_GOLDEN=1` writes the expected outputs anew.

#![expect(clippy::expect_used, reason = "what a helper expects is part of the test")]

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: demo}\n";
const ROLE: &str =
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\nrules: []\n";

/// A repository with a problem of each sort, below a folder in which the command runs.
fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in [
        (".git/HEAD", ""),
        ("deploy/namespace.yaml", NAMESPACE),
        ("deploy/role.yaml", ROLE),
        ("deploy/again, 50%.yaml", NAMESPACE),
        (
            "deploy/app/config.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: Ä\n  nmespace: demo\n---\n{}\n",
        ),
        ("deploy/chart/Chart.yaml", "name: x\n"),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

/// Runs the binary in a folder, with nothing of the caller's environment but what CI would set.
fn dugout(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dugout"))
        .arg("validate")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("GITHUB_ACTIONS", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dugout can be run");
    // One that does not read its input may be gone by now.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn code(folder: &Path, arguments: &[&str], input: &str) -> Option<i32> {
    dugout(folder, arguments, input).status.code()
}

#[test]
fn every_form_of_output_is_as_written_down() {
    let repository = repository();
    let folder = repository.path().join("deploy");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/validate");
    let mut wrong = Vec::new();
    for (name, arguments) in [
        ("text.txt", &["."][..]),
        ("strict.txt", &["--strict", "."]),
        ("problems.json", &["-o", "json", "."]),
        ("github.txt", &["-o", "github", "."]),
        ("log.sarif", &["-o", "sarif", "."]),
        ("strict.sarif", &["-o", "sarif", "--strict", "."]),
        ("coverage.txt", &["--coverage", "."]),
        ("coverage.json", &["--coverage", "--strict", "-o", "json", "."]),
    ] {
        let output = dugout(&folder, arguments, "");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let version = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
        let actual = said(&output).replace(&version, "\"VERSION\"");
        let path = golden.join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &actual).expect("a file");
        } else if fs::read_to_string(&path).unwrap_or_default() != actual {
            wrong.push(format!("{} should be:\n{actual}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_GOLDEN=1 writes them anew", wrong.join("\n"));
}

/// What the schema asks, and what readers of a log rely on beyond it.
#[test]
fn a_sarif_log_holds_what_its_schema_asks() {
    let repository = repository();
    for arguments in [&["-o", "sarif", "deploy"][..], &["-o", "sarif", "deploy/namespace.yaml"]] {
        let output = dugout(repository.path(), arguments, "");
        let log: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(log["version"], "2.1.0");
        assert!(log["$schema"].as_str().is_some_and(|uri| uri.contains("sarif-2.1.0")));
        let [run] = log["runs"].as_array().expect("runs").as_slice() else { panic!("one run") };
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        let driver = &run["tool"]["driver"];
        assert_eq!(driver["name"], "Dugout");
        assert_eq!(driver["version"], env!("CARGO_PKG_VERSION"));
        let rules = driver["rules"].as_array().expect("rules");
        let results = run["results"].as_array().expect("results, also when there are none");
        assert_eq!(results.is_empty(), output.status.success());
        for result in results {
            let index = result["ruleIndex"].as_u64().expect("an index") as usize;
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(["error", "note"].contains(&result["level"].as_str().expect("a level")));
            assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
            let [location] = result["locations"].as_array().expect("locations").as_slice() else {
                panic!("one location: {result}")
            };
            let place = &location["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().expect("a URI");
            assert!(uri.starts_with("deploy/"), "{uri}: from the top of the repository");
            assert!(uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','), "{uri}");
            for number in ["startLine", "startColumn"] {
                assert!(place["region"][number].as_u64().is_some_and(|number| number > 0));
            }
        }
    }
}

#[test]
fn standard_input_is_read_beside_files_and_once() {
    let repository = repository();
    let here = repository.path();
    assert_eq!(code(here, &["-"], NAMESPACE), Some(0));
    assert_eq!(code(here, &["-", "-"], NAMESPACE), Some(0));
    let lost = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: demo}\n";
    assert_eq!(code(here, &["-"], lost), Some(1), "it needs the namespace");
    assert_eq!(code(here, &["-", "deploy/namespace.yaml"], lost), Some(0));
    let twice = dugout(here, &["deploy/namespace.yaml", "-"], NAMESPACE);
    assert_eq!(twice.status.code(), Some(1));
    assert!(said(&twice).contains("(the first is in stdin:1; keep one of them)"), "{twice:?}");
    let broken = dugout(here, &["-o", "github", "-"], "a: [\n");
    assert!(said(&broken).starts_with("::error file=stdin,line="), "{broken:?}");
}

#[test]
fn the_exit_code_says_good_or_problems_or_a_wrong_call() {
    let repository = repository();
    let here = repository.path();
    fs::create_dir(here.join("empty")).expect("a folder");
    for (expected, arguments) in [
        (0, &["deploy/namespace.yaml"][..]),
        (0, &["deploy/role.yaml"]),
        (0, &["--coverage", "deploy/role.yaml"]),
        (1, &["--strict", "deploy/role.yaml"]),
        (1, &["--strict", "--coverage", "deploy/role.yaml"]),
        (1, &["deploy"]),
        (2, &[]),
        (2, &["missing.yaml"]),
        (2, &["empty"]),
        (2, &["-o", "xml", "deploy"]),
        (2, &["--coverage", "-o", "sarif", "deploy"]),
        (2, &["--coverage", "-o", "github", "deploy"]),
    ] {
        let output = dugout(here, arguments, "");
        assert_eq!(output.status.code(), Some(expected), "{arguments:?}: {output:?}");
        assert_eq!(output.stderr.is_empty(), expected != 2, "{arguments:?}: {output:?}");
    }
}

/// What `.pre-commit-hooks.yaml` says, run as pre-commit runs it.
#[test]
fn the_hook_checks_the_repository_whole() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.pre-commit-hooks.yaml");
    let text = fs::read_to_string(path).expect("the file");
    let hooks: Vec<Value> = serde_saphyr::from_str(&text).expect("YAML");
    let [hook] = hooks.as_slice() else { panic!("one hook") };
    assert_eq!(hook["language"], "system");
    assert_eq!(hook["pass_filenames"], false, "a file alone would miss what others declare");
    assert_eq!(hook["entry"], "dugout validate");
    let arguments: Vec<&str> =
        hook["args"].as_array().expect("args").iter().filter_map(Value::as_str).collect();
    let repository = repository();
    assert_eq!(code(repository.path(), &arguments, ""), Some(1));
    fs::remove_dir_all(repository.path().join("deploy/chart")).expect("a folder");
    fs::remove_dir_all(repository.path().join("deploy/app")).expect("a folder");
    fs::remove_file(repository.path().join("deploy/again, 50%.yaml")).expect("a file");
    assert_eq!(code(repository.path(), &arguments, ""), Some(0));
}

/// What stands in a folder and is no file is told, and that nothing was read.
#[test]
fn a_socket_is_told_and_is_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let _socket = UnixListener::bind(folder.path().join("s.yaml")).expect("a socket");
    let output = dugout(folder.path(), &["."], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = said(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("s.yaml: error: is a pipe, a socket or a device"), "{said}");
    assert_eq!(lines[1], "1 error, 0 notices; no file was read");
}
