//! push+webhook→running over HTTP beside raw create+start of the same container, in turns.

use dugout_tests::engine::{Engine, Starts};
use dugout_tests::git_server::{GitServer, bare_repository};
use dugout_tests::rig::Rig;
use dugout_tests::statistics::Sample;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::hops::Hops;
use crate::measure::{ROUNDS, branch_moved_at, compare, raw_start, start_of};

pub fn run() {
    let mut rig = Rig::without_commit("bench-push");
    rig.application.replicas = 1;
    let root = rig.folder().join("served");
    std::fs::create_dir(&root).expect("a folder can be made");
    bare_repository(&root, "team.git");
    let server = GitServer::start(&root);
    let url = server.url("team.git");
    let first = rig.commit_application("Start");
    rig.repository.git(&["push", "--quiet", &url, "main"]);
    let secret = rig.folder().join("secret");
    std::fs::write(&secret, "bench").expect("the secret can be written");
    let secret = secret.to_string_lossy().into_owned();
    rig.up_with(&["--repo", &url, "--poll-interval", "1h", "--webhook-secret-file", &secret]);
    rig.wait_for_verdict(&first, "healthy");
    let recipe = Engine::connect().recipe_of(&rig.containers()[0]);
    let client = dugout_tests::http::client(true);
    let (mut raw, mut running) = (Vec::new(), Vec::new());
    let mut hops = Hops::default();
    for round in 0..ROUNDS {
        raw.push(raw_start(&recipe));
        rig.application.greeting = format!("round-{round}");
        let sha = rig.commit_application("Round");
        let mut starts = Starts::follow();
        rig.repository.git(&["push", "--quiet", &url, "main"]);
        let pushed = branch_moved_at(&root.join("team.git"));
        client
            .post(rig.url("/webhook/generic"))
            .header("X-Signature", signature("bench"))
            .send()
            .expect("the webhook answers");
        running.push(start_of(&mut starts, &rig, pushed));
        rig.wait_for_verdict(&sha, "healthy");
        rig.wait_for_ready(1);
        hops.add(&rig, &sha, pushed);
    }
    compare("push+webhook→running", &Sample::new(raw), &Sample::new(running));
    hops.print();
}

/// The signature of an empty body.
fn signature(secret: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key will do");
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
