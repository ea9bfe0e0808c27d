//! Random disruption budgets, some of which cover the same pods.

use dugout_model::*;
use proptest::prelude::{Just, any, prop, prop_oneof};
use proptest::strategy::Strategy as Generator;

use crate::harness::objects::declare;

/// What a random commit asks of a budget.
#[derive(Clone, Debug)]
pub struct AskedBudget {
    /// The workload whose pods it covers; those of all without one.
    of: Option<&'static str>,
    limit: DisruptionLimit,
    unhealthy: UnhealthyPodEviction,
}

pub fn asked_budgets() -> impl Generator<Value = Vec<AskedBudget>> {
    prop::collection::vec(asked_budget(), 0..4)
}

fn asked_budget() -> impl Generator<Value = AskedBudget> {
    let of = prop_oneof![
        4 => Just(Some("web")),
        2 => Just(Some("db")),
        1 => Just(Some("set")),
        1 => Just(Some("job")),
        1 => Just(Some("tool")),
        1 => Just(None),
    ];
    let pods = prop_oneof![
        (0..4_u32).prop_map(IntOrPercent::Int),
        prop_oneof![Just(0), Just(30), Just(50), Just(100)].prop_map(IntOrPercent::Percent),
    ];
    (of, pods, any::<bool>(), any::<bool>()).prop_map(|(of, pods, is_least, always)| AskedBudget {
        of,
        limit: match is_least {
            true => DisruptionLimit::MinAvailable(pods),
            false => DisruptionLimit::MaxUnavailable(pods),
        },
        unhealthy: match always {
            true => UnhealthyPodEviction::AlwaysAllow,
            false => UnhealthyPodEviction::IfHealthyBudget,
        },
    })
}

impl AskedBudget {
    pub fn object(&self, number: usize) -> DeclaredObject {
        let labels = self.of.map(|app| ("app".to_owned(), app.to_owned()));
        let match_labels = labels.into_iter().collect();
        let selector = Some(LabelSelector { match_labels, ..LabelSelector::default() });
        let (limit, unhealthy) = (self.limit, self.unhealthy);
        let spec = PodDisruptionBudget { selector, limit, unhealthy };
        let spec = ObjectSpec::PodDisruptionBudget(Box::new(spec));
        declare(&format!("budget-{number}"), spec)
    }
}
