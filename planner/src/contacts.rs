//! The volatile part of what nodes say. It never reaches the database, so that a heartbeat costs no
//! write.

use std::collections::BTreeMap;

use dugout_model::{Contact, Contacts, Fact, NodeReport, Timestamp, Turn};

/// Notes what a fact says of a node's liveliness. The caller hands over only reports of the agent
/// instance that holds the node's name: another's would keep a lost node alive.
pub fn note(contacts: &mut Contacts, fact: &Fact, now: Timestamp) {
    match fact {
        // Whatever its proxies used before, a new start of an agent has yet to acknowledge.
        Fact::NodeJoined(registration) => {
            let contact = Contact {
                last_report: now,
                engine_answered: now,
                acknowledged: Turn(0),
                connections: BTreeMap::new(),
            };
            contacts.insert(registration.name.clone(), contact);
        }
        Fact::Report(report) => note_report(contacts, report, now),
        Fact::SourceDeclared(_)
        | Fact::SourceSeen { .. }
        | Fact::Revision(_)
        | Fact::RevertNotPushed { .. }
        | Fact::WentBack(_)
        | Fact::Operator(_) => {}
    }
}

fn note_report(contacts: &mut Contacts, report: &NodeReport, now: Timestamp) {
    let answered_before = contacts.get(&report.node).map(|contact| contact.engine_answered);
    let engine_answered = match (report.engine_answers, answered_before) {
        // An agent whose engine is silent from its first report on gets the whole timeout.
        (true, _) | (false, None) => now,
        (false, Some(before)) => before,
    };
    let connections = report
        .pods
        .iter()
        .filter(|(_, pod)| pod.connections > 0)
        .map(|(uid, pod)| (*uid, pod.connections))
        .collect();
    let contact = Contact {
        last_report: now,
        engine_answered,
        acknowledged: report.acknowledged,
        connections,
    };
    contacts.insert(report.node.clone(), contact);
}
