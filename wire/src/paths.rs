//! The paths of the protocol, as routes for the server and as builders for the agent.

use dugout_model::NodeName;
use uuid::Uuid;

pub const REGISTER_ROUTE: &str = "/agent/v1/nodes/{name}/register";
pub const ASSIGNMENT_ROUTE: &str = "/agent/v1/nodes/{name}/assignment";
pub const REPORT_ROUTE: &str = "/agent/v1/nodes/{name}/report";
pub const STREAMS_ROUTE: &str = "/agent/v1/nodes/{name}/streams";
pub const STREAM_ROUTE: &str = "/agent/v1/streams/{id}";
pub const SESSION_ROUTE: &str = "/agent/v1/sessions/{id}";

/// `POST` a registration.
pub fn register(node: &NodeName) -> String {
    format!("/agent/v1/nodes/{node}/register")
}

/// `GET` the assignment; the query is an [`crate::AssignmentQuery`].
pub fn assignment(node: &NodeName) -> String {
    format!("/agent/v1/nodes/{node}/assignment")
}

/// `POST` a report.
pub fn report(node: &NodeName) -> String {
    format!("/agent/v1/nodes/{node}/report")
}

/// `GET` the next stream that somebody asks this node for; the query is a [`crate::StreamsQuery`].
pub fn streams(node: &NodeName) -> String {
    format!("/agent/v1/nodes/{node}/streams")
}

/// `POST` the bytes of a stream; the query is a [`crate::StreamQuery`].
pub fn stream(id: Uuid) -> String {
    format!("/agent/v1/streams/{id}")
}

/// `GET`, upgraded to a WebSocket that carries a session.
pub fn session(id: Uuid) -> String {
    format!("/agent/v1/sessions/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builder_fills_its_route() {
        let node = NodeName::new("node-1");
        let id = Uuid::from_u128(7);
        let fill =
            |route: &str| route.replace("{name}", node.as_str()).replace("{id}", &id.to_string());
        assert_eq!(register(&node), fill(REGISTER_ROUTE));
        assert_eq!(assignment(&node), fill(ASSIGNMENT_ROUTE));
        assert_eq!(report(&node), fill(REPORT_ROUTE));
        assert_eq!(streams(&node), fill(STREAMS_ROUTE));
        assert_eq!(stream(id), fill(STREAM_ROUTE));
        assert_eq!(session(id), fill(SESSION_ROUTE));
    }
}
