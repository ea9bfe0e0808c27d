#!/usr/bin/env bash
# Finds what this machine lacks to build and run Dugout, says so, asks, and installs it.
#
#   scripts/setup.sh              what `make up` needs
#   scripts/setup.sh --for test   what `make test` needs as well
#
# ASSUME_YES=1 or CI=true answers yes. Nothing is installed that is there already, and no service
# is left running or enabled but the Docker engine. Rust is set up for the calling user alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Where rustup puts Rust comes first, as in the Makefile: the shell may not have been told yet.
export CARGO_HOME="${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}"
export PATH="$CARGO_HOME/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export LC_ALL=C
# Asking for a version must not download a toolchain before anybody was asked.
export RUSTUP_AUTO_INSTALL=0

readonly APT_LOCK_WAIT_SECONDS=300
readonly ENGINE_WAIT_SECONDS=60
readonly ENGINE_LOG=/var/log/dugout-dockerd.log
readonly POLICY=/usr/sbin/policy-rc.d
readonly POLICY_MARK='# of dugout setup, while it installs packages'
readonly CLUSTER_CONF=/etc/postgresql-common/createcluster.d/dugout-setup.conf
# The same as https://sh.rustup.rs, on the host that the toolchain comes from.
readonly RUSTUP_INSTALLER=https://static.rust-lang.org/rustup/rustup-init.sh
rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
readonly rust_wanted

purpose=up
lacks=()      # sentences for the person
packages=()   # Debian packages
install_engine=no
rust_step=none        # how Rust gets here: none, apt, installer, default, update, override
rust_components=()    # of rustup

main() {
    parse_arguments "$@"
    release_services_of_a_run_before
    find_rust
    find_tools
    find_engine
    if [ "$purpose" = test ]; then find_test_tools; fi
    if [ ${#lacks[@]} -gt 0 ]; then
        if [ ${#packages[@]} -gt 0 ]; then require_apt; fi
        announce
        if [ ${#packages[@]} -gt 0 ]; then install_packages; fi
        install_rust
    fi
    ensure_engine_runs
    ensure_engine_is_allowed
    say "everything is there"
}

say() { printf 'setup: %s\n' "$*"; }

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

parse_arguments() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --for)
                purpose="${2:-}"
                [ "$purpose" = up ] || [ "$purpose" = test ] ||
                    fail "--for takes up or test, not '$purpose'"
                shift 2
                ;;
            *) fail "unknown argument '$1'; usage: scripts/setup.sh [--for up|test]" ;;
        esac
    done
}

# Runs a command as root.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        fail "this needs root, and sudo is not here; it was to run: $*" \
            "Become root (su -), run 'apt-get install sudo && adduser $(id -un) sudo'," \
            "log in again, and run this again."
    fi
}

# Asks for the password once and before anything is done, and says what to do where it is refused.
require_root() {
    if [ "$(id -u)" = 0 ] || ! has sudo; then
        as_root true
        return
    fi
    # Not `sudo -v`, which asks for a password also where the commands need none.
    sudo true || fail "this needs root, and sudo did not give it to $(id -un), as it says above." \
        "It was for: $*" \
        "Have that done by somebody who may, and run this again."
}

# ---- what is missing ----

# The version of the Rust that is here; nothing where there is none that works.
rust_found() {
    local found
    found=$(rustc --version 2>/dev/null | awk '{ print $2 }') || found=
    printf '%s' "${found%%-*}"
}

rust_is_good() {
    local found
    found=$(rust_found)
    has cargo && [ -n "$found" ] &&
        [ "$(printf '%s\n%s\n' "$rust_wanted" "$found" | sort -V | head -n 1)" = "$rust_wanted" ]
}

find_rust() {
    if rust_is_good; then return; fi
    local found active
    found=$(rust_found)
    lack "Rust $rust_wanted or newer${found:+ ($found is here)}"
    if has rustup; then
        active=$(rustup show active-toolchain 2>/dev/null) || active=
        case "$active" in
            '') rust_step=default ;;
            stable*) rust_step=update ;;
            *) rust_step=override ;;
        esac
        return
    fi
    if [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
        fail "Rust $rust_wanted or newer is missing, and it belongs to one user." \
            "Run this as $SUDO_USER, without sudo: it asks for root's rights where it needs them."
    fi
    # The package would push out a Rust that the distribution installed; the installer lies beside it.
    if ! has rustc && ! has cargo && apt_offers_rustup; then
        rust_step=apt
        packages+=(rustup)
    else
        rust_step=installer
        if ! has curl; then packages+=(curl); fi
    fi
}

