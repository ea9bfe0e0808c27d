//! The tutorial: a Git repository made from `examples-repo/`, and its application's images, built on
//! the spot from a static program that lies beside this one.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use dugout_agent::local::{ImageSpec, Local};
use include_dir::{Dir, include_dir};

/// The repository that the tutorial starts from, as it was when this program was built.
static EXAMPLES_REPO: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../examples-repo");

/// The folder that the tutorial's repository is made in.
pub const DEMO_FOLDER: &str = "dugout-demo";

/// The application's versions that exist as images, so that there is something to move between.
const VERSIONS: [&str; 3] = ["1.0", "1.1", "2.0"];

/// The application's program, beside this one.
const WEB_PROGRAM: &str = "dugout-web";

const WEB_PORT: u16 = 8080;

/// Makes the tutorial's repository in `parent` unless it is there already; returns its path and
/// whether it was made.
pub fn repository(parent: &Path) -> anyhow::Result<(PathBuf, bool)> {
    let path = parent.join(DEMO_FOLDER);
    if path.join(".git").exists() {
        return Ok((path, false));
    }
    if path.exists() {
        bail!(
            "{} exists and is not a Git repository; move it away, or name a repository with --repo",
            path.display()
        );
    }
    let mut files = Vec::new();
    collect(&EXAMPLES_REPO, &mut files);
    dugout_gitsync::create_repository(&path, "main", &files, "Start from Dugout's example")
        .with_context(|| format!("the tutorial's repository {} cannot be made", path.display()))?;
    Ok((path, true))
}

fn collect<'a>(folder: &'a Dir<'a>, files: &mut Vec<(&'a Path, &'a [u8])>) {
    files.extend(folder.files().map(|file| (file.path(), file.contents())));
    for inner in folder.dirs() {
        collect(inner, files);
    }
}

/// The names of the application's images.
pub fn image_names() -> Vec<String> {
    VERSIONS.map(image_name).into()
}

fn image_name(version: &str) -> String {
    format!("{WEB_PROGRAM}:{version}")
}

/// Builds the application's images from its program.
pub async fn build_images(local: &Local, program: &Path) -> anyhow::Result<()> {
    let binary = std::fs::read(program)
        .with_context(|| format!("the example's program {} cannot be read", program.display()))?;
    for version in VERSIONS {
        let name = image_name(version);
        let spec = ImageSpec {
            name: name.clone(),
            program_path: format!("/{WEB_PROGRAM}"),
            program: binary.clone(),
            env: vec![format!("VERSION={version}"), format!("PORT={WEB_PORT}")],
            exposed_ports: vec![WEB_PORT],
            user: "65532:65532".to_owned(),
        };
        local
            .import_image(spec)
            .await
            .with_context(|| format!("the example's image {name} cannot be built"))?;
    }
    Ok(())
}

/// Finds the application's program beside this one, or where `DUGOUT_WEB_BIN` says.
pub fn web_program() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("DUGOUT_WEB_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().context("this program's own path cannot be found")?;
    let beside = own.with_file_name(WEB_PROGRAM);
    if beside.is_file() {
        return Ok(beside);
    }
    bail!(
        "the example's program {} is missing; build it with `make build`, or name your own repository with --repo",
        beside.display()
    );
}
