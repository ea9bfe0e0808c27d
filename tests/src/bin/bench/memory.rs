//! Memory and processor time of the control plane with its agent, idle and with pods.

use std::process::Command;
use std::time::Duration;

use dugout_tests::rig::Rig;
use dugout_tests::statistics::verdict;

use crate::measure::{cpu_ticks, pss_mib};

const PODS: usize = 20;

/// How long nothing happens before memory is read, and while processor time is.
const SETTLE: Duration = Duration::from_secs(10);
const IDLE_SPAN: Duration = Duration::from_secs(20);

pub fn run() {
    let mut rig = Rig::without_commit("bench-memory");
    rig.application.replicas = 0;
    let first = rig.commit_application("Nothing runs");
    rig.up(&[]);
    rig.wait_for_verdict(&first, "healthy");
    std::thread::sleep(SETTLE);
    let idle = pss_mib(rig.process_id());
    let ticks = cpu_ticks(rig.process_id());
    std::thread::sleep(IDLE_SPAN);
    // A tick is a hundredth of a second.
    let idle_cpu = (cpu_ticks(rig.process_id()) - ticks) as f64 / IDLE_SPAN.as_secs_f64();
    rig.application.replicas = u32::try_from(PODS).expect("small");
    let second = rig.commit_application("Twenty");
    rig.wait_for_verdict(&second, "healthy");
    std::thread::sleep(SETTLE);
    let busy = pss_mib(rig.process_id());
    let postgres = postgres_pss_mib(&rig);
    println!(
        "memory idle {idle:.1} MiB PSS, with {PODS} pods {busy:.1} MiB; PostgreSQL beside {postgres:.1} MiB"
    );
    println!("processor idle {idle_cpu:.2} % of a core");
    verdict("control plane and agent idle ≤ 20 MiB PSS", &format!("{idle:.1} MiB"), idle <= 20.0);
}

fn postgres_pss_mib(rig: &Rig) -> f64 {
    let path = rig.data_dir().join("postgres/data/postmaster.pid");
    let postmaster = std::fs::read_to_string(path).unwrap_or_default();
    let Some(parent) = postmaster.lines().next().and_then(|line| line.trim().parse::<u32>().ok())
    else {
        return f64::NAN;
    };
    let children = Command::new("pgrep")
        .args(["--parent", &parent.to_string()])
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let children = children.lines().filter_map(|line| line.trim().parse::<u32>().ok());
    std::iter::once(parent).chain(children).map(pss_mib).sum()
}
