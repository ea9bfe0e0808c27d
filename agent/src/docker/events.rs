//! What the engine says that happened.

use std::collections::HashMap;

use bollard::models::{EventMessage, EventMessageTypeEnum};

use crate::labels::{ContainerLabels, Owner};
use crate::runtime::{EngineEvent, EngineEventKind, Signalled};

/// What is asked for. A filter by label would leave out all events of networks: these do not carry the
/// labels of a container.
pub(super) fn filters() -> HashMap<String, Vec<String>> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    const ACTIONS: [&str; 10] = [
        "start",
        "kill",
        "die",
        "oom",
        "destroy",
        "pause",
        "unpause",
        "update",
        "connect",
        "disconnect",
    ];
    HashMap::from([
        ("type".to_owned(), words(&["container", "network"])),
        ("event".to_owned(), words(&ACTIONS)),
    ])
}

/// The event of a container of this owner, or of a network and whatever container.
pub(super) fn engine_event(message: EventMessage, owner: &Owner) -> Option<EngineEvent> {
    let actor = message.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    if message.typ == Some(EventMessageTypeEnum::NETWORK) {
        let container = attributes.get("container")?.clone();
        return Some(EngineEvent { container, kind: EngineEventKind::NetworksChanged });
    }
    ContainerLabels::from_map(&attributes, owner)?;
    let kind = match message.action.as_deref()? {
        "start" => EngineEventKind::Started,
        "kill" => signalled(&attributes).map_or(EngineEventKind::Other, EngineEventKind::Signalled),
        "die" => EngineEventKind::Died,
        "destroy" => EngineEventKind::Removed,
        _ => EngineEventKind::Other,
    };
    Some(EngineEvent { container: actor.id?, kind })
}

/// What the signal of a kill event asks for, if it ends a process that does not handle it specially.
fn signalled(attributes: &HashMap<String, String>) -> Option<Signalled> {
    match attributes.get("signal")?.as_str() {
        // INT, QUIT, TERM: an image says with which of them it is stopped.
        "2" | "3" | "15" => Some(Signalled::Stop),
        // ABRT, KILL.
        "6" | "9" => Some(Signalled::Kill),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;
    use crate::testing::{container, owner, running};

    fn event(
        typ: EventMessageTypeEnum,
        action: &str,
        attributes: HashMap<String, String>,
    ) -> Option<EngineEvent> {
        let actor = EventActor { id: Some("actor".to_owned()), attributes: Some(attributes) };
        let message = EventMessage {
            typ: Some(typ),
            action: Some(action.to_owned()),
            actor: Some(actor),
            ..EventMessage::default()
        };
        engine_event(message, &owner())
    }

    #[test]
    fn of_containers_only_ours_are_heard() {
        let ours = container(1, 0, running(1)).labels.to_map(&owner());
        let kind =
            |action| Some(event(EventMessageTypeEnum::CONTAINER, action, ours.clone())?.kind);
        assert_eq!(kind("pause"), Some(EngineEventKind::Other));
        assert_eq!(kind("die"), Some(EngineEventKind::Died));
        let theirs = HashMap::from([("name".to_owned(), "db".to_owned())]);
        assert_eq!(event(EventMessageTypeEnum::CONTAINER, "pause", theirs), None);
    }

    #[test]
    fn an_event_of_a_network_is_of_the_container_that_it_names() {
        let attributes = HashMap::from([("container".to_owned(), "c".to_owned())]);
        let heard = event(EventMessageTypeEnum::NETWORK, "disconnect", attributes);
        let kind = EngineEventKind::NetworksChanged;
        assert_eq!(heard, Some(EngineEvent { container: "c".to_owned(), kind }));
        assert_eq!(event(EventMessageTypeEnum::NETWORK, "connect", HashMap::new()), None);
    }
}
