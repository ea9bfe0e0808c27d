//! A rig that follows a repository on a Git server.

use std::path::PathBuf;

use crate::git_server::{GitServer, bare_repository};
use crate::rig::Rig;

/// A rig whose repository is pushed to one that is served over HTTP.
pub struct Served {
    pub rig: Rig,
    server: Option<GitServer>,
    port: u16,
    pub root: PathBuf,
    pub url: String,
    arguments: Vec<String>,
}

impl Served {
    pub fn start(name: &str, more: &[&str]) -> Self {
        let rig = Rig::new(name);
        let root = rig.folder().join("served");
        std::fs::create_dir(&root).expect("the folder can be made");
        bare_repository(&root, "team.git");
        let server = GitServer::start(&root);
        let url = server.url("team.git");
        rig.repository.git(&["push", "--quiet", &url, "main"]);
        let first = rig.repository.head();
        let arguments = [&["--repo", &url][..], more].concat().into_iter().map(str::to_owned);
        let (port, arguments) = (server.port(), arguments.collect());
        let mut served = Self { rig, server: Some(server), port, root, url, arguments };
        served.up();
        served.rig.wait_for_verdict(&first, "healthy");
        served
    }

    /// Starts Dugout again as it was started.
    pub fn up(&mut self) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.rig.up_with(&arguments);
    }

    /// The Git server is gone.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// It is there again, at the same address.
    pub fn serve_again(&mut self) {
        self.server = Some(GitServer::start_on(&self.root, self.port));
    }

    pub fn push(&self, more: &[&str]) {
        let mut arguments = vec!["push", "--quiet"];
        arguments.extend(more);
        arguments.extend([self.url.as_str(), "main"]);
        self.rig.repository.git(&arguments);
    }
}
