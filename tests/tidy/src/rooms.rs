//! Which room may import which: of ours, and of the tools that only one room may see.

use std::collections::BTreeMap;

use crate::tree::{metadata, root};

/// What each room may import of ours. The arrows point only downwards.
const ARROWS: [(&str, &[&str]); 16] = [
    ("model", &[]),
    ("manifest", &["model"]),
    ("planner", &["model"]),
    ("wire", &["model"]),
    ("clock", &["model"]),
    ("store", &["model"]),
    ("gitsync", &["model"]),
    ("webhook", &["model"]),
    ("agent", &["model", "wire", "clock"]),
    (
        "reconciler",
        &["model", "manifest", "planner", "wire", "clock", "store", "gitsync", "webhook"],
    ),
    ("api", &["model"]),
    (
        "cli",
        &[
            "model",
            "manifest",
            "planner",
            "wire",
            "clock",
            "store",
            "gitsync",
            "webhook",
            "agent",
            "reconciler",
            "api",
        ],
    ),
    ("demo-web", &[]),
    ("tidy", &[]),
    ("simulator", &["model", "planner", "store", "agent", "reconciler"]),
    (
        "tests",
        &[
            "model",
            "manifest",
            "planner",
            "wire",
            "clock",
            "store",
            "gitsync",
            "webhook",
            "agent",
            "reconciler",
            "api",
            "cli",
            "demo-web",
        ],
    ),
];

/// The tools that only some rooms may see. `deny.toml` says the same to cargo-deny.
const TOOLS: [(&str, &[&str]); 5] = [
    ("axum", &["webhook", "reconciler", "api", "cli"]),
    ("bollard", &["agent"]),
    ("git2", &["gitsync"]),
    ("libgit2-sys", &[]),
    ("sqlx", &["store"]),
];

/// What the pure rooms may not see, however it is used.
const IMPURE: [&str; 7] = ["tokio", "rand", "chrono", "reqwest", "hyper", "socket2", "libc"];
const PURE_ROOMS: [&str; 4] = ["model", "manifest", "planner", "wire"];

struct Dependency {
    room: String,
    on: String,
    /// Needed by the room's tests alone.
    for_tests: bool,
}

#[test]
fn a_room_imports_only_the_rooms_below_it() {
    let arrows = BTreeMap::from(ARROWS);
    let mut wrong = Vec::new();
    for dependency in dependencies() {
        let Some(allowed) = arrows.get(dependency.room.as_str()) else {
            wrong.push(format!("{}/Cargo.toml: the room is not in ARROWS", dependency.room));
            continue;
        };
        let Some(other) = dependency.on.strip_prefix("dugout-") else { continue };
        if !allowed.contains(&other) {
            let room = &dependency.room;
            wrong.push(format!("{room}/Cargo.toml: {room} may not import {other}"));
        }
    }
    crate::report(&wrong, "move the code to a room that may, or hand the value in from above");
}

#[test]
fn a_tool_is_seen_only_by_the_rooms_that_own_it() {
    let tools = BTreeMap::from(TOOLS);
    let mut wrong = Vec::new();
    for dependency in dependencies() {
        let (room, on) = (dependency.room.as_str(), dependency.on.as_str());
        if tools.get(on).is_some_and(|rooms| !rooms.contains(&room)) {
            wrong.push(format!("{room}/Cargo.toml: {on} belongs to {}", tools[on].join(", ")));
        }
        if PURE_ROOMS.contains(&room) && IMPURE.contains(&on) && !dependency.for_tests {
            wrong.push(format!("{room}/Cargo.toml: {room} is pure and may not see {on}"));
        }
    }
    crate::report(&wrong, "use the owning room's interface");
}

#[test]
fn deny_toml_names_the_same_owners() {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let mut wrong = Vec::new();
    for (tool, rooms) in TOOLS {
        let start = format!("{{ crate = \"{tool}\", wrappers = [");
        let Some((_, rest)) = text.split_once(&start) else {
            wrong.push(format!("deny.toml: no line that begins with {start}"));
            continue;
        };
        let list = rest.split(']').next().unwrap_or_default();
        for room in rooms {
            if !list.contains(&format!("\"dugout-{room}\"")) {
                wrong.push(format!(
                    "deny.toml: dugout-{room} is missing from the wrappers of {tool}"
                ));
            }
        }
        for name in list.split('"').filter_map(|name| name.strip_prefix("dugout-")) {
            if !rooms.contains(&name) {
                wrong.push(format!("deny.toml: dugout-{name} may not wrap {tool}"));
            }
        }
    }
    crate::report(&wrong, "make deny.toml and TOOLS of tests/tidy equal");
}

/// Every direct dependency of every room.
fn dependencies() -> Vec<Dependency> {
    let mut dependencies = Vec::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let room = package["name"].as_str().unwrap().trim_start_matches("dugout-");
        for dependency in package["dependencies"].as_array().unwrap() {
            dependencies.push(Dependency {
                room: room.to_owned(),
                on: dependency["name"].as_str().unwrap().to_owned(),
                for_tests: dependency["kind"] == "dev",
            });
        }
    }
    dependencies
}
