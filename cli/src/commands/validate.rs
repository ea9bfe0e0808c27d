//! `validate`: every problem in manifests, without a server.

mod coverage;
mod folder_tree;
mod github;
mod sarif;

use std::fmt::Write as _;
use std::process::ExitCode;

use dugout_api::dugout::Problem as SerialisedProblem;
use dugout_manifest::{Coverage, Policy, SourceCache, Tree, TreeError, read_paths, survey_paths};
use dugout_model::{Problem, RevisionContent, Severity};

use self::folder_tree::{FolderTree, ShownFrom};

use crate::arguments::{ProblemOutput, ValidateArguments};
use crate::client::Usage;
use crate::output::print;

/// A problem as it is told here.
struct Finding {
    /// With the path as it is shown.
    problem: Problem,
    /// What it is for a source that takes notices, so that `--strict` does not hide it.
    severity: Severity,
}

pub fn validate(arguments: &ValidateArguments) -> anyhow::Result<ExitCode> {
    if arguments.coverage
        && matches!(arguments.output, ProblemOutput::Github | ProblemOutput::Sarif)
    {
        return Err(Usage("--coverage is told as text or json".to_owned()).into());
    }
    let shown_from = match arguments.output {
        ProblemOutput::Text | ProblemOutput::Json => ShownFrom::Here,
        ProblemOutput::Github | ProblemOutput::Sarif => ShownFrom::Repository,
    };
    let mut tree = FolderTree::around(&arguments.paths, shown_from)?;
    let paths: Vec<String> =
        arguments.paths.iter().map(|path| tree.add(path)).collect::<anyhow::Result<_>>()?;
    let policy = Policy { skip_groups: arguments.skip_groups.clone() };
    let (content, coverage) = read(&tree, &paths, &policy, arguments.coverage)?;
    let findings = findings_of(content, &tree, arguments.strict);
    let files = tree.read_count();
    if files == 0 && findings.is_empty() {
        return Err(Usage("there are no manifests in the given folders".to_owned()).into());
    }
    let failed = findings.iter().any(|finding| finding.problem.severity == Severity::Error);
    let text = match coverage {
        Some(coverage) => {
            let coverage = coverage::Shown::new(&coverage, &tree, arguments.strict);
            match arguments.output {
                ProblemOutput::Json => coverage.as_json()?,
                _ => coverage.as_text(),
            }
        }
        None => render(&findings, files, arguments.output)?,
    };
    print(&text)?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the files come to as one revision; counted, if that is asked.
fn read(
    tree: &FolderTree,
    paths: &[String],
    policy: &Policy,
    counted: bool,
) -> anyhow::Result<(RevisionContent, Option<Coverage>)> {
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let failed =
        |error: TreeError| anyhow::Error::from_boxed(error).context("the files cannot be read");
    if counted {
        let (content, coverage) = survey_paths(tree, &paths, policy).map_err(failed)?;
        return Ok((content, Some(coverage)));
    }
    let content = read_paths(tree, &paths, policy, &mut SourceCache::default()).map_err(failed)?;
    Ok((content, None))
}

/// What is wrong with a revision, in the order of its files.
fn findings_of(content: RevisionContent, tree: &FolderTree, strict: bool) -> Vec<Finding> {
    let problems = match content {
        RevisionContent::Objects { notices, .. } => notices,
        RevisionContent::Problems(problems) => problems,
    };
    problems
        .into_iter()
        .map(|problem| {
            let severity = problem.severity;
            Finding { problem: told(problem, tree, strict), severity }
        })
        .collect()
}

/// A problem as it is told here: with the path as it is shown, and as an error if nothing else will do.
fn told(mut problem: Problem, tree: &FolderTree, strict: bool) -> Problem {
    problem.file = tree.shown(&problem.file);
    if strict {
        problem.severity = Severity::Error;
    }
    problem
}

fn render(findings: &[Finding], files: usize, output: ProblemOutput) -> anyhow::Result<String> {
    let problems = findings.iter().map(|finding| &finding.problem);
    Ok(match output {
        ProblemOutput::Text => {
            let lines: String = problems.map(|problem| format!("{problem}\n")).collect();
            lines + &summary(findings, files)
        }
        ProblemOutput::Github => {
            let lines: String = problems.map(github::annotation).collect();
            lines + &summary(findings, files)
        }
        ProblemOutput::Json => {
            let problems: Vec<SerialisedProblem> = problems.map(Into::into).collect();
            serde_json::to_string_pretty(&problems)? + "\n"
        }
        ProblemOutput::Sarif => sarif::log(findings)?,
    })
}

fn summary(findings: &[Finding], files: usize) -> String {
    let is_error = |finding: &&Finding| finding.problem.severity == Severity::Error;
    let errors = findings.iter().filter(is_error).count();
    let read = match files {
        0 => "; no file was read".to_owned(),
        _ => format!(" in {}", counted(files, "file")),
    };
    format!("{}, {}{read}\n", counted(errors, "error"), counted(findings.len() - errors, "notice"))
}

fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// All of a problem but its place, in one text.
fn sentence(problem: &Problem) -> String {
    let mut text = problem.message.clone();
    if !problem.field_path.is_empty() {
        text = format!("{}: {text}", problem.field_path);
    }
    if let Some(hint) = &problem.hint {
        let _ = write!(text, " ({hint})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_as_a_source_and_told_from_here() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = "kind: Service\nmetadata: {name: a}\n";
        for (name, text) in [
            (".git/e.yaml", "x"),
            ("readme.md", "x"),
            ("base/a.yaml", base),
            ("base/kustomization.yaml", "resources: [a.yaml]\n"),
            ("app/kustomization.yaml", "resources: [../base]\n"),
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let told = |path: &str, from| {
            let mut tree = FolderTree::around(&[folder.path().join(path)], from)?;
            let paths = [tree.add(&folder.path().join(path))?];
            let (content, _) = read(&tree, &paths, &Policy::default(), false)?;
            let findings = findings_of(content, &tree, false);
            let shown = findings.into_iter().map(|finding| finding.problem.to_string());
            anyhow::Ok(shown.collect::<Vec<_>>())
        };
        let whole = folder.path().canonicalize().expect("a folder");
        let expected = format!("{}:1:1: error", whole.join("base/a.yaml").display());
        for path in ["app", "app/kustomization.yaml", "base/a.yaml", ""] {
            for (from, expected) in
                [(ShownFrom::Here, &*expected), (ShownFrom::Repository, "base/a.yaml:1:1: error")]
            {
                let told = told(path, from).expect("readable");
                assert_eq!(told.len(), 1, "{path}: {told:?}");
                assert!(told[0].starts_with(expected), "{path}: {told:?}");
            }
        }
        std::fs::remove_dir_all(folder.path().join(".git")).expect("a folder");
        let alone = told("app", ShownFrom::Here).expect("readable");
        assert_eq!(alone.len(), 1, "{alone:?}");
        let bound = "\"../base\" leads out of ";
        assert!(alone[0].contains(bound) && alone[0].contains("no Git repository"), "{alone:?}");
        let missing = told("missing.yaml", ShownFrom::Here).expect_err("nothing is there");
        assert!(missing.downcast_ref::<Usage>().is_some(), "{missing}");
    }
}
