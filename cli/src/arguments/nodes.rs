//! What can be done with nodes, and with the tokens with which their agents join.

use std::time::Duration;

use clap::Subcommand;

use super::span;

#[derive(Clone, Debug, Subcommand)]
pub enum NodeCommand {
    /// Keep new pods off a node
    Cordon { name: String },
    /// Let new pods onto a node again; what a drain has moved away does not come back
    Uncordon { name: String },
    /// Keep new pods off a node and move away what runs there, as far as disruption budgets allow, until
    /// uncordon; a daemon set's pods stay
    Drain {
        name: String,
        /// How long to wait for the last pod; the drain goes on after that
        #[arg(long, value_name = "SPAN", value_parser = span, default_value = "1d")]
        timeout: Duration,
        /// Do not wait, whatever the timeout
        #[arg(long)]
        no_wait: bool,
    },
    /// Forget a node that is not ready and will not come back, with what it ran: pods that may exist only
    /// once, as those of a stateful set, then start elsewhere; make sure that the machine is off
    Delete { name: String },
}

#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token with which agents may join, and print it
    Create {
        /// How long agents may join with it, as 24h [default: until it is revoked]
        #[arg(long, value_name = "SPAN", value_parser = span)]
        valid_for: Option<Duration>,
    },
    /// List the tokens by name; the tokens themselves are kept nowhere
    List,
    /// Refuse a token from now on: an agent that holds it goes on with what it was last told, and its node
    /// is lost after the node timeout
    Revoke { name: String },
}
