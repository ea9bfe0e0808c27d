//! `git revert` beside the first time that the version it brings back was rolled out, in turns. The
//! first time includes what a first time includes: its image comes from a registry.

use dugout_tests::images;
use dugout_tests::registry::Registry;
use dugout_tests::rig::{Rig, docker};
use dugout_tests::statistics::{Sample, verdict};

use crate::measure::took;

const ROUNDS: usize = 10;

pub fn run() {
    let registry = Registry::start();
    let mut rig = Rig::without_commit("bench-revert");
    rig.application.replicas = 1;
    let start = rig.commit_application("Start");
    rig.up(&[]);
    rig.wait_for_verdict(&start, "healthy");
    let (mut first, mut other, mut back) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let name = format!("dugout-bench-revert:{}-{round}", std::process::id());
        images::make_unlike_others(&name);
        let image = registry.push(&name, &name);
        docker(&["image", "rm", &name]);
        rig.application.image = image.clone();
        first.push(rolled_out(&mut rig, "A version of its own"));
        rig.application.image = "dugout-web:1.1".to_owned();
        other.push(rolled_out(&mut rig, "A version whose image is here"));
        rig.repository.git(&["revert", "--no-edit", "HEAD"]);
        back.push(healthy(&mut rig));
        rig.application.image = "dugout-web:1.0".to_owned();
        rolled_out(&mut rig, "Make room");
        docker(&["image", "rm", &image]);
    }
    let (first, other, back) = (Sample::new(first), Sample::new(other), Sample::new(back));
    println!("first roll-out→healthy, pulled       {}", first.show());
    println!("commit→healthy, image is here        {}", other.show());
    println!("git revert→healthy                   {}", back.show());
    verdict(
        "git revert p50 faster than the first time",
        &format!(
            "{:.2} × ({:.2} × with the image here)",
            back.p50() / first.p50(),
            back.p50() / other.p50()
        ),
        back.p50() < first.p50(),
    );
}

fn rolled_out(rig: &mut Rig, message: &str) -> std::time::Duration {
    rig.commit_application(message);
    healthy(rig)
}

/// How long the newest commit took, when it is healthy and alone.
fn healthy(rig: &mut Rig) -> std::time::Duration {
    let sha = rig.repository.head();
    rig.wait_for_verdict(&sha, "healthy");
    rig.wait_for_ready(1);
    took(rig, &sha)
}
