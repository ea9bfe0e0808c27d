//! Random stateful sets, daemon sets, replica sets and bare pods.

use dugout_model::*;
use proptest::prelude::{Just, any, prop_oneof};
use proptest::strategy::Strategy as Generator;

use super::NODES;
use crate::harness::objects::*;
use crate::harness::seconds;

/// What a random commit asks of the kinds that choose pod by pod.
#[derive(Clone, Debug)]
pub struct AskedSets {
    image: &'static str,
    replicas: u32,
    first_ordinal: u32,
    partition: u32,
    unavailable: u32,
    surge: u32,
    on_delete: bool,
    min_ready: u64,
    only_on: Option<usize>,
    /// A bare pod with the name of a stateful set's first.
    with_rival: bool,
}

pub fn asked_sets() -> impl Generator<Value = AskedSets> {
    let images = prop_oneof![
        4 => Just("set:1"),
        4 => Just("set:2"),
        1 => Just("set:missing"),
        2 => Just("set:unready"),
        1 => Just("set:flaps"),
    ];
    (
        (images, 0..5_u32, 0..2_u32, prop_oneof![3 => Just(0), 1 => 0..4_u32]),
        (0..3_u32, 0..2_u32, proptest::bool::weighted(0.2)),
        (prop_oneof![2 => Just(0), 1 => Just(2)], proptest::option::weighted(0.2, 0..NODES.len())),
        any::<bool>(),
    )
        .prop_map(
            |(
                (image, replicas, first_ordinal, partition),
                (unavailable, surge, on_delete),
                (min_ready, only_on),
                with_rival,
            )| AskedSets {
                image,
                replicas,
                first_ordinal,
                partition,
                unavailable,
                surge,
                on_delete,
                min_ready,
                only_on,
                with_rival,
            },
        )
}

impl AskedSets {
    /// What the last commit asks for: eleven pods on three nodes.
    pub fn good() -> Self {
        Self {
            image: "set:9",
            replicas: 2,
            first_ordinal: 0,
            partition: 0,
            unavailable: 1,
            surge: 0,
            on_delete: false,
            min_ready: 0,
            only_on: None,
            with_rival: false,
        }
    }

    pub fn objects(&self) -> Vec<DeclaredObject> {
        let ordered = db(self.replicas, self.image, |spec| self.fill(spec));
        let mut parallel = db(self.replicas + 1, self.image, |spec| {
            self.fill(spec);
            spec.pod_management = PodManagement::Parallel;
        });
        parallel.key.name = ObjectName::new("cache");
        // One that was ready keeps its template for ever, and this one would never come to rest.
        let image = if self.image == "set:flaps" { "set:1" } else { self.image };
        let pod = bare(if self.with_rival { "db-0" } else { "tool" }, self.image);
        vec![ordered, parallel, self.logs(), declared_set(self.replicas, image), pod]
    }

    fn fill(&self, spec: &mut StatefulSet) {
        spec.first_ordinal = self.first_ordinal;
        spec.min_ready = seconds(self.min_ready);
        spec.revision_history_limit = 1;
        spec.update = if self.on_delete {
            StatefulSetUpdate::OnDelete
        } else {
            StatefulSetUpdate::RollingUpdate {
                partition: self.partition,
                max_unavailable: IntOrPercent::Int(self.unavailable),
            }
        };
    }

    fn logs(&self) -> DeclaredObject {
        logs(self.image, |spec| {
            spec.min_ready = seconds(self.min_ready);
            spec.revision_history_limit = 1;
            let selected = self.only_on.map(|node| ("name".to_owned(), NODES[node].to_owned()));
            spec.template.node_selector = selected.into_iter().collect();
            spec.update = if self.on_delete {
                DaemonSetUpdate::OnDelete
            } else {
                DaemonSetUpdate::RollingUpdate {
                    max_surge: IntOrPercent::Int(self.surge),
                    max_unavailable: IntOrPercent::Int(self.unavailable),
                }
            };
        })
    }
}
