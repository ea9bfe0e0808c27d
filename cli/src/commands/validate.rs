//! `validate`: every problem in manifests, without a server.

mod folder_tree;

use std::fmt::Write as _;
use std::process::ExitCode;

use dugout_api::dugout::Problem as SerialisedProblem;
use dugout_manifest::{Policy, SourceCache, read_paths};
use dugout_model::{Problem, RevisionContent, Severity};

use self::folder_tree::FolderTree;

use crate::arguments::{ProblemOutput, ValidateArguments};
use crate::client::Usage;
use crate::output::print;

pub fn validate(arguments: &ValidateArguments) -> anyhow::Result<ExitCode> {
    let mut tree = FolderTree::around(&arguments.paths)?;
    let paths: Vec<String> =
        arguments.paths.iter().map(|path| tree.add(path)).collect::<anyhow::Result<_>>()?;
    let policy = Policy { skip_groups: arguments.skip_groups.clone() };
    let mut problems = problems_of(&tree, &paths, &policy)?;
    if tree.read_count() == 0 && problems.is_empty() {
        return Err(Usage("there are no manifests in the given folders".to_owned()).into());
    }
    if arguments.strict {
        for problem in &mut problems {
            problem.severity = Severity::Error;
        }
    }
    let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
    print(&render(&problems, tree.read_count(), arguments.output)?)?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is wrong with the files as one revision, in their order.
fn problems_of(
    tree: &FolderTree,
    paths: &[String],
    policy: &Policy,
) -> anyhow::Result<Vec<Problem>> {
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let content = read_paths(tree, &paths, policy, &mut SourceCache::default())
        .map_err(|error| anyhow::Error::from_boxed(error).context("the files cannot be read"))?;
    let mut problems = match content {
        RevisionContent::Objects { notices, .. } => notices,
        RevisionContent::Problems(problems) => problems,
    };
    for problem in &mut problems {
        problem.file = tree.shown(&problem.file);
    }
    Ok(problems)
}

fn render(problems: &[Problem], files: usize, output: ProblemOutput) -> anyhow::Result<String> {
    Ok(match output {
        ProblemOutput::Text => as_text(problems, files),
        ProblemOutput::Github => problems.iter().map(as_annotation).collect(),
        ProblemOutput::Json => {
            let problems: Vec<SerialisedProblem> = problems.iter().map(Into::into).collect();
            serde_json::to_string_pretty(&problems)? + "\n"
        }
    })
}

fn as_text(problems: &[Problem], files: usize) -> String {
    let mut text = String::new();
    for problem in problems {
        let _ = writeln!(text, "{problem}");
    }
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let _ = writeln!(
        text,
        "{}, {} in {}",
        counted(errors, "error"),
        counted(problems.len() - errors, "notice"),
        counted(files, "file")
    );
    text
}

fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// A workflow command, which GitHub shows at the line in the change.
fn as_annotation(problem: &Problem) -> String {
    let command = match problem.severity {
        Severity::Error => "error",
        Severity::Notice => "notice",
    };
    let mut text = format!("::{command} file={}", property(&problem.file));
    if problem.line > 0 {
        let _ = write!(text, ",line={},col={}", problem.line, problem.column);
    }
    let mut message = problem.message.clone();
    if !problem.field_path.is_empty() {
        message = format!("{}: {message}", problem.field_path);
    }
    if let Some(hint) = &problem.hint {
        let _ = write!(message, " ({hint})");
    }
    let _ = writeln!(text, "::{}", data(&message));
    text
}

/// What GitHub asks to have escaped in a message.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// And in a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(severity: Severity) -> Problem {
        Problem {
            file: "apps/a,b.yaml".to_owned(),
            line: 3,
            column: 7,
            severity,
            field_path: "spec.replicas".to_owned(),
            message: "must be a whole number\nnot 50%".to_owned(),
            hint: Some("write 3".to_owned()),
        }
    }

    #[test]
    fn an_annotation_escapes_what_github_would_misread() {
        assert_eq!(
            as_annotation(&problem(Severity::Error)),
            "::error file=apps/a%2Cb.yaml,line=3,col=7::spec.replicas: must be a whole \
             number%0Anot 50%25 (write 3)\n"
        );
    }

    #[test]
    fn the_text_ends_with_a_count() {
        let text = as_text(&[problem(Severity::Error), problem(Severity::Notice)], 5);
        assert!(text.ends_with("1 error, 1 notice in 5 files\n"), "{text}");
        assert_eq!(as_text(&[], 1), "0 errors, 0 notices in 1 file\n");
    }

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
        let told = |path: &str| {
            let mut tree = FolderTree::around(&[folder.path().join(path)])?;
            let paths = [tree.add(&folder.path().join(path))?];
            let problems = problems_of(&tree, &paths, &Policy::default())?;
            let shown = problems.into_iter().map(|problem| problem.to_string());
            anyhow::Ok(shown.collect::<Vec<_>>())
        };
        let expected = format!("{}:1:1: error", folder.path().join("base/a.yaml").display());
        for path in ["app", "app/kustomization.yaml", "base/a.yaml", ""] {
            let told = told(path).expect("readable");
            assert_eq!(told.len(), 1, "{path}: {told:?}");
            assert!(told[0].starts_with(&expected), "{path}: {told:?}");
        }
        assert!(told("missing.yaml").is_err());
    }
}
