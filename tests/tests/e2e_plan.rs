//! What a commit would do, told before it does it: over the example's repository, and over branches that
//! nobody follows.

#![allow(clippy::expect_used, reason = "a failure here fails the test")]

use std::path::Path;

use dugout_tests::rig::Rig;

/// Where the text of a plan is kept. `UPDATE_GOLDEN=1` writes it.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/plan.txt");

/// The example's manifests, with a namespace and a port that no other test uses.
fn write_example(rig: &Rig) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples-repo/apps/web");
    for entry in std::fs::read_dir(folder).expect("the example is there") {
        let path = entry.expect("it can be read").path();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let text = text
            .replace("namespace: demo", &format!("namespace: {}", rig.application.namespace))
            .replace("name: demo", &format!("name: {}", rig.application.namespace))
            .replace("30080", &rig.application.node_port.to_string());
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        rig.repository.write(&format!("apps/web/{name}"), &text);
    }
}

/// The text of a plan without what differs from run to run.
fn plan(rig: &Rig, reference: &str, shas: &[(&str, &str)]) -> String {
    let output = rig.dugout(&["plan", reference]);
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    for (sha, name) in shas {
        text = text.replace(&sha[..8], name);
    }
    text = text.replace(&*rig.repository.path.to_string_lossy(), "REPOSITORY");
    text = text.replace(&rig.application.namespace, "demo");
    format!("$ dugout plan {reference}\n{text}exit code {}\n\n", output.status.code().unwrap_or(-1))
}

#[test]
fn a_plan_of_a_branch_is_told_before_anybody_merges_it() {
    let mut rig = Rig::without_commit("plan");
    write_example(&rig);
    let first = rig.repository.commit("Start");
    rig.up(&["--node-name", "here"]);
    rig.wait_for_verdict(&first, "healthy");
    let before = rig.containers();

    let branch = |name: &str, change: &dyn Fn(&Rig)| {
        rig.repository.git(&["checkout", "--quiet", "-b", name, "main"]);
        change(&rig);
        let sha = rig.repository.commit(name);
        rig.repository.git(&["checkout", "--quiet", "main"]);
        sha
    };
    let deployment = "apps/web/deployment.yaml";
    let image = branch("image", &|rig| rig.repository.replace(deployment, "web:1.0", "web:2.0"));
    let config = branch("config", &|rig| {
        rig.repository.replace(deployment, "replicas: 3", "replicas: 5");
        rig.repository.write(
            "apps/more.yaml",
            &format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: more, namespace: {}}}\n",
                rig.application.namespace
            ),
        );
    });
    let large = branch("large", &|rig| {
        rig.repository.replace(deployment, "replicas: 3", "replicas: 500");
    });
    let broken = branch("broken", &|rig| {
        rig.repository.replace(deployment, "replicas:", "replica:");
    });
    let empty = branch("empty", &|rig| {
        rig.repository.git(&["rm", "--quiet", "-r", "apps"]);
    });
    let shas = [
        (&*first, "START___"),
        (&*image, "IMAGE___"),
        (&*config, "CONFIG__"),
        (&*large, "LARGE___"),
        (&*broken, "BROKEN__"),
        (&*empty, "EMPTY___"),
    ];
    let names = ["image", "config", "broken", "empty", "no-such-branch", &first];
    let mut text: String = names.map(|name| plan(&rig, name, &shas)).concat();
    text = text.replace(&first, "START");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(GOLDEN).expect("the golden file is there");
    assert_eq!(text, golden);

    // How many fit depends on the machine.
    let large = plan(&rig, "large", &shas);
    assert!(large.contains("without a place") && large.ends_with("exit code 1\n\n"), "{large}");
    assert_eq!(rig.containers(), before, "nothing of it is done");
    assert_eq!(rig.items("/apis/dugout.dev/v1/releases").len(), 1);

    // It is what happens.
    rig.repository.git(&["merge", "--quiet", "image"]);
    rig.wait_for_verdict(&image, "healthy");
    rig.wait_for("every pod is another, as it was told", |rig| {
        rig.containers().iter().all(|id| !before.contains(id))
    });
}