# From its sources, that is: `apt-cache show` also succeeds for what is only installed or only named.
apt_offers() { has apt-cache && [ -n "$(apt-cache madison "$1" 2>/dev/null)" ]; }

# Debian 13, Ubuntu 24.04 and newer do. A machine whose lists are empty is judged by its release.
apt_offers_rustup() {
    if ! has apt-cache; then return 1; fi
    if apt_offers rustup; then return; fi
    if apt_offers make; then return 1; fi
    local ID='' VERSION_ID=''
    # shellcheck source=/dev/null
    . /etc/os-release 2>/dev/null || return 1
    case "$ID" in
        debian) [ "${VERSION_ID%%.*}" -ge 13 ] 2>/dev/null ;;
        ubuntu) [ "${VERSION_ID%%.*}" -ge 24 ] 2>/dev/null ;;
        *) return 1 ;;
    esac
}

lack() {
    lacks+=("$1")
    shift
    packages+=("$@")
}

find_tools() {
    has cc || lack "a C compiler" gcc
    # A compiler without the C library's static half cannot link the example's web server.
    if ! has cc || [ "$(cc -print-file-name=libc.a)" = libc.a ]; then
        lack "the C library's development files" libc6-dev
    fi
    has make || lack "make" make
    has git || lack "Git" git
    has pkg-config || lack "pkg-config" pkg-config
    if ! has pkg-config || ! pkg-config --exists openssl; then
        lack "OpenSSL's development files (Git over SSH)" libssl-dev
    fi
    [ -e /etc/ssl/certs/ca-certificates.crt ] || lack "certificates of authorities" ca-certificates
    if ! has initdb && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
        lack "PostgreSQL (its programs; no server of the system is set up)" postgresql
    fi
}

find_engine() {
    refuse_podman
    refuse_engine_elsewhere
    if engine_is_usable; then
        refuse_rootless
        return
    fi
    if [ -n "${DOCKER_HOST:-}" ]; then
        fail "DOCKER_HOST is $DOCKER_HOST, and no Docker engine answers there." \
            "Start that engine, or unset DOCKER_HOST to use this machine's."
    fi
    if has dockerd; then
        if ! has docker && apt_offers docker-cli; then lack "Docker's command" docker-cli; fi
        return
    fi
    refuse_snap
    if engine_answers_root; then return; fi
    install_engine=yes
    lack "a Docker engine" docker.io iptables
    # Where the kernel has AppArmor on, the engine cannot start a container without its parser.
    if grep -qs Y /sys/module/apparmor/parameters/enabled && ! has apparmor_parser; then
        packages+=(apparmor)
    fi
}

# A second engine beside it would fight for the same socket, and its unit and group are not ours.
refuse_snap() {
    if [ ! -e /snap/bin/docker ]; then return; fi
    fail "Docker is here as a snap, and does not answer to $(id -un)." \
        "Start it and let $(id -un) use it: sudo addgroup --system docker;" \
        "  sudo adduser $(id -un) docker; sudo snap disable docker; sudo snap enable docker" \
        "and log in again, or remove it: sudo snap remove docker. Then run this again."
}

# Podman's command and service answer as Docker's do, and go other ways in what Dugout builds on.
refuse_podman() {
    local names=''
    if has docker; then
        names=$(docker_says --version)$(docker_says version --format '{{json .Server}}')
    elif has curl && [ -S /var/run/docker.sock ]; then
        names=$(timeout 10 curl -fsS --unix-socket /var/run/docker.sock http://engine/version 2>/dev/null) ||
            names=''
    fi
    case "$names" in
        *[Pp]odman*) ;;
        *) return ;;
    esac
    fail "what is here as Docker is Podman, and Dugout needs a Docker engine." \
        "Podman itself may stay. Take out what stands in for Docker (sudo apt-get remove podman-docker;" \
        "  sudo systemctl disable --now podman.socket; unset DOCKER_HOST) and run this again: it installs Docker's."
}

