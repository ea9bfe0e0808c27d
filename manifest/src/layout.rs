//! Which files of a folder are manifests, and which folders are another tool's.

use std::collections::BTreeMap;

use dugout_model::{Problem, Severity};

/// Whether a file is read as a manifest: YAML or JSON by its name, and nothing on its way is hidden.
/// The path is relative, with forward slashes.
pub fn is_manifest_path(path: &str) -> bool {
    if path.split('/').any(|part| part.starts_with('.')) {
        return false;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let known = |ending: &str| matches!(ending, "yaml" | "yml" | "json");
    name == "Kustomization" || name.rsplit_once('.').is_some_and(|(_, ending)| known(ending))
}

/// A folder whose files are only parts of what another tool makes of them.
#[derive(Clone, Copy)]
enum Foreign {
    Kustomization,
    HelmChart,
}

/// The folders of other tools in a set of files.
pub(crate) struct Layout<'a> {
    /// By folder; the root is the empty path.
    foreign: BTreeMap<&'a str, (&'a str, Foreign)>,
}

impl<'a> Layout<'a> {
    pub(crate) fn of(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut foreign = BTreeMap::new();
        for path in paths {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let tool = match name {
                "kustomization.yaml" | "kustomization.yml" | "Kustomization" => {
                    Foreign::Kustomization
                }
                "Chart.yaml" => Foreign::HelmChart,
                _ => continue,
            };
            foreign.insert(folder, (path, tool));
        }
        Self { foreign }
    }

    /// One problem for each such folder.
    pub(crate) fn problems(&self) -> impl Iterator<Item = Problem> {
        self.foreign.values().map(|(path, tool)| {
            let (message, hint) = match tool {
                Foreign::Kustomization => (
                    "this folder is a kustomization, and Dugout does not render kustomizations",
                    "commit what `kubectl kustomize` prints instead of the folder",
                ),
                Foreign::HelmChart => (
                    "this folder is a Helm chart, and Dugout does not render charts",
                    "commit what `helm template` prints instead of the folder",
                ),
            };
            Problem {
                file: (*path).to_owned(),
                line: 0,
                column: 0,
                severity: Severity::Error,
                field_path: String::new(),
                message: message.to_owned(),
                hint: Some(hint.to_owned()),
            }
        })
    }

    /// Whether a file lies in such a folder, at any depth. It is then not looked at: what another tool
    /// makes of it cannot be known.
    pub(crate) fn is_foreign(&self, path: &str) -> bool {
        if self.foreign.is_empty() {
            return false;
        }
        let mut folder = path;
        while let Some((parent, _)) = folder.rsplit_once('/') {
            if self.foreign.contains_key(parent) {
                return true;
            }
            folder = parent;
        }
        self.foreign.contains_key("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_told_by_their_names() {
        for path in ["a.yaml", "apps/web/b.yml", "c.json", "x/Kustomization", "a.b.yaml"] {
            assert!(is_manifest_path(path), "{path}");
        }
        for path in [
            "README.md",
            ".github/workflows/ci.yaml",
            "a/.hidden.yaml",
            "yaml",
            "a.yaml.bak",
            "a.YAML",
            ".yaml",
        ] {
            assert!(!is_manifest_path(path), "{path}");
        }
    }

    #[test]
    fn everything_below_another_tools_folder_is_its_own() {
        let layout = Layout::of(["apps/web/kustomization.yaml", "chart/Chart.yaml", "db/a.yaml"]);
        assert!(layout.is_foreign("apps/web/kustomization.yaml"));
        assert!(layout.is_foreign("apps/web/base/patch.yaml"));
        assert!(layout.is_foreign("chart/values.yaml"));
        assert!(!layout.is_foreign("apps/web.yaml"));
        assert!(!layout.is_foreign("db/a.yaml"));
        assert_eq!(layout.problems().count(), 2);
        assert!(Layout::of(["kustomization.yaml"]).is_foreign("db/a.yaml"));
        assert!(!Layout::of(["db/a.yaml"]).is_foreign("db/a.yaml"));
    }
}
