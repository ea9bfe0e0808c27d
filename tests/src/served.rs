//! A rig that follows a repository on a Git server.

use std::path::PathBuf;

use crate::git_server::{GitServer, bare_repository};
use crate::rig::Rig;

/// A rig whose repository is pushed to one that is served over HTTP.
pub struct Served {
    pub rig: Rig,
    pub server: Option<GitServer>,
    pub root: PathBuf,
    pub url: String,
}

impl Served {
    pub fn start(name: &str, more: &[&str]) -> Self {
        let mut rig = Rig::new(name);
        let root = rig.folder().join("served");
        std::fs::create_dir(&root).expect("the folder can be made");
        bare_repository(&root, "team.git");
        let server = GitServer::start(&root);
        let url = server.url("team.git");
        rig.repository.git(&["push", "--quiet", &url, "main"]);
        let first = rig.repository.head();
        let mut arguments = vec!["--repo", &url];
        arguments.extend(more);
        rig.up_with(&arguments);
        rig.wait_for_verdict(&first, "healthy");
        Self { rig, server: Some(server), root, url }
    }

    pub fn push(&self, more: &[&str]) {
        let mut arguments = vec!["push", "--quiet"];
        arguments.extend(more);
        arguments.extend([self.url.as_str(), "main"]);
        self.rig.repository.git(&arguments);
    }
}
