//! What a pod's failure means for its job: the first rule of the job's `podFailurePolicy` that
//! matches decides, and without one it counts against the back-off limit.

use dugout_model::{ContainerState, Pod, PodFailureAction, PodFailureMatch, PodFailureRule, Seen};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Counts,
    Ignored,
    FailsJob { message: String },
}

/// Judges a pod that failed, or one that was disrupted.
pub(crate) fn judge(rules: &[PodFailureRule], pod: &Pod, is_disrupted: bool) -> Judgement {
    let exits = exits(pod);
    let matched = rules.iter().enumerate().find_map(|(index, rule)| {
        let what = match &rule.when {
            PodFailureMatch::Disrupted => is_disrupted.then(|| "its node was lost".to_owned()),
            _ if is_disrupted => None,
            PodFailureMatch::ExitCodeIn { container, codes } => {
                exit_of(&exits, container.as_deref(), |code| codes.contains(&code))
            }
            PodFailureMatch::ExitCodeNotIn { container, codes } => {
                exit_of(&exits, container.as_deref(), |code| !codes.contains(&code))
            }
        };
        Some((index, rule.action, what?))
    });
    match matched {
        None | Some((_, PodFailureAction::Count, _)) => Judgement::Counts,
        Some((_, PodFailureAction::Ignore, _)) => Judgement::Ignored,
        Some((index, PodFailureAction::FailJob, what)) => Judgement::FailsJob {
            message: format!(
                "Pod {}: {what}, and rule {index} of podFailurePolicy fails the job",
                pod.name
            ),
        },
    }
}

/// The containers that ended badly, with their codes.
fn exits(pod: &Pod) -> Vec<(&str, i64)> {
    let status = match &pod.seen {
        Seen::Known(status) | Seen::Unknown { last: Some(status), .. } => status,
        Seen::Absent | Seen::Unknown { last: None, .. } => return Vec::new(),
    };
    let exit = |container: &'_ dugout_model::ContainerStatus| match &container.state {
        ContainerState::Terminated(exit) => Some(exit.exit_code),
        ContainerState::Waiting { .. } | ContainerState::Running { .. } => None,
    };
    status
        .all_containers()
        .filter_map(|container| Some((container.name.as_str(), exit(container)?)))
        .filter(|(_, code)| *code != 0)
        .collect()
}

fn exit_of(
    exits: &[(&str, i64)],
    container: Option<&str>,
    admits: impl Fn(i64) -> bool,
) -> Option<String> {
    exits
        .iter()
        .filter(|(name, _)| container.is_none_or(|wanted| wanted == *name))
        .find(|(_, code)| admits(*code))
        .map(|(name, code)| format!("container {name} ended with exit code {code}"))
}