# Dugout goes where DOCKER_HOST says, else to Docker's usual place, and to no other; and it reaches the
# pods of its engine by their addresses, which only the engine's own machine can.
refuse_engine_elsewhere() {
    local host context
    host=${DOCKER_HOST:-}
    if [ -z "$host" ] && has docker; then
        context=$(docker_says context show)
        host=$(docker_says context inspect --format '{{.Endpoints.docker.Host}}')
        case "$host" in
            '' | unix:///var/run/docker.sock | unix:///run/docker.sock) return ;;
        esac
        fail "Docker's context ${context:-in use} leads to $host, and Dugout reads no contexts." \
            "To use this machine's own engine: docker context use default" \
            "  (or, for this once: export DOCKER_CONTEXT=default). Then run this again."
    fi
    case "$host" in
        '' | unix://* | tcp://127.* | tcp://localhost | tcp://localhost:* | tcp://\[::1\]*) ;;
        *)
            fail "DOCKER_HOST is $host, an engine on another machine, whose pods cannot be reached from here." \
                "Run this on that machine, or unset DOCKER_HOST to use this machine's engine."
            ;;
    esac
}

# The containers of a rootless engine have addresses that nothing outside of it can reach.
refuse_rootless() {
    case "$(docker_says info --format '{{json .SecurityOptions}}')" in
        *name=rootless*) ;;
        *) return ;;
    esac
    fail "the Docker engine here is rootless: its pods' addresses cannot be reached from outside of it." \
        "Dugout needs one that runs as root. Unset DOCKER_HOST, leave the context (docker context use default)," \
        "  and run this again: it starts that engine, or installs it."
}

# What Docker's command prints; nothing where it fails.
docker_says() {
    if has docker; then timeout 10 docker "$@" 2>/dev/null || true; fi
}

find_test_tools() {
    find_rust_components
    [ -e /usr/share/doc/busybox-static ] || lack "a static BusyBox (test image)" busybox-static
    has docker-registry || lack "an image registry (tests run their own)" docker-registry
    has sshd || lack "an SSH server (tests run their own)" openssh-server
    has ssh || lack "an SSH client" openssh-client
    has ip || lack "iproute2 (tests of several nodes)" iproute2
    has nft || lack "nftables (tests that cut links)" nftables
    has promtool || lack "promtool (checks the alert rules)" prometheus
    has openssl || lack "OpenSSL (tests put a TLS proxy before the API)" openssl
    has curl || lack "curl" curl
    has shellcheck || lack "ShellCheck (reads the scripts)" shellcheck
    if has kubectl; then return; fi
    if kubectl_is_packaged; then
        lack "kubectl (reads the API)" kubernetes-client
    else
        say "there is no kubectl here and no package with it: its test fails until you install it"
    fi
}

# Debian has it, Ubuntu does not. A machine whose lists are empty is judged by its name.
kubectl_is_packaged() {
    if apt_offers kubernetes-client; then return; fi
    if apt_offers make; then return 1; fi
    local ID=''
    # shellcheck source=/dev/null
    . /etc/os-release 2>/dev/null || return 1
    [ "$ID" = debian ]
}

# What `cargo fmt` and `cargo clippy` need: parts of a toolchain of rustup, else packages.
find_rust_components() {
    if [ "$rust_step" != none ]; then
        rust_components=(rustfmt clippy)
        return
    fi
    if ! cargo fmt --version >/dev/null 2>&1; then lack_component rustfmt rustfmt; fi
    if ! cargo clippy --version >/dev/null 2>&1; then lack_component clippy rust-clippy; fi
}

lack_component() {
    if has rustup; then
        lack "Rust's $1"
        rust_components+=("$1")
    else
        lack "Rust's $1" "$2"
    fi
}

# ---- installing ----

require_apt() {
    if has apt-get; then return; fi
    fail "this machine lacks: $(join_lacks)." \
        "It has no apt-get; install these by its own means and run this again."
}

join_lacks() {
    local joined
    joined=$(printf '%s, ' "${lacks[@]}")
    printf '%s' "${joined%, }"
}

