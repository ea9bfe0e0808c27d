//! The arguments that say when images go.

use std::time::Duration;

use clap::Args;
use dugout_agent::image_gc::ImageGcPolicy;

use crate::arguments::span;

/// When images go that Dugout pulled and nobody uses
#[derive(Clone, Debug, Args)]
pub struct ImageGcArguments {
    /// How full the disk of the images is when unused ones go, in percent; 100 for never
    #[arg(long, value_name = "PERCENT", default_value_t = 85,
          value_parser = clap::value_parser!(u8).range(1..=100))]
    pub image_gc_high_threshold: u8,
    /// How full it may stay
    #[arg(long, value_name = "PERCENT", default_value_t = 80,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub image_gc_low_threshold: u8,
    /// How long an image stays that is not used; a number with ms, s, m, h or d
    #[arg(long, value_name = "SPAN", default_value = "2m", value_parser = span)]
    pub minimum_image_age: Duration,
}

impl ImageGcArguments {
    pub fn policy(&self) -> ImageGcPolicy {
        ImageGcPolicy {
            high_percent: self.image_gc_high_threshold,
            // One mark above the other says nothing else than that they are one.
            low_percent: self.image_gc_low_threshold.min(self.image_gc_high_threshold),
            minimum_age: self.minimum_image_age,
        }
    }
}
