//! What happened, turned into changes. A fact changes a row only when it says something new, so that
//! saying it again costs nothing.

mod budget;
mod immutable;
mod node;
mod operator;
mod repeated;
mod report;
mod revision;
mod source;
mod went_back;

use dugout_model::Fact;

pub(crate) use immutable::takes_back_commit;

use crate::draft::Draft;
use crate::way_back;

/// Applies the facts in the order in which they came.
pub(crate) fn apply(draft: &mut Draft<'_>, facts: &[Fact]) {
    for fact in facts {
        match fact {
            Fact::SourceDeclared(declaration) => source::declared(draft, declaration),
            Fact::SourceSeen { source, head, condition } => {
                source::seen(draft, source, head.as_ref(), condition);
            }
            Fact::Revision(revision) => revision::apply(draft, revision),
            Fact::RevertNotPushed { source, failed, why } => {
                way_back::not_pushed(draft, source, failed, why);
            }
            Fact::WentBack(asked) => went_back::apply(draft, asked),
            Fact::NodeJoined(registration) => node::joined(draft, registration),
            Fact::Report(report) => report::apply(draft, report),
            Fact::Operator(request) => operator::apply(draft, request),
        }
    }
}