announce() {
    say "this machine lacks:"
    printf 'setup:   - %s\n' "${lacks[@]}"
    if [ ${#packages[@]} -gt 0 ]; then say "to be installed with apt-get: ${packages[*]}"; fi
    announce_rust
    confirm "Go on?"
}

announce_rust() {
    local what
    what="for $(id -un) alone, in ${RUSTUP_HOME:-${HOME:-}/.rustup}"
    case "$rust_step" in
        none) ;;
        apt | default) say "to be done with rustup: the stable toolchain, $what" ;;
        installer)
            say "to be installed with rustup's own installer ($RUSTUP_INSTALLER): the stable toolchain,"
            say "  $what and $CARGO_HOME; no shell's settings are changed"
            ;;
        update) say "to be done: rustup update stable" ;;
        override)
            say "to be done: rustup update stable, and rustup override set stable for this folder"
            ;;
    esac
    if [ ${#rust_components[@]} -gt 0 ]; then
        say "to be added with rustup: ${rust_components[*]}"
    fi
}

# Goes on only after a yes.
confirm() {
    local answer
    if [ "${ASSUME_YES:-}" = 1 ] || [ "${CI:-}" = true ]; then return; fi
    if [ ! -t 0 ]; then
        fail "nobody is here to ask; run it again with ASSUME_YES=1 to agree"
    fi
    read -r -p "setup: $1 [Y/n] " answer
    case "$answer" in
        '' | [Yy] | [Yy][Ee][Ss]) ;;
        *) fail "nothing was changed" ;;
    esac
}

install_packages() {
    local installed_before services=(docker-registry prometheus ssh)
    require_root "apt-get install ${packages[*]}"
    installed_before=$(dpkg-query -W -f '${Package}\n')
    as_root apt-get -q update || say "apt-get update failed; goes on with the lists that are here"
    # Since Debian 13 the engine's command is a package of its own.
    if [ "$install_engine" = yes ] && apt_offers docker-cli; then
        packages+=(docker-cli)
    fi
    trap release_services EXIT
    hold_services
    # A machine that has just started may be upgrading itself, and what is here already must stay.
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -q -y -o "DPkg::Lock::Timeout=$APT_LOCK_WAIT_SECONDS" --no-remove \
        --no-install-recommends install "${packages[@]}" ||
        fail "apt-get could not install: ${packages[*]}; its messages are above"
    release_services
    trap - EXIT
    for service in "${services[@]}"; do
        local package=$service
        [ "$service" = ssh ] && package=openssh-server
        if ! grep -qx "$package" <<<"$installed_before"; then disable_service "$service"; fi
    done
}

# ---- Rust, as the calling user ----

install_rust() {
    case "$rust_step" in
        none) ;;
        apt)
            if has rustup; then
                set_up_stable
            else
                say "apt-get brought no rustup"
                run_rustup_installer
            fi
            ;;
        default) set_up_stable ;;
        installer) run_rustup_installer ;;
        update) update_stable ;;
        override)
            update_stable
            rustup override set stable || fail "rustup could not choose its stable toolchain here"
            ;;
    esac
    hash -r
    if [ ${#rust_components[@]} -gt 0 ]; then
        rustup component add "${rust_components[@]}" ||
            fail "rustup could not add: ${rust_components[*]}; its messages are above"
    fi
    rust_is_good || fail "Rust $rust_wanted or newer is needed, and rustc here is $(
        rust_found
    ) ($(command -v rustc || echo nowhere)); is RUSTUP_TOOLCHAIN set?"
}

set_up_stable() {
    if ! rustup toolchain install stable --profile minimal --no-self-update ||
        ! rustup default stable; then
        fail "rustup could not install the stable toolchain; its messages are above"
    fi
}

update_stable() {
    rustup update --no-self-update stable ||
        fail "rustup could not update the stable toolchain; its messages are above"
}

run_rustup_installer() {
    local installer
    installer=$(mktemp)
    # Whole before any of it runs.
    if ! curl --proto '=https' --tlsv1.2 --fail --silent --show-error --location \
        --max-time 120 --output "$installer" "$RUSTUP_INSTALLER"; then
        rm -f "$installer"
        fail "rustup's installer cannot be fetched from $RUSTUP_INSTALLER." \
            "Look whether this machine reaches it, or install Rust $rust_wanted yourself, and run this again."
    fi
    # A Rust of the distribution may stay: ours comes first on the PATH of make.
    if ! env RUSTUP_INIT_SKIP_PATH_CHECK=yes sh "$installer" -y --profile minimal \
        --default-toolchain stable --no-modify-path; then
        rm -f "$installer"
        fail "rustup's installer failed; its messages are above"
    fi
    rm -f "$installer"
}

# ---- services ----

# While packages are installed, no service starts and PostgreSQL makes no cluster of its own.
hold_services() {
    as_root mkdir -p "$(dirname "$CLUSTER_CONF")"
    echo 'create_main_cluster = false' | as_root tee "$CLUSTER_CONF" >/dev/null
    if [ -e "$POLICY" ] && ! policy_is_ours; then
        as_root mv "$POLICY" "$POLICY.dugout-saved"
    fi
    printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
}

