//! What the end-to-end tests and the benchmark stand on: a running Dugout each, its repository, its
//! visitors, and servers that a test needs.

#![allow(clippy::expect_used, clippy::panic, reason = "a failure here fails the test that uses it")]

pub mod application;
pub mod balancer;
pub mod engine;
pub mod git_server;
pub mod http;
pub mod images;
pub mod load;
pub mod postgres;
pub mod postgres_image;
pub mod private_engine;
pub mod registry;
pub mod repository;
pub mod rig;
pub mod second_agent;
pub mod served;
pub mod statistics;
pub mod tls_proxy;
