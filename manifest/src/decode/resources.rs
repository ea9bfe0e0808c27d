//! What a container reserves and may use at most.

use dugout_model::ContainerResources;

use crate::problems::quoted;
use crate::quantity::Quantity;
use crate::reader::{Object, Value};

#[derive(Clone, Copy, Default)]
struct Amounts {
    cpu_millis: Option<u64>,
    memory_bytes: Option<u64>,
}

/// Requests default to limits, each resource for itself.
pub(super) fn read(resources: &Object<'_>) -> ContainerResources {
    let read = |name| resources.field(name).map(|value| read_amounts(&value)).unwrap_or_default();
    let (requests, limits): (Amounts, Amounts) = (read("requests"), read("limits"));
    ContainerResources {
        cpu_request_millis: requests.cpu_millis.or(limits.cpu_millis).unwrap_or(0),
        memory_request_bytes: requests.memory_bytes.or(limits.memory_bytes).unwrap_or(0),
        cpu_limit_millis: limits.cpu_millis,
        memory_limit_bytes: limits.memory_bytes,
    }
}

fn read_amounts(value: &Value<'_>) -> Amounts {
    let mut amounts = Amounts::default();
    value.each_entry(|key, value| {
        let Some(quantity) = value.as_written().and_then(|text| Quantity::parse(text).ok()) else {
            return;
        };
        match key {
            "cpu" => match quantity.millis() {
                Ok(millis) => amounts.cpu_millis = Some(millis),
                Err(_) => value.fail("is too large"),
            },
            "memory" => {
                if !quantity.is_whole() {
                    let hint = "m means a thousandth; Mi is mebibytes";
                    value.notice_with("is a fraction of a byte, and is rounded up", hint);
                }
                amounts.memory_bytes = quantity.units().ok();
            }
            other => value.fail(format!(
                "{} is not supported: Dugout reserves and limits cpu and memory",
                quoted(other)
            )),
        }
    });
    amounts
}
