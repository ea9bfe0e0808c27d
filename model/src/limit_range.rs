//! Limits of a namespace: what containers get that say nothing, and what each of them, each pod and each
//! claim may ask.

use crate::{ContainerResources, ResourceAmounts};

/// A `v1` LimitRange, with the defaults that an API server derives from its bounds filled in.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LimitRange {
    pub limits: Box<[LimitRangeItem]>,
}

/// What holds for each container, each pod or each claim of the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRangeItem {
    pub limit_type: LimitType,
    /// What each requests at least; it must request some.
    pub min: ResourceAmounts,
    /// What the limit of each is at most; it must have one.
    pub max: ResourceAmounts,
    /// The limits of a container that has none.
    pub default_limits: ResourceAmounts,
    /// The requests of a container that has none.
    pub default_requests: ResourceAmounts,
    /// How often the request may be in the limit, in thousandths of every resource.
    pub max_limit_request_ratio: ResourceAmounts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitType {
    Container,
    /// The containers of a pod together.
    Pod,
    PersistentVolumeClaim,
}

impl LimitType {
    /// As in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            LimitType::Container => "Container",
            LimitType::Pod => "Pod",
            LimitType::PersistentVolumeClaim => "PersistentVolumeClaim",
        }
    }
}

/// What a container gets that does not say it: of several ranges the first one that has a word on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ContainerDefaults {
    pub cpu_limit_millis: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    pub cpu_request_millis: Option<u64>,
    pub memory_request_bytes: Option<u64>,
}

/// Which requests a container states, by itself or by a limit that stands in for one: a request of nothing
/// is a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StatedRequests {
    pub cpu: bool,
    pub memory: bool,
}

impl ContainerDefaults {
    /// Of ranges in the order in which they are asked.
    pub fn of<'a>(ranges: impl IntoIterator<Item = &'a LimitRange>) -> Self {
        let mut defaults = Self::default();
        let items = ranges.into_iter().flat_map(|range| range.limits.iter());
        for item in items.filter(|item| item.limit_type == LimitType::Container) {
            let take = |place: &mut Option<u64>, amounts: &ResourceAmounts, resource| {
                *place = place.or_else(|| amounts.get(resource).copied());
            };
            take(&mut defaults.cpu_limit_millis, &item.default_limits, "cpu");
            take(&mut defaults.memory_limit_bytes, &item.default_limits, "memory");
            take(&mut defaults.cpu_request_millis, &item.default_requests, "cpu");
            take(&mut defaults.memory_request_bytes, &item.default_requests, "memory");
        }
        defaults
    }

    /// The resources of a container with what it does not say filled in.
    pub fn fill(
        &self,
        resources: ContainerResources,
        stated: StatedRequests,
    ) -> ContainerResources {
        let request = |own: u64, is_stated: bool, default: Option<u64>| match is_stated {
            true => own,
            false => default.unwrap_or(own),
        };
        ContainerResources {
            cpu_request_millis: request(
                resources.cpu_request_millis,
                stated.cpu,
                self.cpu_request_millis,
            ),
            memory_request_bytes: request(
                resources.memory_request_bytes,
                stated.memory,
                self.memory_request_bytes,
            ),
            cpu_limit_millis: resources.cpu_limit_millis.or(self.cpu_limit_millis),
            memory_limit_bytes: resources.memory_limit_bytes.or(self.memory_limit_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(limits: &[(&str, u64)], requests: &[(&str, u64)]) -> LimitRange {
        let amounts = |all: &[(&str, u64)]| all.iter().copied().collect::<ResourceAmounts>();
        let item = LimitRangeItem {
            limit_type: LimitType::Container,
            min: ResourceAmounts::default(),
            max: ResourceAmounts::default(),
            default_limits: amounts(limits),
            default_requests: amounts(requests),
            max_limit_request_ratio: ResourceAmounts::default(),
        };
        LimitRange { limits: Box::new([item]) }
    }

    #[test]
    fn of_several_ranges_the_first_word_counts() {
        let ranges = [range(&[("cpu", 500)], &[]), range(&[("cpu", 900), ("memory", 7)], &[])];
        let defaults = ContainerDefaults::of(&ranges);
        assert_eq!((defaults.cpu_limit_millis, defaults.memory_limit_bytes), (Some(500), Some(7)));
    }

    #[test]
    fn what_a_container_states_stays_also_when_it_is_nothing() {
        let defaults =
            ContainerDefaults::of(&[range(&[("cpu", 500)], &[("cpu", 100), ("memory", 9)])]);
        let own = ContainerResources { cpu_limit_millis: Some(300), ..Default::default() };
        let filled = defaults.fill(own, StatedRequests { cpu: true, memory: false });
        let expected = ContainerResources {
            cpu_request_millis: 0,
            memory_request_bytes: 9,
            cpu_limit_millis: Some(300),
            memory_limit_bytes: None,
        };
        assert_eq!(filled, expected);
    }
}
