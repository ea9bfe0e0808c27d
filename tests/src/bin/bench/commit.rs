//! commit→running and commit→HTTP 200 beside raw create+start of the same container, in turns.

use dugout_tests::engine::{Engine, Starts};
use dugout_tests::rig::Rig;
use dugout_tests::statistics::Sample;

use crate::hops::Hops;
use crate::measure::{ROUNDS, branch_moved_at, compare, raw_start, span_since, start_of};

pub fn run() {
    let mut rig = Rig::without_commit("bench-commit");
    rig.application.replicas = 1;
    let first = rig.commit_application("Start");
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    let (mut raw, mut running, mut answered) = (Vec::new(), Vec::new(), Vec::new());
    // The same container as the pod's: image, environment, limits, network.
    let recipe = Engine::connect().recipe_of(&rig.containers()[0]);
    let mut hops = Hops::default();
    for round in 0..ROUNDS {
        raw.push(raw_start(&recipe));
        rig.application.greeting = format!("round-{round}");
        rig.repository.write("apps/web.yaml", &rig.application.manifests());
        rig.repository.git(&["add", "--all"]);
        let mut starts = Starts::follow();
        rig.repository.git(&["commit", "--quiet", "--message", "Round"]);
        let committed = branch_moved_at(&rig.repository.path.join(".git"));
        running.push(start_of(&mut starts, &rig, committed));
        rig.wait_for("the new page is served", |rig| {
            rig.visit("/").is_some_and(|page| page.contains(&rig.application.greeting))
        });
        answered.push(span_since(committed));
        let sha = rig.repository.head();
        rig.wait_for_verdict(&sha, "healthy");
        rig.wait_for_ready(1);
        hops.add(&rig, &sha, committed);
    }
    compare("commit→running", &Sample::new(raw), &Sample::new(running));
    println!("commit→HTTP 200 through node port    {}", Sample::new(answered).show());
    hops.print();
}
