//! The settings of the private PostgreSQL: small, durable, and closed to everyone else.
//!
//! They are written anew at each start, into our folder and not into the database's.

use std::path::{Path, PathBuf};

use super::error::PostgresError;
use super::home::Home;
use super::user::Account;
use super::{DATABASE, PORT};

/// From this version on, reading can be left to workers, which cost memory.
const MAJOR_WITH_IO_WORKERS: u32 = 18;

/// The settings that name our files, and the files.
pub fn files(home: &Home) -> [(&'static str, PathBuf); 3] {
    [
        ("config_file", home.root().join("postgresql.conf")),
        ("hba_file", home.root().join("pg_hba.conf")),
        ("ident_file", home.root().join("pg_ident.conf")),
    ]
}

/// Writes who may connect: over the socket, as the one role, only root's or our own or the server's
/// user, as the kernel says it. No password is needed, and none exists.
pub fn write_access(home: &Home, account: &Account) -> Result<(), PostgresError> {
    let [_, (_, access), (_, names)] = files(home);
    let rules = format!("{HEAD}local all {DATABASE} peer map=dugout\n");
    let mut users = vec!["root", &account.name, &account.our_name];
    users.sort_unstable();
    users.dedup();
    let map: String = users.iter().map(|user| format!("dugout \"{user}\" {DATABASE}\n")).collect();
    write(home, &access, &rules)?;
    write(home, &names, &format!("{HEAD}{map}"))
}

/// Writes the settings for a server of this version.
pub fn write_settings(home: &Home, socket_dir: &Path, major: u32) -> Result<(), PostgresError> {
    let [(_, settings), ..] = files(home);
    let mut text = format!(
        "{HEAD}include 'data/postgresql.conf'\n\
         unix_socket_directories = '{}'\n\
         port = {PORT}\n{SETTINGS}",
        socket_dir.display()
    );
    if major >= MAJOR_WITH_IO_WORKERS {
        text.push_str("io_method = sync\n");
    }
    write(home, &settings, &text)
}

fn write(home: &Home, path: &Path, text: &str) -> Result<(), PostgresError> {
    home.write(path, text.as_bytes())
        .map_err(|source| home.failed("writing the configuration in", source))
}

const HEAD: &str = "# Written by dugout at each start; changes here are lost.\n";

const SETTINGS: &str = "\
listen_addresses = ''
unix_socket_permissions = 0700

# Durable.
fsync = on
full_page_writes = on
synchronous_commit = on

# One program with a small pool.
max_connections = 20
shared_buffers = 24MB
huge_pages = off
work_mem = 4MB
maintenance_work_mem = 16MB
jit = off
max_worker_processes = 0
max_parallel_workers = 0
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0

# No copies of this server.
wal_level = minimal
max_wal_senders = 0
max_replication_slots = 0
max_logical_replication_workers = 0
archive_mode = off

# Bounded, and quiet when nothing happens.
min_wal_size = 32MB
max_wal_size = 512MB
checkpoint_timeout = 15min
autovacuum = on
autovacuum_max_workers = 1
autovacuum_naptime = 60s
autovacuum_work_mem = 16MB

log_destination = 'stderr'
logging_collector = off
log_min_messages = warning
log_checkpoints = off
log_line_prefix = '%m [%p] '
lc_messages = 'C'
timezone = 'UTC'
log_timezone = 'UTC'
";
