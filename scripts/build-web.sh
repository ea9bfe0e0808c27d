#!/usr/bin/env bash
# Builds the example's web server as one static program and puts it into a folder.
#
#   scripts/build-web.sh FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Where rustup puts Rust, also when the shell has not been told yet.
export PATH="${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin:$PATH"
folder="${1:?usage: scripts/build-web.sh FOLDER}"
host=$(rustc -vV | sed -n 's/^host: //p')
# With --target, the flag reaches the program alone and not the build's own tools.
RUSTFLAGS='-C target-feature=+crt-static' \
    cargo build --locked --profile static --package dugout-demo-web --target "$host"
mkdir -p "$folder"
install -m 755 "${CARGO_TARGET_DIR:-target}/$host/static/dugout-web" "$folder/dugout-web"
# A program that asks for a loader would not run in an image that holds nothing else.
if ! headers=$(readelf --program-headers "$folder/dugout-web") || grep -q INTERP <<<"$headers"; then
    echo "build-web: $folder/dugout-web is not a static program; is libc6-dev whole?" >&2
    exit 1
fi
