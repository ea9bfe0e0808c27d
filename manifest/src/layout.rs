//! Which files of a folder are manifests.

/// Whether a file is read as a manifest: YAML or JSON by its ending, in letters of any case, and nothing on its way is hidden.
/// The path is relative, with forward slashes.
pub fn is_manifest_path(path: &str) -> bool {
    if path.split('/').any(|part| part.starts_with('.')) {
        return false;
    }
    has_manifest_ending(path.rsplit('/').next().unwrap_or(path))
}

/// Whether a file is YAML or JSON by its name.
pub(crate) fn has_manifest_ending(name: &str) -> bool {
    let known = |ending: &str| {
        ["yaml", "yml", "json"].iter().any(|known| ending.eq_ignore_ascii_case(known))
    };
    name.rsplit_once('.').is_some_and(|(_, ending)| known(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_told_by_their_names() {
        for path in ["a.yaml", "apps/web/b.yml", "c.json", "a.b.yaml", "a.YAML", "b.Yml"] {
            assert!(is_manifest_path(path), "{path}");
        }
        for path in [
            "README.md",
            ".github/workflows/ci.yaml",
            "a/.hidden.yaml",
            "x/Kustomization",
            "yaml",
            "a.yaml.bak",
            ".yaml",
            ".YAML",
        ] {
            assert!(!is_manifest_path(path), "{path}");
        }
    }
}
