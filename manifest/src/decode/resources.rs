//! What a container reserves and may use at most.

use dugout_model::ContainerResources;

use crate::problems::quoted;
use crate::quantity::{NoQuantity, Quantity};
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
    let above = |request: Option<u64>, limit: Option<u64>| {
        request.zip(limit).is_some_and(|(request, limit)| request > limit)
    };
    let hint = "raise the limit or lower the request";
    if above(requests.cpu_millis, limits.cpu_millis) {
        resources.fail_at("requests", "cpu is requested beyond its limit", hint);
    }
    if above(requests.memory_bytes, limits.memory_bytes) {
        resources.fail_at("requests", "memory is requested beyond its limit", hint);
    }
    ContainerResources {
        cpu_request_millis: requests.cpu_millis.or(limits.cpu_millis).unwrap_or(0),
        memory_request_bytes: requests.memory_bytes.or(limits.memory_bytes).unwrap_or(0),
        cpu_limit_millis: limits.cpu_millis,
        memory_limit_bytes: limits.memory_bytes,
    }
}

fn read_amounts(value: &Value<'_>) -> Amounts {
    let mut amounts = Amounts::default();
    value.each_entry(|key, value| match key {
        "cpu" => amounts.cpu_millis = read_quantity(&value, Quantity::millis),
        "memory" => {
            amounts.memory_bytes = read_quantity(&value, |quantity| {
                if !quantity.is_whole() {
                    let hint = "m means a thousandth; Mi is mebibytes";
                    value.notice_with("is a fraction of a byte, and is rounded up", hint);
                }
                quantity.units()
            });
        }
        other => value.fail(format!(
            "{} is not supported: Dugout reserves and limits cpu and memory",
            quoted(other)
        )),
    });
    amounts
}

fn read_quantity(
    value: &Value<'_>,
    amount: impl FnOnce(Quantity) -> Result<u64, NoQuantity>,
) -> Option<u64> {
    let text = value.number_or_text()?;
    match Quantity::parse(text).and_then(amount) {
        Ok(amount) => Some(amount),
        Err(NoQuantity::Malformed) => {
            let message = format!("{} is not a quantity", value.quote(text));
            value.fail_with(message, "write one like 250m, 0.5, 128Mi or 1Gi");
            None
        }
        Err(NoQuantity::Negative) => {
            value.fail(format!("must not be negative, as {} is", value.quote(text)));
            None
        }
        Err(NoQuantity::TooLarge) => {
            value.fail(format!("{} is too large", value.quote(text)));
            None
        }
    }
}
