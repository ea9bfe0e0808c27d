//! What proves Dugout as a whole: the tidy test, end-to-end tests and benchmarks. Nothing imports it.
