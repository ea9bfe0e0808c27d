#!/usr/bin/env bash
# Runs a command as someone who may use the Docker engine: as it is, or, when the user was added to
# the group docker after this login, with that group.
set -euo pipefail

if [ "$(id -u)" != 0 ] && [ -z "${DOCKER_HOST:-}" ] && ! id -nG | tr ' ' '\n' | grep -qx docker &&
    [ ! -w /var/run/docker.sock ] &&
    getent group docker | cut -d: -f4 | tr , '\n' | grep -qx "$(id -un)"; then
    exec sg docker -c "exec $(printf '%q ' "$@")"
fi
exec "$@"
