# The two commands that matter: `make up` runs Dugout on this machine, `make test` proves it.
#
# ARGS goes to the program: make up ARGS="--detach --repo ../my-repo"

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help setup up down build check test fuzz simulate bench sqlx fmt

# Where rustup puts Rust, also when the shell has not been told yet.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
# Queries are checked against what `make sqlx` stored, so that no build needs a database.
export SQLX_OFFLINE := true

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
PROGRAMS := $(TARGET_DIR)/dugout
PURE := model manifest planner wire webhook

help:
	@echo 'make up      install what is missing (after saying so), build, start, apply the example'
	@echo 'make down    stop and remove what Dugout made (ARGS=--purge: its data too)'
	@echo 'make test    everything that proves it; ends with N passed, N failed'
	@echo 'make check   formatting, lints and the pure tests: quick, needs nothing'
	@echo 'make build   build into $(PROGRAMS)'
	@echo 'make fuzz    a longer search for inputs that break the reader (CASES=, SEED=)'
	@echo 'make simulate  run clusters in memory under faults (SEEDS=, FIRST=)'
	@echo 'make bench   measure'
	@echo 'make setup   install what is missing, no more'
	@echo 'make sqlx    check the queries against a database and store what was learned'
	@echo 'make fmt     format the source'

setup:
	@scripts/setup.sh

up: setup build
	@exec scripts/with-docker.sh $(PROGRAMS)/dugout up $(ARGS)

down:
	@test -x $(PROGRAMS)/dugout || { echo 'nothing is built here; run make build first' >&2; exit 1; }
	@exec scripts/with-docker.sh $(PROGRAMS)/dugout down $(ARGS)

build:
	cargo build --release --locked --package dugout-cli --bin dugout
	scripts/build-web.sh $(PROGRAMS)
	install -m 755 $(TARGET_DIR)/release/dugout $(PROGRAMS)/dugout

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --locked $(PURE:%=--package dugout-%) --package dugout-tidy --lib --tests -- --skip dashboards::

test:
	@scripts/test.sh

# What `make test` does with few mutations of the corpus, with many and others each time.
fuzz: FUZZ_SEED := $(or $(SEED),$(shell echo $$RANDOM))
fuzz:
	@echo 'SEED=$(FUZZ_SEED) repeats this run'
	FUZZ_SEED=$(FUZZ_SEED) FUZZ_CASES=$(or $(CASES),100000) \
		cargo test --release --locked --package dugout-manifest --test fuzz

# What `make test` does with the first seeds, with as many as one likes.
simulate:
	cargo run --release --locked --package dugout-simulator --bin simulate -- \
		$(or $(FIRST),0) $(or $(SEEDS),1000)

bench: build
	DUGOUT_BIN="$$(realpath $(PROGRAMS)/dugout)" DUGOUT_WEB_BIN="$$(realpath $(PROGRAMS)/dugout-web)" \
		scripts/with-docker.sh cargo run --release --locked --package dugout-tests --bin bench -- $(ARGS)

sqlx:
	store/prepare.sh

fmt:
	cargo fmt --all
