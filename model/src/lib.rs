//! The nouns of Dugout, as plain values: what was asked (objects), what was chosen (replica sets,
//! pods, placements) and what was seen (statuses), each with exactly one writer.
//!
//! Nothing here does I/O, reads a clock or makes a random number, and nothing derives serde: the
//! serialised forms live at the edges (`manifest`, `wire`, `store`, `api`).

mod assignment;
mod chain;
mod change;
mod cron_schedule;
mod disruption;
mod drain;
mod fact;
mod forecast;
mod host_port;
mod ids;
mod image;
mod job;
mod lifecycle;
mod limit_range;
mod node;
mod object;
mod peer;
mod pod;
mod pod_names;
mod problem;
mod quantity;
mod quota;
mod release;
mod room;
mod secret;
mod security;
mod sorted_map;
mod source;
mod status;
mod storage;
mod template;
mod time;
mod timeline;
mod volume;
mod workload;
mod world;

pub use assignment::*;
pub use chain::*;
pub use change::*;
pub use cron_schedule::*;
pub use disruption::*;
pub use drain::*;
pub use fact::*;
pub use forecast::*;
pub use host_port::*;
pub use ids::*;
pub use image::*;
pub use job::*;
pub use lifecycle::*;
pub use limit_range::*;
pub use node::*;
pub use object::*;
pub use peer::*;
pub use pod::*;
pub use pod_names::*;
pub use problem::*;
pub use quantity::*;
pub use quota::*;
pub use release::*;
pub use room::{CapacityClass, scarcest_use};
pub use secret::*;
pub use security::*;
pub use sorted_map::SortedMap;
pub use source::*;
pub use status::*;
pub use storage::*;
pub use template::*;
pub use time::*;
pub use timeline::*;
pub use volume::*;
pub use workload::*;
pub use world::*;