policy_is_ours() { grep -qxF "$POLICY_MARK" "$POLICY" 2>/dev/null; }

# What a run that was cut off left would keep every later service from starting.
release_services_of_a_run_before() {
    if policy_is_ours; then
        say "an earlier run was cut off; services may start with their packages again"
        release_services
    fi
}

release_services() {
    as_root rm -f "$CLUSTER_CONF" "$POLICY"
    if [ -e "$POLICY.dugout-saved" ]; then
        as_root mv "$POLICY.dugout-saved" "$POLICY"
    fi
}

# A service that came with a package for the tests must not start with the machine.
disable_service() {
    if [ -d /run/systemd/system ]; then
        for unit in "$1.service" "$1.socket"; do
            if systemctl list-unit-files "$unit" 2>/dev/null | grep -q "^$unit"; then
                as_root systemctl disable --now --quiet "$unit"
            fi
        done
    elif [ -e "/etc/init.d/$1" ] && has update-rc.d; then
        as_root update-rc.d "$1" disable >/dev/null
    fi
}

# ---- the engine ----

engine_answers() {
    if has docker; then
        timeout 10 docker version >/dev/null 2>&1
    elif has curl && [ -S /var/run/docker.sock ] && [ -z "${DOCKER_HOST:-}" ]; then
        timeout 10 curl -fsS --unix-socket /var/run/docker.sock http://engine/_ping >/dev/null 2>&1
    else
        return 1
    fi
}

# With the group docker, which a login from before the user was added to it does not have.
engine_answers_group() {
    user_is_in_docker_group && sg docker -c 'timeout 10 docker version' >/dev/null 2>&1
}

user_is_in_docker_group() {
    getent group docker | cut -d: -f4 | tr , '\n' | grep -qx "$(id -un)"
}

engine_is_usable() { engine_answers || engine_answers_group; }

# As root, without asking for a password, and only where being root makes a difference.
engine_answers_root() {
    [ "$(id -u)" != 0 ] && has sudo && has docker &&
        timeout 10 sudo -n docker version >/dev/null 2>&1
}

# As root, after start_engine has asked for what that needs.
engine_answers_anyone() {
    ! user_is_in_docker_group && as_root timeout 10 docker version >/dev/null 2>&1
}

engine_is_started() {
    if [ -d /run/systemd/system ]; then
        systemctl is-active --quiet docker
    else
        pgrep -x dockerd >/dev/null 2>&1
    fi
}

ensure_engine_runs() {
    if engine_is_usable || engine_answers_root; then return; fi
    if ! engine_is_started; then
        start_engine
    elif ! user_is_in_docker_group; then
        return # Nothing shows that it is not well: it is shut to this user.
    fi
    local deadline=$((SECONDS + ENGINE_WAIT_SECONDS))
    until engine_is_usable || engine_answers_anyone; do
        if [ $SECONDS -ge $deadline ]; then
            if [ -e "$ENGINE_LOG" ]; then as_root tail -n 20 "$ENGINE_LOG" >&2; fi
            fail "the Docker engine did not answer within $ENGINE_WAIT_SECONDS s." \
                "See why (journalctl -u docker, or $ENGINE_LOG), and run this again."
        fi
        sleep 0.5
    done
}

start_engine() {
    if [ -d /run/systemd/system ]; then
        say "starts the Docker engine (systemctl start docker)"
        require_root "systemctl start docker"
        as_root systemctl start docker ||
            fail "systemd could not start the Docker engine; see: journalctl -u docker"
    else
        say "starts the Docker engine in the background; its log is $ENGINE_LOG"
        require_root "dockerd"
        as_root sh -c "setsid nohup dockerd >>'$ENGINE_LOG' 2>&1 </dev/null &"
    fi
}

# A user outside of the group docker cannot reach the engine's socket.
ensure_engine_is_allowed() {
    if [ "$(id -u)" = 0 ] || engine_answers; then return; fi
    local user
    user=$(id -un)
    if ! user_is_in_docker_group; then
        say "the Docker engine runs, and $user may not use it."
        say "to be done: sudo usermod -aG docker $user (whoever is in that group has root's power)"
        confirm "Add $user to the group docker?"
        require_root "usermod -aG docker $user"
        as_root usermod -aG docker "$user"
    fi
    engine_answers_group ||
        fail "the Docker engine runs, and $user still may not use it; log in again and run this again"
    say "the group docker holds from the next login on; until then make uses it by itself"
}

main "$@"
