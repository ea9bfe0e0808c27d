#!/bin/sh
# Renews `.sqlx`, the data against which the queries are checked when no database is there.
# Starts a throw-away PostgreSQL, applies the migrations, and compiles the crate once against it.
# Run it after every change of a query or a migration, and commit what it wrote.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

bin=
if command -v initdb >/dev/null 2>&1; then
    bin=$(dirname -- "$(readlink -f "$(command -v initdb)")")
else
    for candidate in /usr/lib/postgresql/*/bin; do
        if [ -x "$candidate/initdb" ]; then bin=$candidate; fi
    done
fi
if [ -z "$bin" ]; then
    echo "prepare.sh: PostgreSQL's server programs are missing; install the package postgresql" >&2
    exit 1
fi

dir=$(mktemp -d)
as_user() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    # PostgreSQL refuses to run as root.
    chown nobody "$dir"
    as_user() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
fi
stop() {
    as_user "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 1' INT TERM

cd "$dir"
as_user "$bin/initdb" -D "$dir/data" -U dugout -A trust -E UTF8 --locale=C -N >/dev/null
as_user "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 \
    -o "-k $dir -c listen_addresses='' -c fsync=off" start >/dev/null
"$bin/createdb" -h "$dir" -U dugout dugout
for migration in "$here"/migrations/*.sql; do
    "$bin/psql" -h "$dir" -U dugout -d dugout -q -v ON_ERROR_STOP=1 -1 -f "$migration"
done

cd "$here"
mkdir -p .sqlx "$dir/queries"
export DATABASE_URL="postgres:///dugout?host=$dir&user=dugout"
# `make` says that no build needs a database; this one does.
unset SQLX_OFFLINE
export SQLX_OFFLINE_DIR="$dir/queries"
export DUGOUT_PREPARE_QUERIES="$dir"
touch src/lib.rs
cargo check -p dugout-store --lib
rm -f .sqlx/query-*.json
for data in "$dir"/queries/query-*.json; do
    cp "$data" .sqlx/
done
set -- .sqlx/query-*.json
echo "prepare.sh: $# queries saved"
