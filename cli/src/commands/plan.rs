//! `plan`: what a commit would do, before it does it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use dugout_api::dugout::{PlanAnswer, PlanBody, PlannedObject, PlannedWorkload};

use super::source_named;
use crate::arguments::{PlanArguments, PlanOutput};
use crate::client::Client;
use crate::output::{Paint, print, short};

/// Asks the server, and fails where the commit would.
pub async fn plan(client: &Client, arguments: PlanArguments) -> anyhow::Result<ExitCode> {
    let name = source_named(client, arguments.source).await?;
    let body = PlanBody { reference: arguments.reference };
    let path = ["apis", "dugout.dev", "v1", "sources", &name, "plan"];
    let answer: PlanAnswer = client.post(&path, &body).await?;
    match arguments.output {
        PlanOutput::Text => print(&text(&answer, Paint::for_stdout()))?,
        PlanOutput::Json => print(&format!("{}\n", serde_json::to_string_pretty(&answer)?))?,
    }
    let is_well = matches!(&*answer.outcome, "Healthy" | "Unknown");
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(answer: &PlanAnswer, paint: Paint) -> String {
    let mut text = format!(
        "Commit {} {:?} of source {}\n",
        paint.bold(short(&answer.commit)),
        answer.subject,
        answer.source
    );
    let _ = match &answer.applied {
        Some(applied) if *applied == answer.commit => writeln!(text, "It is applied already."),
        Some(applied) => writeln!(text, "Compared with {}, which is applied.", short(applied)),
        None => writeln!(text, "Nothing is applied yet."),
    };
    for problem in &answer.problems {
        let _ = writeln!(text, "  {problem}");
    }
    if answer.outcome != "Rejected" {
        text += &objects(&answer.objects, paint);
        text += &pods(answer, paint);
    }
    text.push('\n');
    for obstacle in &answer.obstacles {
        let _ = writeln!(text, "It is {obstacle}. This is what it would do then.");
    }
    text += &end(answer);
    text
}

fn objects(objects: &[PlannedObject], paint: Paint) -> String {
    if objects.is_empty() {
        return "\nIt changes no object.\n".to_owned();
    }
    let mut text = format!("\n{}\n", paint.bold("Objects"));
    for object in objects {
        let (sign, more) = match &*object.change {
            "Added" => ("+", ""),
            "Removed" => ("-", ""),
            "Orphaned" => ("-", ", which stays as it is"),
            _ => ("~", ""),
        };
        let _ = writeln!(text, "  {sign} {}{more}", named(object));
        for field in &object.fields {
            let none = "nothing";
            let before = field.before.as_deref().unwrap_or(none);
            let after = field.after.as_deref().unwrap_or(none);
            let _ = writeln!(text, "      {}: {before} \u{2192} {after}", field.path);
        }
    }
    text
}

fn named(object: &PlannedObject) -> String {
    match object.namespace.is_empty() {
        true => format!("{} {}", object.kind, object.name),
        false => format!("{} {}/{}", object.kind, object.namespace, object.name),
    }
}

fn pods(answer: &PlanAnswer, paint: Paint) -> String {
    let mut text = format!("\n{}\n", paint.bold("Pods"));
    for workload in &answer.workloads {
        let _ = writeln!(text, "  {}", workload_line(workload));
    }
    let _ = match (answer.untouched_workloads, answer.workloads.len()) {
        (0, 0) => writeln!(text, "  there are none"),
        (0, _) => Ok(()),
        (workloads, _) => writeln!(
            text,
            "  nothing restarts in {} with {}",
            counted(
                workloads,
                if answer.workloads.is_empty() { "workload" } else { "other workload" }
            ),
            counted(answer.untouched_pods, "pod")
        ),
    };
    text
}

fn workload_line(workload: &PlannedWorkload) -> String {
    let PlannedWorkload { kind, namespace, name, pods_before, pods_after, .. } = workload;
    let mut line = format!("{kind} {namespace}/{name}: {pods_before} \u{2192} {pods_after} pods");
    let mut say = |count: usize, what: String| {
        if count > 0 {
            let _ = write!(line, ", {what}");
        }
    };
    say(workload.pods_kept, format!("{} untouched", workload.pods_kept));
    say(workload.started.len(), format!("start {}", by_node(&workload.started)));
    say(workload.stopped.len(), format!("stop {}", by_node(&workload.stopped)));
    say(workload.pods_unplaced, format!("{} without a place", workload.pods_unplaced));
    if let Some(waits) = &workload.waits {
        let _ = write!(line, ": {waits}");
    }
    line
}

fn by_node(counts: &BTreeMap<String, usize>) -> String {
    let shown = counts.iter().map(|(node, count)| format!("{count} on {node}"));
    shown.collect::<Vec<String>>().join(" and ")
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn end(answer: &PlanAnswer) -> String {
    match &*answer.outcome {
        "Healthy" => "It fits, and everything would be healthy.\n".to_owned(),
        "Waiting" => {
            "It does not come to an end: something would wait, as told above.\n".to_owned()
        }
        "Failed" => {
            let message = answer.message.as_deref().unwrap_or("no reason is known");
            format!("It would fail: {message}\n")
        }
        "Rejected" => "It would be rejected, and what runs would stay.\n".to_owned(),
        _ => "It takes too many steps to tell how it ends.\n".to_owned(),
    }
}
