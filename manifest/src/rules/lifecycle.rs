//! What containers do when they begin and before they end, against what their pod says.

use crate::validate::View;

/// What Kubernetes takes for the grace period where none is written.
const DEFAULT_GRACE_SECONDS: i64 = 30;

pub(super) fn check(spec: &View<'_>) {
    let grace = spec.int("terminationGracePeriodSeconds").unwrap_or(DEFAULT_GRACE_SECONDS);
    let has_os = spec.has("os");
    for list in ["containers", "initContainers"] {
        spec.each(list, |container| {
            container.within("lifecycle", |lifecycle| {
                for hook in ["postStart", "preStop"] {
                    lifecycle.within(hook, |hook| check_sleep(hook, grace));
                }
                if lifecycle.is_filled("stopSignal") && !has_os {
                    lifecycle.fail_at(
                        "stopSignal",
                        "needs the pod's os",
                        "write os: {name: linux} in the pod's spec, as Kubernetes asks for",
                    );
                }
            });
        });
    }
}

fn check_sleep(hook: &View<'_>, grace_seconds: i64) {
    hook.within("sleep", |sleep| {
        if sleep.int("seconds").is_some_and(|seconds| seconds > grace_seconds) {
            sleep.fail_at(
                "seconds",
                "must not be more than the pod's terminationGracePeriodSeconds",
                "sleep less, or raise the grace period",
            );
        }
    });
}
