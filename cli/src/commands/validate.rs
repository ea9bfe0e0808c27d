//! `validate`: every problem in manifests, without a server.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use dugout_api::dugout::Problem as SerialisedProblem;
use dugout_model::{Problem, RevisionContent, Severity};

use crate::arguments::{ProblemOutput, ValidateArguments};
use crate::client::Usage;
use crate::output::print;

/// More files than this are taken for a mistake in the path.
const MOST_FILES: usize = 100_000;
/// As in a source: a manifest is text that people review.
const LARGEST_FILE_BYTES: u64 = 4 << 20;

/// One file with the name that its problems carry.
struct File {
    name: String,
    bytes: Vec<u8>,
}

pub fn validate(arguments: &ValidateArguments) -> anyhow::Result<ExitCode> {
    let files = read_all(&arguments.paths)?;
    if files.is_empty() {
        return Err(Usage("there are no manifests in the given folders".to_owned()).into());
    }
    let mut problems = problems_of(&files);
    if arguments.strict {
        for problem in &mut problems {
            problem.severity = Severity::Error;
        }
    }
    let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
    print(&render(&problems, files.len(), arguments.output)?)?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is wrong with the files as one revision, in their order.
fn problems_of(files: &[File]) -> Vec<Problem> {
    let parsed: Vec<_> =
        files.iter().map(|file| dugout_manifest::parse_blob(&file.bytes)).collect();
    let named = files.iter().map(|file| file.name.as_str()).zip(&parsed);
    match dugout_manifest::assemble(named) {
        RevisionContent::Objects { notices, .. } => notices,
        RevisionContent::Problems(problems) => problems,
    }
}

fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<File>> {
    let mut found = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            files.push(read_stdin()?);
        } else if path.is_dir() {
            collect(path, &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    found.sort();
    found.dedup();
    for path in found {
        files.push(read_file(&path)?);
    }
    Ok(files)
}

fn read_stdin() -> anyhow::Result<File> {
    let mut bytes = Vec::new();
    let mut limited = std::io::stdin().lock().take(LARGEST_FILE_BYTES + 1);
    limited.read_to_end(&mut bytes).context("standard input cannot be read")?;
    if bytes.len() as u64 > LARGEST_FILE_BYTES {
        bail!("standard input is longer than {LARGEST_FILE_BYTES} bytes");
    }
    Ok(File { name: "stdin".to_owned(), bytes })
}

fn read_file(path: &Path) -> anyhow::Result<File> {
    let metadata =
        std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if metadata.len() > LARGEST_FILE_BYTES {
        bail!("{} is longer than {LARGEST_FILE_BYTES} bytes", path.display());
    }
    let bytes =
        std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(File { name: path.to_string_lossy().trim_start_matches("./").to_owned(), bytes })
}

/// The manifests in a folder and the folders in it, chosen by name as in a source. A manifest that is
/// a link is refused, as there.
fn collect(top: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("the folder {} cannot be read", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
            if kind.is_dir() {
                if entry.file_name() != ".git" {
                    folders.push(path);
                }
            } else if dugout_manifest::is_manifest_path(&name) {
                if !kind.is_file() {
                    bail!("{} is no plain file; put the manifest itself there", path.display());
                }
                found.push(path);
            }
            if found.len() > MOST_FILES {
                bail!("more than {MOST_FILES} manifests; give a smaller folder");
            }
        }
    }
    Ok(())
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
    fn a_folder_gives_its_manifests_in_order_and_nothing_hidden() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.yaml", "a/c.yml", ".git/e.yaml", "readme.md"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, "x").expect("a file");
        }
        let files = read_all(&[folder.path().to_owned()]).expect("readable");
        let names: Vec<&str> =
            files.iter().filter_map(|file| file.name.rsplit('/').next()).collect();
        assert_eq!(names, ["c.yml", "b.yaml"]);
        assert!(read_all(&[folder.path().join("missing.yaml")]).is_err());
    }
}
