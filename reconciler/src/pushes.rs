//! A push webhook wakes the sources that it may concern. Its payload is only a hint.

use std::collections::BTreeMap;

use dugout_model::{NoticedBy, SourceName, Timestamp};
use dugout_webhook::{PushHint, Wakening};

use crate::SourceHandle;
use crate::handle::Leading;

/// Rings at the sources that a push may concern, unless their loops would not hear it.
pub(crate) fn wake(
    leading: &Leading,
    sources: &BTreeMap<SourceName, SourceHandle>,
    hint: &PushHint,
    now: Timestamp,
) -> Wakening {
    if *leading != Leading::Here {
        return Wakening::StandingBy;
    }
    for handle in hint.concerned(sources.values(), |handle| &handle.mirror.config.declaration) {
        handle.doorbell.ring(NoticedBy::Webhook, now);
    }
    Wakening::Woke
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use dugout_gitsync::{Credentials, Doorbell, Location};
    use dugout_manifest::Policy;
    use dugout_model::{Drift, OnFailure, SourceDeclaration};
    use tokio::sync::watch;

    use super::*;
    use crate::sources::{SharedMirror, SourceConfig};

    fn handle(branch: &str) -> SourceHandle {
        let url = "https://host/team/app";
        let declaration = SourceDeclaration {
            name: SourceName::new(branch),
            url: url.to_owned(),
            branch: branch.to_owned(),
            path: String::new(),
            poll_interval: Duration::from_secs(60),
            on_failure: OnFailure::default(),
            drift: Drift::default(),
        };
        let config = SourceConfig {
            declaration,
            location: Location::parse(url).unwrap(),
            credentials: Credentials::default(),
            policy: Policy::default(),
        };
        let mirror = Arc::new(SharedMirror::new(config, "/nowhere".into()));
        SourceHandle::new(watch::channel(false).1, mirror, Arc::new(Doorbell::new()))
    }

    fn rung(leading: &Leading) -> (Wakening, Vec<String>) {
        let sources: BTreeMap<_, _> =
            ["main", "next"].map(|branch| (SourceName::new(branch), handle(branch))).into();
        let hint = PushHint {
            reference: Some("refs/heads/main".to_owned()),
            repositories: vec!["team/app".to_owned()],
        };
        let wakening = wake(leading, &sources, &hint, Timestamp::from_micros(1));
        let heard = sources.iter().filter(|(_, handle)| handle.doorbell.take().is_some());
        (wakening, heard.map(|(name, _)| name.to_string()).collect())
    }

    #[test]
    fn only_a_leader_rings_and_only_where_the_push_was() {
        assert_eq!(rung(&Leading::Here), (Wakening::Woke, vec!["main".to_owned()]));
        let standby =
            Leading::Elsewhere { holder: "other".to_owned(), since: Timestamp::from_micros(0) };
        assert_eq!(rung(&standby), (Wakening::StandingBy, vec![]));
    }
}
