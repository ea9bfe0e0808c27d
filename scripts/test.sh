#!/usr/bin/env bash
# Proves the tree: formatting, lints, every test. The last line is `N passed, N failed`; a step that
# fails counts as one failed, so the line is honest when something does not even build.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# The two programs stand side by side, as `dugout up` expects them.
programs="$target/dugout-test"
readonly LIMIT_SECONDS=4500
passed=0
failed=0

main() {
    trap finish EXIT
    if [ "$(id -u)" != 0 ]; then
        echo 'make test starts container engines and networks of its own and needs root for that:' >&2
        echo "    sudo env \"PATH=\$PATH\" \"HOME=\$HOME\" make test" >&2
        failed=1
        exit 1
    fi
    step "setup" scripts/setup.sh --for test || exit 1
    # What setup may have found beyond the PATH.
    export PATH="${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
    step "formatting (make fmt mends it)" cargo fmt --all --check
    step "lints" cargo clippy --workspace --all-targets --locked -- -D warnings
    step "the example's web server" scripts/build-web.sh "$programs"
    step "dugout" build_dugout
    export DUGOUT_BIN="$programs/dugout" DUGOUT_WEB_BIN="$programs/dugout-web"
    if cargo nextest --version >/dev/null 2>&1; then
        run_nextest
    else
        run_cargo_test
    fi
}

# Runs a step that is no test; it counts only when it fails.
step() {
    local name=$1
    shift
    printf '\n== %s\n' "$name"
    local started=$SECONDS
    if "$@"; then
        printf '== %s: good, %s s\n' "$name" $((SECONDS - started))
    else
        failed=$((failed + 1))
        printf '== %s: FAILED, %s s\n' "$name" $((SECONDS - started))
        return 1
    fi
}

build_dugout() {
    cargo build --locked --package dugout-cli --bin dugout &&
        install -m 755 "$target/debug/dugout" "$programs/dugout"
}

run_nextest() {
    # Where .config/nextest.toml says, whatever cargo's target folder is.
    local report=target/nextest/proof/junit.xml status=0
    rm -f "$report"
    printf '\n== tests\n'
    scripts/with-docker.sh cargo nextest run --locked --workspace --profile proof --no-fail-fast ||
        status=$?
    local summary total bad
    summary=$(grep -m 1 '<testsuites ' "$report" 2>/dev/null) || summary=
    total=$(attribute tests "$summary")
    bad=$(($(attribute failures "$summary") + $(attribute errors "$summary")))
    count $((total - bad)) "$bad" "$status"
}

# The number in name="number", 0 when it is not there.
attribute() {
    local number
    number=$(sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$2")
    echo "${number:-0}"
}

run_cargo_test() {
    local log="$target/cargo-test.log" status=0
    printf '\n== tests\n'
    # Nextest ends a test that hangs; here the whole run has a limit.
    timeout --kill-after=30 "$LIMIT_SECONDS" scripts/with-docker.sh cargo test --locked --workspace --no-fail-fast --lib --bins --tests 2>&1 |
        tee "$log"
    status=${PIPESTATUS[0]}
    local sums
    sums=$(awk '/^test result: / { good += $4; bad += $6 } END { print good + 0, bad + 0 }' "$log")
    count "${sums% *}" "${sums#* }" "$status"
}

# Adds what the runner counted. A runner that failed without a failed test did not get to run them.
count() {
    passed=$((passed + $1))
    failed=$((failed + $2))
    if [ "$3" != 0 ] && [ "$2" = 0 ] || [ "$1" = 0 ] && [ "$2" = 0 ]; then
        printf '== tests: FAILED to run (exit code %s)\n' "$3"
        failed=$((failed + 1))
    fi
}

finish() {
    trap - EXIT
    local line="$passed passed, $failed failed"
    mkdir -p "$target"
    echo "$line" >"$target/test-result"
    printf '\n%s\n' "$line"
    # Said in full: a bare `exit` in a trap would give the code from before the trap.
    if [ "$failed" = 0 ] && [ "$passed" -gt 0 ]; then exit 0; else exit 1; fi
}

main
